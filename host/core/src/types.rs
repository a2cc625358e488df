//! The types that columns and expressions have, and the Arrow types that hold them.

use std::fmt;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, TimeUnit};

/// The type of a column or of an expression. Every value may be missing (null).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// True or false: Arrow `Boolean`.
    Bool,
    /// A signed 64-bit integer: Arrow `Int64`. Avro's int and long.
    Int,
    /// A 64-bit float: Arrow `Float64`. Avro's float and double.
    Double,
    /// UTF-8 text: Arrow `Utf8`. Avro's string and enum.
    Text,
    /// Milliseconds since 1970-01-01T00:00:00Z: Arrow `Timestamp(Millisecond)`.
    Timestamp,
    /// A span of time in milliseconds: Arrow `Duration(Millisecond)`. Only expressions have it.
    Duration,
    /// A list of values of one type: Arrow `List`. Avro's array.
    List(Box<Type>),
    /// Values of one type by name: Arrow `List` of `key` and `value`, in the event's order. Avro's map.
    Map(Box<Type>),
    /// An item of a list that has parts: Arrow `Struct`. Parts are scalars; those of nested records are named by their
    /// dotted path. No column and no expression has this type.
    Record(Arc<[(String, Type)]>),
}

impl Type {
    /// The Arrow type that holds it.
    pub fn arrow(&self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Text => DataType::Utf8,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, None),
            Self::Duration => DataType::Duration(TimeUnit::Millisecond),
            Self::List(item) => DataType::new_list(item.arrow(), true),
            Self::Map(value) => DataType::new_list(struct_type([("key", &Self::Text), ("value", value)]), true),
            Self::Record(parts) => struct_type(parts.iter().map(|(name, ty)| (name.as_str(), ty))),
        }
    }
}

fn struct_type<'a>(parts: impl IntoIterator<Item = (&'a str, &'a Type)>) -> DataType {
    DataType::Struct(parts.into_iter().map(|(name, ty)| Field::new(name, ty.arrow(), true)).collect::<Fields>())
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Double => f.write_str("double"),
            Self::Text => f.write_str("string"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Duration => f.write_str("duration"),
            Self::List(item) => write!(f, "list({item})"),
            Self::Map(value) => write!(f, "map({value})"),
            Self::Record(_) => f.write_str("record"),
        }
    }
}
