//! What a stream is: the definition that its author uploads. Its schema is compiled by `schema`.

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
    /// What it is, for those who read the catalog. Markdown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub doc: String,
    /// The stream whose events these are, under another key: time, id and schema are that stream's.
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
    /// How much later than the newest event of its entity an event may be and still be counted by sliding views,
    /// beyond what their windows keep anyway.
    #[serde(default)]
    pub lateness: Span,
    /// How much later than the time at which the log stored it an event's time may be. An event that is further ahead is
    /// refused: it would move the windows of its entity past all events to come. A derived stream takes what its source
    /// takes.
    #[serde(default, skip_serializing_if = "MaxAhead::is_default")]
    pub max_ahead: MaxAhead,
    /// Into how many partitions the log is cut; fixed when the stream is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    /// The topic that holds its events, where the log is Kafka; else the stream's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// How events are written in the topic, where the log is Kafka. The embedded log always keeps plain Avro.
    #[serde(default, skip_serializing_if = "Format::is_default")]
    pub format: Format,
    /// What becomes a point in time of each event, where there is a store for time series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<SeriesDef>,
    /// How long its events and verdicts are kept. Nothing is said: as the server is set up.
    #[serde(default, skip_serializing_if = "Retention::is_default")]
    pub retention: Retention,
    /// The Avro schema of its events: a record. That of a derived stream has the field [`ORIGIN`] behind all others.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub schema: serde_json::Value,
    /// The schemas that it had before, the oldest first: the log may hold events of each. The server fills them in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<serde_json::Value>,
}

/// The most schemas that a stream can have had before.
pub const MAX_EARLIER: usize = 100;

/// The field of a derived stream's events that says where each came from: a record of `partition` and `offset`.
pub const ORIGIN: &str = "origin";

/// How events are written in a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Avro behind a zero byte and the schema's id in the registry (4 bytes, big-endian): Confluent's wire format.
    #[default]
    Confluent,
    /// Avro behind `C3 01` and the schema's CRC-64-AVRO fingerprint: the Avro specification's single-object encoding.
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

/// What becomes a point in time of each event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesDef {
    /// Paths of fields by which points are told apart: such as have few values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Paths of fields that are kept.
    pub fields: Vec<String>,
}
