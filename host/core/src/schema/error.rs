//! Errors of schemas, of paths into them, of records, and of JSON events.

use std::fmt;

use super::{MAX_EVENT_BYTES, MAX_EVENT_DEPTH, MAX_EVENT_ITEMS, MAX_SCHEMA_DEPTH, MAX_SCHEMA_NODES};
use crate::event_time::TimeError;
use crate::failure_code::FailureCode;
use crate::names::KeyProblem;

/// The reason why a schema is refused.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum SchemaError {
    /// It is no valid Avro schema.
    #[error("not a valid Avro schema: {0}")]
    Invalid(String),
    /// An object, a record or an enum has a name twice.
    #[error("not a valid Avro schema: the {what} `{name}` is there twice in {place}")]
    Twice {
        /// A name in JSON, a field or a symbol.
        what: &'static str,
        /// The name.
        name: String,
        /// The path of the object, record or enum that has it.
        place: String,
    },
    /// It is valid, but not a record.
    #[error("a stream's schema must be a record, this is {0}")]
    NotRecord(&'static str),
    /// A record type contains itself in all of its values, so no value can end.
    #[error(
        "type `{0}` contains itself always, so its values never end: put a union with null, an array or a map between"
    )]
    Endless(String),
    /// A field is nested deeper than [`MAX_SCHEMA_DEPTH`].
    #[error("field `{0}` is nested deeper than {MAX_SCHEMA_DEPTH} levels")]
    TooDeep(String),
    /// It has more than [`MAX_SCHEMA_NODES`] types. Each use of a named type counts.
    #[error("the schema has more than {MAX_SCHEMA_NODES} types in it, each use of a named type counted")]
    TooLarge,
    /// A field's default does not fit its type.
    #[error("the default of field `{path}` does not fit its type: {reason}")]
    Default {
        /// The field.
        path: String,
        /// The mismatch.
        reason: String,
    },
}

/// The reason why a path does not name a column.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum FieldError {
    /// The schema has no such field.
    #[error("schema `{schema}` has no field `{path}`{}", hint(suggestion))]
    Unknown {
        /// The schema's full name.
        schema: String,
        /// The path that was asked for.
        path: String,
        /// The nearest existing path.
        suggestion: Option<String>,
    },
    /// The field is there, but its type cannot be a column.
    #[error("field `{path}` is {found}, which cannot be used as a column (yet)")]
    NotColumn {
        /// The field.
        path: String,
        /// Its type, with an article.
        found: &'static str,
    },
}

/// The reason why a record is malformed, with its place.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("malformed Avro at byte {position}{}: {problem}", in_field(path))]
pub struct DecodeError {
    /// The dotted path of the field; empty: the record as a whole. Items are `[]`.
    pub path: String,
    /// The byte of the record where reading stopped.
    pub position: usize,
    /// The problem.
    pub problem: DecodeProblem,
}

/// A problem in the bytes of a record.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum DecodeProblem {
    /// The bytes end within a value.
    #[error("the record ends inside this value")]
    End,
    /// A variable-length integer has more than 64 bits.
    #[error("a variable-length integer has more than 64 bits")]
    VarintOverflow,
    /// An int does not fit 32 bits.
    #[error("{0} does not fit an Avro int (32 bits)")]
    IntRange(i64),
    /// A length is negative.
    #[error("a length of {0} bytes")]
    NegativeLength(i64),
    /// Text is not UTF-8.
    #[error("the text is not valid UTF-8")]
    NotUtf8,
    /// A boolean is neither 0 nor 1.
    #[error("a boolean must be 0 or 1, not {0}")]
    NotBoolean(u8),
    /// A union has no such branch.
    #[error("the union has no branch {0}")]
    NoBranch(i64),
    /// An enum has no such symbol.
    #[error("the enum has no symbol {0}")]
    NoSymbol(i64),
    /// The size of a block differs from that of its items.
    #[error("the block says that it has {0} bytes, its items do not")]
    BlockSize(i64),
    /// The record's arrays and maps have too many items.
    #[error("more than {MAX_EVENT_ITEMS} items in arrays and maps")]
    TooManyItems,
    /// Records that contain themselves are nested too deep.
    #[error("nested deeper than {MAX_EVENT_DEPTH} levels of records, arrays and maps")]
    TooDeep,
    /// A text is no UUID.
    #[error("the text is no UUID")]
    NotUuid,
    /// A decimal has more digits than its precision.
    #[error("the decimal has more than {0} digits")]
    TooManyDigits(usize),
    /// Bytes follow the record's end; the field is their number.
    #[error("{0} bytes are left over after the last field")]
    LeftOver(usize),
    /// The end of an earlier event in the same block, whose number is the field, cannot be found.
    #[error("it is unknown where the record begins, because the end of event {0}, in the same block, cannot be found")]
    Lost(usize),
    /// The record is too large.
    #[error("an event of {0} bytes; at most {MAX_EVENT_BYTES} are allowed")]
    TooLarge(usize),
    /// A text column of this batch has reached 2 GiB. The record itself may be good.
    #[error("the batch's column is full at 2 GiB: decode fewer events at once")]
    BatchFull,
}

