//! A single value, outside of columns: for answers of the API and for the recorded inputs of verdicts.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};
use serde::{Serialize, Serializer};

/// A value of one of the scalar types, or null.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Missing.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A signed 64-bit integer.
    Int(i64),
    /// A 64-bit float.
    Double(f64),
    /// UTF-8 text.
    Text(String),
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
}

impl Value {
    /// The value of a row of a column. Columns of other types (lists, durations) give `Null`.
    ///
    /// # Panics
    /// If the column has no such row, as arrays do.
    pub fn from_array(column: &ArrayRef, row: usize) -> Self {
        if column.is_null(row) {
            return Self::Null;
        }
        match column.data_type() {
            DataType::Boolean => Self::Bool(column.as_boolean().value(row)),
            DataType::Int64 => Self::Int(column.as_primitive::<Int64Type>().value(row)),
            DataType::Float64 => Self::Double(column.as_primitive::<Float64Type>().value(row)),
            DataType::Utf8 => Self::Text(column.as_string::<i32>().value(row).to_owned()),
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                Self::Timestamp(column.as_primitive::<TimestampMillisecondType>().value(row))
            }
            _ => Self::Null,
        }
    }

    /// The value as JSON. A timestamp is its number of milliseconds; NaN and the infinities, which JSON lacks, are
    /// null.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Int(value) | Self::Timestamp(value) => (*value).into(),
            Self::Double(value) => (*value).into(),
            Self::Text(value) => value.as_str().into(),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) | Self::Timestamp(value) => serializer.serialize_i64(*value),
            Self::Double(value) if value.is_finite() => serializer.serialize_f64(*value),
            Self::Double(_) => serializer.serialize_unit(),
            Self::Text(value) => serializer.serialize_str(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{BooleanArray, Float64Array, Int64Array, StringArray, TimestampMillisecondArray};

    use super::*;

    #[test]
    fn a_value_of_each_type_is_read_and_written_as_json() {
        let columns: [(ArrayRef, Value, &str); 6] = [
            (Arc::new(BooleanArray::from(vec![None, Some(true)])), Value::Bool(true), "true"),
            (Arc::new(Int64Array::from(vec![None, Some(-7)])), Value::Int(-7), "-7"),
            (Arc::new(Float64Array::from(vec![None, Some(1.5)])), Value::Double(1.5), "1.5"),
            (Arc::new(Float64Array::from(vec![None, Some(f64::INFINITY)])), Value::Double(f64::INFINITY), "null"),
            (Arc::new(StringArray::from(vec![None, Some("é")])), Value::Text("é".into()), "\"é\""),
            (Arc::new(TimestampMillisecondArray::from(vec![None, Some(9)])), Value::Timestamp(9), "9"),
        ];
        for (column, value, json) in columns {
            assert_eq!(Value::from_array(&column, 0), Value::Null);
            assert_eq!(Value::from_array(&column, 1), value);
            assert_eq!(value.to_json().to_string(), json);
            assert_eq!(serde_json::to_string(&value).unwrap(), json);
        }
    }
}
