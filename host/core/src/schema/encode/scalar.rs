//! Writes JSON scalars as Avro values.

use std::fmt;

use super::super::decimal::Decimal;
use super::super::logical::{
    canonical_uuid, date_days, duration_bytes, instant_nanos, local_nanos, time_raw, uuid_bytes,
};
use super::super::node::{Node, TimeUnit};
use super::Writer;
use super::number::ExactNumber;

/// Doubles with an absolute value below 2^53 represent one whole number each. 2^53 itself may also be a rounded 2^53 +
/// 1.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_992.0;
/// A decimal number of up to 15 digits is restored exactly from its double.
const MAX_EXACT_DIGITS: usize = 15;

/// A JSON value that the parser has found.
pub(super) enum FoundValue<'a> {
    Null,
    Bool(bool),
    Whole(i128),
    /// A number with a point or an exponent, or with more than 64 bits: the nearest double, and the text if it is
    /// available.
    Fraction(f64, Option<&'a str>),
    Text(&'a str),
    Array,
    Object,
}

impl fmt::Display for FoundValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Whole(value) => value.fmt(f),
            Self::Fraction(_, Some(text)) if text.len() <= 40 => f.write_str(text),
            Self::Fraction(value, _) => write!(f, "{value:?}"),
            Self::Text(text) if text.chars().nth(40).is_none() => write!(f, "\"{text}\""),
            Self::Text(text) => write!(f, "\"{}...\"", text.chars().take(37).collect::<String>()),
            Self::Array => f.write_str("an array"),
            Self::Object => f.write_str("an object"),
        }
    }
}

/// Describes the values that a type takes, for messages.
pub(super) fn describe_expected(node: &Node) -> String {
    match node {
        Node::Int => "a whole number of 32 bits".to_owned(),
        Node::Long => "a whole number of 64 bits".to_owned(),
        Node::Timestamp(_) => "a timestamp (whole milliseconds since 1970, or RFC 3339 text)".to_owned(),
        Node::LocalTimestamp(_) => {
            "a local timestamp (whole milliseconds since 1970, or text such as 2026-01-31T12:30:00)".to_owned()
        }
        Node::Date => "a date (text such as 2026-01-31, or whole days since 1970)".to_owned(),
        Node::Time(unit) => {
            let unit = if *unit == TimeUnit::Millis { "milliseconds" } else { "microseconds" };
            format!("a time of day (text such as 12:30:00.5, to the {unit}, or whole {unit} since midnight)")
        }
        Node::Decimal(decimal) => format!(
            "a decimal (text such as -12.5) with up to {} digits, {} of them behind the point",
            decimal.precision, decimal.scale
        ),
        Node::UuidText | Node::Uuid(_) => "a UUID (text such as f81d4fae-7dec-11d0-a765-00a0c91e6bf6)".to_owned(),
        Node::Duration(_) => "a duration (ISO 8601 text such as P1M2DT3.5S, to the millisecond)".to_owned(),
        Node::Float | Node::Double => "a number".to_owned(),
        Node::Bytes => "bytes (text of the characters U+0000 to U+00FF)".to_owned(),
        Node::Fixed { size, .. } => {
            format!("{size} bytes (text of {size} characters U+0000 to U+00FF)")
        }
        Node::Enum { symbols, .. } => match symbols.as_slice() {
            [symbol] => format!("\"{symbol}\""),
            symbols if symbols.len() > 12 => {
                format!("one of \"{}\", ... ({} symbols)", symbols[..12].join("\", \""), symbols.len())
            }
            symbols => format!("one of \"{}\"", symbols.join("\", \"")),
        },
        Node::Record(_) | Node::RecordReference(_) | Node::Map(_) => "an object".to_owned(),
        Node::Union(branches) => branches.iter().map(describe_expected).collect::<Vec<_>>().join(" or "),
        Node::Null | Node::Boolean | Node::String | Node::Array(_) => node.kind().to_owned(),
    }
}