/// The reason why an event is refused.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum EventError {
    /// It is no JSON.
    #[error("not valid JSON{}: {message}", in_field(path))]
    Syntax {
        /// The dotted path of the field that was being read; empty: none.
        path: String,
        /// The mistake, with line and column.
        message: String,
    },
    /// A value does not fit its field's type.
    #[error("{}: expected {expected}, found {found}", subject(path))]
    Mismatch {
        /// The dotted path of the field; empty: the event itself.
        path: String,
        /// The values that the schema allows, described.
        expected: String,
        /// The value that was found, shortened.
        found: String,
    },
    /// The schema has no such field.
    #[error("unknown field `{path}`{}", hint(suggestion))]
    Unknown {
        /// The dotted path of the field.
        path: String,
        /// The nearest existing name in the same record.
        suggestion: Option<String>,
    },
    /// The event is Avro and malformed.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// The event's time is refused.
    #[error(transparent)]
    Time(#[from] TimeError),
    /// A field without a default is missing.
    #[error("field `{0}` is missing and has no default")]
    Missing(String),
    /// A field occurs twice.
    #[error("field `{0}` is there twice")]
    Duplicate(String),
    /// A value cannot be an entity's key or an event's id.
    #[error("field `{path}`: {problem}")]
    Key {
        /// The dotted path of the field.
        path: String,
        /// The reason.
        problem: KeyProblem,
    },
    /// The event is too large.
    #[error("the event has {0} bytes as Avro; at most {MAX_EVENT_BYTES} are allowed")]
    TooLarge(usize),
    /// The event's arrays and maps have too many items.
    #[error("more than {MAX_EVENT_ITEMS} items in the event's arrays and maps")]
    TooManyItems,
    /// Records that contain themselves are nested too deep.
    #[error("the event is nested deeper than {MAX_EVENT_DEPTH} levels of objects and arrays")]
    TooDeep,
}

impl EventError {
    /// The code of the error, as dead letters have it.
    pub fn code(&self) -> FailureCode {
        match self {
            Self::Key { .. } => FailureCode::EventKeyInvalid,
            Self::TooLarge(_) => FailureCode::EventTooLarge,
            Self::Time(error) => error.code(),
            _ => FailureCode::EventMalformed,
        }
    }

    /// The dotted path of the field with the error, if it is about a field.
    pub fn field(&self) -> Option<&str> {
        let path = match self {
            Self::Syntax { path, .. } | Self::Mismatch { path, .. } | Self::Unknown { path, .. } => path,
            Self::Missing(path) | Self::Duplicate(path) | Self::Key { path, .. } => path,
            Self::Malformed(error) => &error.path,
            Self::Time(_) | Self::TooLarge(_) | Self::TooManyItems | Self::TooDeep => return None,
        };
        Some(path.as_str()).filter(|path| !path.is_empty())
    }
}

/// The candidate nearest to a misspelt name, if one is near.
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    candidates
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate.to_owned())
}

fn hint(suggestion: &Option<String>) -> impl fmt::Display {
    suggestion.as_ref().map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

fn in_field(path: &str) -> impl fmt::Display {
    if path.is_empty() { String::new() } else { format!(" (field `{path}`)") }
}

fn subject(path: &str) -> impl fmt::Display {
    if path.is_empty() { "the event".to_owned() } else { format!("field `{path}`") }
}
