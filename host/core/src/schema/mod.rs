//! Avro schemas and the events written in them.
//!
//! [`Schema`] is a parsed and lowered schema; its [`Field`]s are what expressions can name. [`Decoder`] turns
//! Avro records into Arrow columns and checks every byte on the way, in one walk; [`Extractor`] takes single
//! fields of one record; [`Encoder`] turns JSON into Avro, and [`to_json`] turns it back. A record here is the
//! bare Avro binary encoding: frames around it (Confluent, container files) are the caller's.

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

pub use compatible::{AvroSchema, Misfit, RootName};
pub use decode::{Decoded, Decoder};
pub use encode::Encoder;
pub use error::{DecodeError, DecodeProblem, EventError, FieldError, SchemaError};
pub use extract::{Extractor, Scalar};
pub use fields::Field;
pub use history::{History, Written};
pub use json::to_json;
pub use parsed::Schema;
pub use resolve::{Incompatible, Resolver};

/// The most bytes one event may have. Kafka's default limit for a message is the same.
pub const MAX_EVENT_BYTES: usize = 1 << 20;
/// The most items that all arrays and maps of one event may have together: items can have no bytes at all.
pub const MAX_EVENT_ITEMS: usize = 1 << 16;
/// The most records, arrays and maps of one event that may stand in one another, where a record contains itself.
pub const MAX_EVENT_DEPTH: usize = 64;
/// The deepest nesting that a schema may have, where records that contain themselves are not opened again.
pub const MAX_SCHEMA_DEPTH: usize = 32;
/// The most nodes that a schema may have, each use of a named type counted again.
pub const MAX_SCHEMA_NODES: usize = 10_000;
