//! Which JSON scalar fits which Avro type, and its bytes.

use std::fmt;

use super::super::decimal::Decimal;
use super::super::logical::{
    canonical_uuid, date_days, duration_bytes, instant_nanos, local_nanos, time_raw, uuid_bytes,
};
use super::super::node::{Node, Unit};
use super::Writer;
use super::number::Exact;

/// A double below this stands for one whole number only: 2^53 is also what 2^53 + 1 becomes.
const MAX_SAFE: f64 = 9_007_199_254_740_992.0;
/// A double gives back as many digits as it was read from.
const EXACT_DIGITS: usize = 15;

/// A JSON value as the parser found it.
pub(super) enum Found<'a> {
    Null,
    Bool(bool),
    Whole(i128),
    /// A number with a point or an exponent, or of more than 64 bits: the nearest double, and its text if that is known.
    Fraction(f64, Option<&'a str>),
    Text(&'a str),
    Array,
    Object,
}

impl fmt::Display for Found<'_> {
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

/// What a type takes, for messages.
pub(super) fn expected(node: &Node) -> String {
    match node {
        Node::Int => "a whole number of 32 bits".to_owned(),
        Node::Long => "a whole number of 64 bits".to_owned(),
        Node::Timestamp(_) => "a timestamp (whole milliseconds since 1970, or RFC 3339 text)".to_owned(),
        Node::LocalTimestamp(_) => {
            "a local timestamp (whole milliseconds since 1970, or text such as 2026-01-31T12:30:00)".to_owned()
        }
        Node::Date => "a date (text such as 2026-01-31, or whole days since 1970)".to_owned(),
        Node::Time(unit) => {
            let unit = if *unit == Unit::Millis { "milliseconds" } else { "microseconds" };
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
        Node::Record(_) | Node::Again(_) | Node::Map(_) => "an object".to_owned(),
        Node::Union(branches) => branches.iter().map(expected).collect::<Vec<_>>().join(" or "),
        Node::Null | Node::Boolean | Node::String | Node::Array(_) => node.kind().to_owned(),
    }
}

/// Writes the value; false where it does not fit, and then nothing is written.
#[inline]
pub(super) fn write(node: &Node, found: &Found<'_>, writer: &mut Writer<'_>) -> bool {
    match (node, found) {
        (Node::String, Found::Text(text)) => writer.binary(text.as_bytes()),
        (Node::Null, Found::Null) => {}
        (Node::Boolean, Found::Bool(value)) => writer.out.push(u8::from(*value)),
        (Node::Int, found) => match whole(found).and_then(|value| i32::try_from(value).ok()) {
            Some(value) => writer.long(i64::from(value)),
            None => return false,
        },
        (Node::Long, found) => match whole(found) {
            Some(value) => writer.long(value),
            None => return false,
        },
        (Node::Timestamp(_) | Node::LocalTimestamp(_) | Node::Date | Node::Time(_), found) => {
            match moment(node, found, writer.scratch.raw) {
                Some(value) => writer.long(value),
                None => return false,
            }
        }
        (Node::Float, found) => match number(found).map(|value| value as f32) {
            Some(value) if value.is_finite() => writer.out.extend_from_slice(&value.to_le_bytes()),
            _ => return false,
        },
        (Node::Double, found) => match number(found) {
            Some(value) => writer.out.extend_from_slice(&value.to_le_bytes()),
            None => return false,
        },
        (Node::UuidText, Found::Text(text)) => match canonical_uuid(text) {
            Some(text) => writer.binary(text.as_bytes()),
            None => return false,
        },
        (Node::Enum { symbols, .. }, Found::Text(text)) => match symbols.iter().position(|symbol| symbol == text) {
            Some(index) => writer.long(index as i64),
            None => return false,
        },
        (Node::Uuid(_) | Node::Duration(_) | Node::Decimal(_), found) if !writer.scratch.raw => {
            match (special_bytes(node, found), node) {
                (None, _) => return false,
                (Some(value), Node::Decimal(Decimal { fixed: None, .. })) => writer.binary(&value),
                (Some(value), _) => writer.out.extend_from_slice(&value),
            }
        }
        (Node::Bytes | Node::Decimal(Decimal { fixed: None, .. }), Found::Text(text)) => match latin1_length(text) {
            Some(length) => {
                writer.long(length as i64);
                writer.out.extend(latin1(text));
            }
            None => return false,
        },
        (_, Found::Text(text)) if node.fixed_size().is_some_and(|size| latin1_length(text) == Some(size)) => {
            writer.out.extend(latin1(text));
        }
        _ => return false,
    }
    true
}

/// A whole number of 64 bits. Doubles only where they are exact.
fn whole(found: &Found<'_>) -> Option<i64> {
    match found {
        Found::Whole(value) => i64::try_from(*value).ok(),
        Found::Fraction(_, Some(text)) => Exact::parse(text).whole(),
        Found::Fraction(value, None) if value.fract() == 0.0 && value.abs() < MAX_SAFE => Some(*value as i64),
        _ => None,
    }
}

fn number(found: &Found<'_>) -> Option<f64> {
    match found {
        Found::Whole(value) => Some(*value as f64),
        Found::Fraction(value, _) => Some(*value),
        _ => None,
    }
}

/// The number on the wire of a time or a date. `raw`: a number is meant in the schema's unit.
fn moment(node: &Node, found: &Found<'_>, raw: bool) -> Option<i64> {
    let in_unit = |nanos: i128, unit: Unit| {
        let per_unit = i128::from(1_000_000 / unit.per_milli());
        i64::try_from(nanos.div_euclid(per_unit)).ok()
    };
    match (node, found) {
        (Node::Timestamp(unit), Found::Text(text)) => in_unit(instant_nanos(text)?, *unit),
        (Node::LocalTimestamp(unit), Found::Text(text)) => {
            in_unit(instant_nanos(text).or_else(|| local_nanos(text))?, *unit)
        }
        (Node::Timestamp(unit) | Node::LocalTimestamp(unit), found) if !raw => {
            whole(found)?.checked_mul(unit.per_milli())
        }
        (Node::Date, Found::Text(text)) => date_days(text).map(i64::from),
        (Node::Time(unit), Found::Text(text)) => time_raw(*unit, text),
        (Node::Date | Node::Time(Unit::Millis), found) => whole(found).filter(|value| i32::try_from(*value).is_ok()),
        (_, found) => whole(found),
    }
}

/// The bytes of a UUID, a duration or a decimal.
fn special_bytes(node: &Node, found: &Found<'_>) -> Option<Vec<u8>> {
    match (node, found) {
        (Node::Uuid(_), Found::Text(text)) => uuid_bytes(text).map(Vec::from),
        (Node::Duration(_), Found::Text(text)) => duration_bytes(text).map(Vec::from),
        (Node::Decimal(decimal), Found::Text(text)) => decimal.bytes(text),
        (Node::Decimal(decimal), Found::Whole(value)) => decimal.bytes(&value.to_string()),
        (Node::Decimal(decimal), Found::Fraction(_, Some(text))) => decimal.bytes(&Exact::parse(text).decimal_text()?),
        // With more digits the double may not be the number that was written.
        (Node::Decimal(decimal), Found::Fraction(value, None)) => {
            let text = value.to_string();
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            if digits <= EXACT_DIGITS { decimal.bytes(&text) } else { None }
        }
        _ => None,
    }
}

/// How many bytes the text stands for in ISO 8859-1, if every character is in it.
fn latin1_length(text: &str) -> Option<usize> {
    text.chars().try_fold(0, |length, char| u8::try_from(char).ok().map(|_| length + 1))
}

fn latin1(text: &str) -> impl Iterator<Item = u8> {
    // Only called after latin1_length said that every character fits.
    text.chars().map(|char| char as u8)
}
