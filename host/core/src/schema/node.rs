//! The lowered schema: names resolved, logical types reduced to what the host does with them.

use hashbrown::HashMap;

/// A type, with all that it contains.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Null,
    Boolean,
    Int,
    Long,
    /// A long that counts units since 1970-01-01T00:00:00Z (local timestamps: as if they were UTC).
    Timestamp(Unit),
    Float,
    Double,
    Bytes,
    String,
    Fixed {
        name: String,
        size: usize,
    },
    Enum {
        name: String,
        symbols: Vec<String>,
    },
    Array(Box<Node>),
    Map(Box<Node>),
    Union(Vec<Node>),
    Record(Box<Record>),
}

/// The unit of a timestamp on the wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Unit {
    Millis,
    Micros,
    Nanos,
}

impl Unit {
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
pub(super) struct Record {
    /// With the namespace.
    pub(super) name: String,
    pub(super) members: Vec<Member>,
    by_name: HashMap<String, usize, foldhash::fast::FixedState>,
}

/// A field of a record type.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) node: Node,
    /// The Avro bytes that stand for the field where JSON does not name it.
    pub(super) default: Option<Vec<u8>>,
}

impl Record {
    pub(super) fn new(name: String, members: Vec<Member>) -> Self {
        let by_name = members.iter().enumerate().map(|(index, member)| (member.name.clone(), index)).collect();
        Self { name, members, by_name }
    }

    /// The place of a field. `expected` is tried first: producers mostly keep the schema's order.
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

    /// The name that Avro's JSON encoding gives to this type as a branch of a union.
    pub(super) fn tag(&self) -> &str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long | Self::Timestamp(_) => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            // Unions do not nest.
            Self::Union(_) => "union",
            Self::Fixed { name, .. } | Self::Enum { name, .. } => name,
            Self::Record(record) => &record.name,
        }
    }

    /// The kind of type, with an article, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Int => "an int",
            Self::Long => "a long",
            Self::Timestamp(_) => "a timestamp",
            Self::Float => "a float",
            Self::Double => "a double",
            Self::Bytes => "bytes",
            Self::String => "a string",
            Self::Fixed { .. } => "a fixed",
            Self::Enum { .. } => "an enum",
            Self::Array(_) => "an array",
            Self::Map(_) => "a map",
            Self::Union(_) => "a union",
            Self::Record(_) => "a record",
        }
    }
}
