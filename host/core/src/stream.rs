//! The definition of a stream, as its author uploads it. `schema` compiles its schema.

use serde::{Deserialize, Serialize};

use crate::event_time::MaxAhead;
use crate::retention::Retention;
use crate::span::Span;

/// An ordered, partitioned log of events of one Avro schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamDef {
    /// Its name.
    pub stream: String,
    /// A description for readers of the catalog, in Markdown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub doc: String,
    /// For a derived stream: the source stream, whose events it has under another key. Time, id and schema are the
    /// source's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The path of the field that names the entity, such as `card`. Text or integer, never missing.
    pub key: String,
    /// The path of the field with the event's time: a timestamp, never missing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub time: String,
    /// The path of the field with the event's own id. Without it an event's id is `PARTITION-OFFSET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The time that sliding views keep tiles beyond their windows, so that they still count events that are older than
    /// the newest event of their entity.
    #[serde(default)]
    pub lateness: Span,
    /// The bound on how much later an event's time may be than the time at which the log stored it. Later events are
    /// refused, because they would move the windows of their entity past all following events. A derived stream has the
    /// bound of its source.
    #[serde(default, skip_serializing_if = "MaxAhead::is_default")]
    pub max_ahead: MaxAhead,
    /// The number of partitions of the log. It is fixed when the stream is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    /// With Kafka as the log: the topic of its events. Without it, the stream's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// With Kafka as the log: the format of events in the topic. The embedded log always has plain Avro.
    #[serde(default, skip_serializing_if = "Format::is_default")]
    pub format: Format,
    /// The fields that are written to the time series store, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<SeriesDef>,
    /// The retention of its events and verdicts. Absent limits are those of the server.
    #[serde(default, skip_serializing_if = "Retention::is_default")]
    pub retention: Retention,
    /// The Avro schema of its events: a record. The schema of a derived stream has the field [`ORIGIN`] after all
    /// others.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub schema: serde_json::Value,
    /// The earlier schemas, the oldest first. The log may hold events of each. The server maintains this list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<serde_json::Value>,
}

/// The most earlier schemas of a stream.
pub const MAX_EARLIER: usize = 100;

/// The field of a derived stream's events with the place of the source event: a record of `partition` and `offset`.
pub const ORIGIN: &str = "origin";

/// The format of events in a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A zero byte, the schema's id in the registry (4 bytes, big-endian), then Avro: Confluent's wire format.
    #[default]
    Confluent,
    /// `C3 01`, the schema's CRC-64-AVRO fingerprint, then Avro: the single-object encoding of the Avro specification.
    SingleObject,
    /// Plain Avro in the stream's own schema.
    Avro,
    /// A JSON object.
    Json,
}

impl Format {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The fields of each event that become a point of a time series.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesDef {
    /// Paths of fields that become tags. They should have few distinct values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Paths of fields that become values.
    pub fields: Vec<String>,
}