/// Writes a value. If it does not fit the type, writes nothing and returns false.
#[inline]
pub(super) fn write_scalar(node: &Node, found: &FoundValue<'_>, writer: &mut Writer<'_>) -> bool {
    match (node, found) {
        (Node::String, FoundValue::Text(text)) => writer.put_bytes(text.as_bytes()),
        (Node::Null, FoundValue::Null) => {}
        (Node::Boolean, FoundValue::Bool(value)) => writer.out.push(u8::from(*value)),
        (Node::Int, found) => match read_whole(found).and_then(|value| i32::try_from(value).ok()) {
            Some(value) => writer.put_long(i64::from(value)),
            None => return false,
        },
        (Node::Long, found) => match read_whole(found) {
            Some(value) => writer.put_long(value),
            None => return false,
        },
        (Node::Timestamp(_) | Node::LocalTimestamp(_) | Node::Date | Node::Time(_), found) => {
            match read_moment(node, found, writer.scratch.is_raw) {
                Some(value) => writer.put_long(value),
                None => return false,
            }
        }
        (Node::Float, found) => match read_number(found).map(|value| value as f32) {
            Some(value) if value.is_finite() => writer.out.extend_from_slice(&value.to_le_bytes()),
            _ => return false,
        },
        (Node::Double, found) => match read_number(found) {
            Some(value) => writer.out.extend_from_slice(&value.to_le_bytes()),
            None => return false,
        },
        (Node::UuidText, FoundValue::Text(text)) => match canonical_uuid(text) {
            Some(text) => writer.put_bytes(text.as_bytes()),
            None => return false,
        },
        (Node::Enum { symbols, .. }, FoundValue::Text(text)) => {
            match symbols.iter().position(|symbol| symbol == text) {
                Some(index) => writer.put_long(index as i64),
                None => return false,
            }
        }
        (Node::Uuid(_) | Node::Duration(_) | Node::Decimal(_), found) if !writer.scratch.is_raw => {
            match (read_special_bytes(node, found), node) {
                (None, _) => return false,
                (Some(value), Node::Decimal(Decimal { fixed: None, .. })) => writer.put_bytes(&value),
                (Some(value), _) => writer.out.extend_from_slice(&value),
            }
        }
        (Node::Bytes | Node::Decimal(Decimal { fixed: None, .. }), FoundValue::Text(text)) => match latin1_length(text)
        {
            Some(length) => {
                writer.put_long(length as i64);
                writer.out.extend(latin1(text));
            }
            None => return false,
        },
        (_, FoundValue::Text(text)) if node.fixed_size().is_some_and(|size| latin1_length(text) == Some(size)) => {
            writer.out.extend(latin1(text));
        }
        _ => return false,
    }
    true
}

/// A whole number of 64 bits. A double without text counts only if it is exact.
fn read_whole(found: &FoundValue<'_>) -> Option<i64> {
    match found {
        FoundValue::Whole(value) => i64::try_from(*value).ok(),
        FoundValue::Fraction(_, Some(text)) => ExactNumber::parse(text).whole(),
        FoundValue::Fraction(value, None) if value.fract() == 0.0 && value.abs() < MAX_SAFE_INTEGER => {
            Some(*value as i64)
        }
        _ => None,
    }
}

fn read_number(found: &FoundValue<'_>) -> Option<f64> {
    match found {
        FoundValue::Whole(value) => Some(*value as f64),
        FoundValue::Fraction(value, _) => Some(*value),
        _ => None,
    }
}

/// The Avro number of a time or a date. With `is_raw` a JSON number is in the schema's unit, otherwise a timestamp is
/// in milliseconds.
fn read_moment(node: &Node, found: &FoundValue<'_>, is_raw: bool) -> Option<i64> {
    let in_unit = |nanos: i128, unit: TimeUnit| {
        let per_unit = i128::from(1_000_000 / unit.per_milli());
        i64::try_from(nanos.div_euclid(per_unit)).ok()
    };
    match (node, found) {
        (Node::Timestamp(unit), FoundValue::Text(text)) => in_unit(instant_nanos(text)?, *unit),
        (Node::LocalTimestamp(unit), FoundValue::Text(text)) => {
            in_unit(instant_nanos(text).or_else(|| local_nanos(text))?, *unit)
        }
        (Node::Timestamp(unit) | Node::LocalTimestamp(unit), found) if !is_raw => {
            read_whole(found)?.checked_mul(unit.per_milli())
        }
        (Node::Date, FoundValue::Text(text)) => date_days(text).map(i64::from),
        (Node::Time(unit), FoundValue::Text(text)) => time_raw(*unit, text),
        (Node::Date | Node::Time(TimeUnit::Millis), found) => {
            read_whole(found).filter(|value| i32::try_from(*value).is_ok())
        }
        (_, found) => read_whole(found),
    }
}

/// The bytes of a UUID, a duration or a decimal.
fn read_special_bytes(node: &Node, found: &FoundValue<'_>) -> Option<Vec<u8>> {
    match (node, found) {
        (Node::Uuid(_), FoundValue::Text(text)) => uuid_bytes(text).map(Vec::from),
        (Node::Duration(_), FoundValue::Text(text)) => duration_bytes(text).map(Vec::from),
        (Node::Decimal(decimal), FoundValue::Text(text)) => decimal.parse_bytes(text),
        (Node::Decimal(decimal), FoundValue::Whole(value)) => decimal.parse_bytes(&value.to_string()),
        (Node::Decimal(decimal), FoundValue::Fraction(_, Some(text))) => {
            decimal.parse_bytes(&ExactNumber::parse(text).decimal_text()?)
        }
        // With more digits the double may differ from the number that was written.
        (Node::Decimal(decimal), FoundValue::Fraction(value, None)) => {
            let text = value.to_string();
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            if digits <= MAX_EXACT_DIGITS { decimal.parse_bytes(&text) } else { None }
        }
        _ => None,
    }
}

/// The length of a text in ISO 8859-1; none if it has a character outside of it.
fn latin1_length(text: &str) -> Option<usize> {
    text.chars().try_fold(0, |length, char| u8::try_from(char).ok().map(|_| length + 1))
}

/// The bytes of a text in ISO 8859-1.
fn latin1(text: &str) -> impl Iterator<Item = u8> {
    // The caller has checked with `latin1_length` that every character fits.
    text.chars().map(|char| char as u8)
}
