//! What a stream is: the definition that its author uploads. Its schema is compiled by `schema`.

use serde::{Deserialize, Serialize};

use crate::span::Span;

/// An ordered, partitioned log of events of one Avro schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamDef {
    /// Its name.
    pub stream: String,
    /// What it is, for those who read the catalog. Markdown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub doc: String,
    /// The path of the field that names the entity, such as `card`. Text or integer, never missing.
    pub key: String,
    /// The path of the field with the event's time: a timestamp, never missing.
    pub time: String,
    /// The path of the field with the event's own id. Without it an event's id is `PARTITION-OFFSET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// How much later than the newest event of its entity an event may be and still be counted by sliding views,
    /// beyond what their windows keep anyway.
    #[serde(default)]
    pub lateness: Span,
    /// Into how many partitions the log is cut; fixed when the stream is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    /// The Avro schema of its events: a record.
    pub schema: serde_json::Value,
}
