//! A single value, outside of columns: for answers and for what verdicts remember of their inputs.

/// A value of one of the column types, or none.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Missing.
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
