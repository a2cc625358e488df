//! Which JSON scalar fits which Avro type, and its bytes.

use std::fmt;

use super::super::node::{Node, Unit};
use super::Writer;

/// Whole numbers up to here are exact in a double.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A JSON value as the parser found it.
pub(super) enum Found<'a> {
    Null,
    Bool(bool),
    Whole(i128),
    Fraction(f64),
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
            Self::Fraction(value) => write!(f, "{value:?}"),
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
        Node::Record(_) | Node::Map(_) => "an object".to_owned(),
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
        (Node::Timestamp(unit), found) => match timestamp(*unit, found, writer.scratch.raw_times) {
            Some(value) => writer.long(value),
            None => return false,
        },
        (Node::Float, found) => match number(found).map(|value| value as f32) {
            Some(value) if value.is_finite() => writer.out.extend_from_slice(&value.to_le_bytes()),
            _ => return false,
        },
        (Node::Double, found) => match number(found) {
            Some(value) => writer.out.extend_from_slice(&value.to_le_bytes()),
            None => return false,
        },
        (Node::Enum { symbols, .. }, Found::Text(text)) => match symbols.iter().position(|symbol| symbol == text) {
            Some(index) => writer.long(index as i64),
            None => return false,
        },
        (Node::Bytes, Found::Text(text)) => match latin1_length(text) {
            Some(length) => {
                writer.long(length as i64);
                writer.out.extend(latin1(text));
            }
            None => return false,
        },
        (Node::Fixed { size, .. }, Found::Text(text)) if latin1_length(text) == Some(*size) => {
            writer.out.extend(latin1(text));
        }
        _ => return false,
    }
    true
}

/// A whole number of 64 bits. Doubles only where they are exact: above 2^53 they may be another number already.
fn whole(found: &Found<'_>) -> Option<i64> {
    match found {
        Found::Whole(value) => i64::try_from(*value).ok(),
        Found::Fraction(value) if value.fract() == 0.0 && value.abs() <= EXACT => Some(*value as i64),
        _ => None,
    }
}

fn number(found: &Found<'_>) -> Option<f64> {
    match found {
        Found::Whole(value) => Some(*value as f64),
        Found::Fraction(value) => Some(*value),
        _ => None,
    }
}

/// The number on the wire, in the schema's unit.
fn timestamp(unit: Unit, found: &Found<'_>, raw: bool) -> Option<i64> {
    match found {
        Found::Text(text) => {
            let nanos = text.parse::<jiff::Timestamp>().ok()?.as_nanosecond();
            let per_unit = i128::from(1_000_000 / unit.per_milli());
            i64::try_from(nanos.div_euclid(per_unit)).ok()
        }
        found if raw => whole(found),
        found => whole(found)?.checked_mul(unit.per_milli()),
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
