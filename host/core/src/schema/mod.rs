//! Avro schemas and the events written in them.
//!
//! [`Schema`] is a parsed and lowered schema; expressions can name its [`Field`]s. [`Decoder`] turns Avro records into
//! Arrow columns and checks every byte in one pass; [`Extractor`] takes single fields of one record; [`Encoder`] turns
//! JSON into Avro, and [`to_json`] turns it back. A record here is the bare Avro binary encoding: the caller removes
//! frames around it (Confluent, container files).

mod canonical;
mod check;
mod columns;
mod compatible;
mod cycles;
mod decimal;
mod decode;
mod definition;
mod encode;
mod error;
mod extract;
mod fields;
mod history;
mod json;
mod logical;
mod lower;
mod node;
mod parsed;
mod program;
mod reader;
mod resolve;
mod walk;

pub use compatible::{AvroSchema, RootName, SchemaMismatch};
pub use decode::{Decoded, Decoder};
pub use encode::Encoder;
pub use error::{DecodeError, DecodeProblem, EventError, FieldError, SchemaError};
pub use extract::{Extractor, Scalar};
pub use fields::Field;
pub use history::{History, Written};
pub use json::to_json;
pub use parsed::Schema;
pub use resolve::{Incompatible, Resolver};

/// The most bytes of one event as Avro. Kafka's default limit for a message is the same.
pub const MAX_EVENT_BYTES: usize = 1 << 20;
/// The most items in all arrays and maps of one event together. The limit on bytes is not enough, because an item may
/// have no bytes.
pub const MAX_EVENT_ITEMS: usize = 1 << 16;
/// The deepest nesting of records, arrays and maps in one event, where a record contains itself.
pub const MAX_EVENT_DEPTH: usize = 64;
/// The deepest nesting of a schema. References to recursive records are not followed.
pub const MAX_SCHEMA_DEPTH: usize = 32;
/// The most types of a schema. Each use of a named type counts.
pub const MAX_SCHEMA_NODES: usize = 10_000;
