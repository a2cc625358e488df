//! The lowered schema: names are resolved, and logical types are reduced to those that the host handles.

use std::sync::{OnceLock, Weak};

use hashbrown::HashMap;

use super::decimal::Decimal;

/// A type, with the types that it contains.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Null,
    Boolean,
    Int,
    Long,
    /// A long that counts units since 1970-01-01T00:00:00Z.
    Timestamp(TimeUnit),
    /// A long that counts units on a clock of an unknown time zone, which is treated as UTC.
    LocalTimestamp(TimeUnit),
    /// An int that counts days since 1970-01-01.
    Date,
    /// Units since midnight: an int if they are milliseconds, else a long.
    Time(TimeUnit),
    Float,
    Double,
    Bytes,
    Decimal(Decimal),
    String,
    /// A string with a UUID in it.
    UuidText,
    /// A fixed of 16 bytes, of this name.
    Uuid(String),
    /// A fixed of 12 bytes, of this name: months, days, milliseconds.
    Duration(String),
    Fixed {
        name: String,
        size: usize,
    },
    Enum {
        name: String,
        symbols: Vec<String>,
        /// The index of the symbol that replaces unknown ones in schema resolution.
        default: Option<usize>,
    },
    Array(Box<Node>),
    Map(Box<Node>),
    Union(Vec<Node>),
    Record(Box<RecordType>),
    /// A recursive record, at a place within itself.
    RecordReference(RecordReference),
}

/// A reference to a record that is defined elsewhere in the same schema. It is weak, because records refer to
/// themselves; code that follows it must hold the schema.
#[derive(Debug, Clone)]
pub(super) struct RecordReference {
    pub(super) name: String,
    /// The number of records, arrays and maps around this place, from the enclosing definition on.
    pub(super) levels: usize,
    pub(super) definition: Weak<OnceLock<RecordType>>,
}

impl RecordReference {
    /// Calls `walk` with the record; none if its schema is still being lowered.
    pub(super) fn try_walk<T>(&self, walk: impl FnOnce(&RecordType) -> T) -> Option<T> {
        self.definition.upgrade()?.get().map(walk)
    }

    /// Calls `walk` with the record of a complete schema.
    pub(super) fn walk<T>(&self, walk: impl FnOnce(&RecordType) -> T) -> T {
        self.try_walk(walk).unwrap_or_else(|| unreachable!("the caller holds the schema"))
    }
}

/// The unit of a timestamp on the wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum TimeUnit {
    Millis,
    Micros,
    Nanos,
}

impl TimeUnit {
    /// Units in a millisecond.
    pub(super) fn per_milli(self) -> i64 {
        match self {
            Self::Millis => 1,
            Self::Micros => 1_000,
            Self::Nanos => 1_000_000,
        }
    }

    /// Milliseconds, rounded towards the past so that order is kept.
    #[inline]
    pub(super) fn to_millis(self, value: i64) -> i64 {
        match self {
            Self::Millis => value,
            Self::Micros => value.div_euclid(1_000),
            Self::Nanos => value.div_euclid(1_000_000),
        }
    }
}

/// A record type.
#[derive(Debug, Clone)]
pub(super) struct RecordType {
    /// The full name, with the namespace.
    pub(super) name: String,
    /// Full names of its aliases.
    pub(super) aliases: Vec<String>,
    pub(super) members: Vec<Member>,
    by_name: HashMap<String, usize, foldhash::fast::FixedState>,
}

/// A field of a record type.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) aliases: Vec<String>,
    pub(super) node: Node,
    /// The Avro bytes of the field's default, for JSON without the field.
    pub(super) default: Option<Vec<u8>>,
}

impl RecordType {
    pub(super) fn new(name: String, aliases: Vec<String>, members: Vec<Member>) -> Self {
        let by_name = members.iter().enumerate().map(|(index, member)| (member.name.clone(), index)).collect();
        Self { name, aliases, members, by_name }
    }

    /// The index of a field. `expected` is tried first, because most producers keep the schema's order.
    #[inline]
    pub(super) fn position(&self, name: &str, expected: usize) -> Option<usize> {
        match self.members.get(expected) {
            Some(member) if member.name == name => Some(expected),
            _ => self.by_name.get(name).copied(),
        }
    }
}

impl Node {
    /// For a union of null and one other type: the null's branch, and the other type.
    pub(super) fn nullable(&self) -> Option<(usize, &Node)> {
        match self {
            Self::Union(branches) => match branches.as_slice() {
                [Self::Null, other] => Some((0, other)),
                [other, Self::Null] => Some((1, other)),
                _ => None,
            },
            _ => None,
        }
    }

    /// The size in bytes of a type whose underlying type is a fixed.
    pub(super) fn fixed_size(&self) -> Option<usize> {
        match self {
            Self::Fixed { size, .. } => Some(*size),
            Self::Uuid(_) => Some(16),
            Self::Duration(_) => Some(12),
            Self::Decimal(decimal) => decimal.size(),
            _ => None,
        }
    }

    /// The name of this type as a branch of a union in Avro's JSON encoding.
    pub(super) fn tag(&self) -> &str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int | Self::Date | Self::Time(TimeUnit::Millis) => "int",
            Self::Long | Self::Timestamp(_) | Self::LocalTimestamp(_) | Self::Time(_) => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::Decimal(decimal) => decimal.fixed.as_ref().map_or("bytes", |fixed| &fixed.name),
            Self::String | Self::UuidText => "string",
            Self::Uuid(name) | Self::Duration(name) => name,
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            // Unions do not nest.
            Self::Union(_) => "union",
            Self::Fixed { name, .. } | Self::Enum { name, .. } => name,
            Self::Record(record) => &record.name,
            Self::RecordReference(again) => &again.name,
        }
    }

    /// True if the type has a name of its own.
    pub(super) fn is_named(&self) -> bool {
        matches!(self, Self::Record(_) | Self::RecordReference(_) | Self::Enum { .. }) || self.fixed_size().is_some()
    }

    /// The kind of type, with an article, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Int => "an int",
            Self::Long => "a long",
            Self::Timestamp(_) => "a timestamp",
            Self::LocalTimestamp(_) => "a local timestamp",
            Self::Date => "a date",
            Self::Time(TimeUnit::Millis) => "a time of day in milliseconds",
            Self::Time(_) => "a time of day in microseconds",
            Self::Float => "a float",
            Self::Double => "a double",
            Self::Bytes => "bytes",
            Self::Decimal(_) => "a decimal",
            Self::UuidText | Self::Uuid(_) => "a UUID",
            Self::Duration(_) => "a duration",
            Self::String => "a string",
            Self::Fixed { .. } => "a fixed",
            Self::Enum { .. } => "an enum",
            Self::Array(_) => "an array",
            Self::Map(_) => "a map",
            Self::Union(_) => "a union",
            Self::Record(_) => "a record",
            Self::RecordReference(_) => "a record that contains itself",
        }
    }
}
