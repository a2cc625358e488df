//! Converts Avro to JSON, in the form that [`Encoder`](super::Encoder) reads.

use serde_json::{Map, Number, Value};

use super::encode::find_bare_branch;
use super::logical::{canonical_uuid, date_text, duration_text, instant_text, local_text, time_text, uuid_text};
use super::node::{Node, RecordType, TimeUnit};
use super::reader::AvroReader;
use super::walk::join_trail;
use super::{DecodeError, DecodeProblem, Schema};

/// One record as a JSON object with the fields in the schema's order.
///
/// Unions are bare where the bare value is read back as its branch, else tagged. Timestamps are epoch milliseconds, or
/// RFC 3339 text where milliseconds would lose precision. Dates and times of day that have no text are numbers. NaN and
/// infinities, which JSON does not have, are the texts `NaN`, `Infinity` and `-Infinity`; they are refused when they
/// are read back as numbers.
///
/// # Errors
/// The record is malformed.
pub fn to_json(schema: &Schema, record: &[u8]) -> Result<Value, DecodeError> {
    let mut reader = AvroReader::new(record);
    let result = value(schema.root(), &mut reader).and_then(|value| reader.end().map(|()| value));
    result.map_err(|problem| DecodeError { path: join_trail(&reader.trail), position: reader.position(), problem })
}

fn value(node: &Node, reader: &mut AvroReader<'_>) -> Result<Value, DecodeProblem> {
    Ok(match node {
        Node::Null => Value::Null,
        Node::Boolean => Value::Bool(reader.boolean()?),
        Node::Int => Value::from(reader.int()?),
        Node::Long => Value::from(reader.long()?),
        Node::Timestamp(unit) => timestamp(*unit, reader.long()?, instant_text),
        Node::LocalTimestamp(unit) => timestamp(*unit, reader.long()?, local_text),
        Node::Date => {
            let days = reader.int()?;
            date_text(days).map_or_else(|| Value::from(days), Value::from)
        }
        Node::Time(unit) => {
            let raw = if *unit == TimeUnit::Millis { i64::from(reader.int()?) } else { reader.long()? };
            time_text(*unit, raw).map_or_else(|| Value::from(raw), Value::from)
        }
        Node::Float => float(reader.float()?),
        Node::Double => double(reader.double()?),
        Node::Bytes => latin1(reader.binary()?),
        Node::Fixed { size, .. } => latin1(reader.take(*size)?),
        Node::Decimal(decimal) => {
            let text = decimal.to_text(reader.decimal(decimal)?);
            Value::from(text.ok_or(DecodeProblem::TooManyDigits(decimal.precision))?)
        }
        Node::UuidText => {
            let text = reader.uuid_text()?;
            let text = std::str::from_utf8(text).map_err(|_| DecodeProblem::NotUtf8)?;
            Value::from(canonical_uuid(text).map_or_else(|| text.to_owned(), |text| text.into_owned()))
        }
        Node::Uuid(_) => Value::from(uuid_text(reader.take(16)?)),
        Node::Duration(_) => Value::from(duration_text(reader.take(12)?)),
        Node::String => Value::from(reader.str()?),
        Node::Enum { symbols, .. } => Value::from(symbols[reader.symbol(symbols.len())?].as_str()),
        Node::Array(item) => {
            let mut items = Vec::new();
            reader.blocks(|reader| {
                items.push(value(item, reader)?);
                Ok(())
            })?;
            Value::Array(items)
        }
        Node::Map(item) => {
            let mut entries = Map::new();
            reader.blocks(|reader| {
                let name = reader.str()?.to_owned();
                entries.insert(name, value(item, reader)?);
                Ok(())
            })?;
            Value::Object(entries)
        }
        Node::Union(branches) => {
            let (index, branch) = reader.branch(branches)?;
            let value = value(branch, reader)?;
            if is_bare(branches, index, &value) {
                value
            } else {
                Map::from_iter([(branch.tag().to_owned(), value)]).into()
            }
        }
        Node::Record(record) => object(record, reader)?,
        Node::RecordReference(again) => {
            reader.walk_nested(again.levels, |reader| again.walk(|record| object(record, reader)))?
        }
    })
}

fn object(record: &RecordType, reader: &mut AvroReader<'_>) -> Result<Value, DecodeProblem> {
    let mut fields = Map::with_capacity(record.members.len());
    for member in &record.members {
        let value = value(&member.node, reader).inspect_err(|_| reader.trail.push(member.name.clone()))?;
        fields.insert(member.name.clone(), value);
    }
    Ok(Value::Object(fields))
}

/// True if the value is read back as this branch without a tag.
fn is_bare(branches: &[Node], index: usize, value: &Value) -> bool {
    match &branches[index] {
        // Only one branch of a union can take these.
        Node::Null | Node::Boolean | Node::Array(_) => true,
        // There is no other branch, so a tag is not needed, even for a value that cannot be read back, such as NaN.
        _ if branches.iter().filter(|node| !matches!(node, Node::Null)).count() == 1 => true,
        _ => find_bare_branch(branches, value) == Some(index),
    }
}

fn timestamp(unit: TimeUnit, raw: i64, text: impl Fn(i128) -> Option<String>) -> Value {
    let millis = unit.to_millis(raw);
    if millis.checked_mul(unit.per_milli()) == Some(raw) {
        return Value::from(millis);
    }
    let nanos = i128::from(raw) * i128::from(1_000_000 / unit.per_milli());
    // After the year 9999 there is no text: the fraction of the millisecond is lost.
    text(nanos).map_or_else(|| Value::from(millis), Value::from)
}

fn double(value: f64) -> Value {
    Number::from_f64(value).map_or_else(|| non_finite(value), Value::Number)
}

/// The shortest number that is read back as the same float: 0.1, not 0.10000000149011612.
fn float(value: f32) -> Value {
    match value.to_string().parse() {
        Ok(shortest) => double(shortest),
        Err(_) => double(f64::from(value)),
    }
}

fn non_finite(value: f64) -> Value {
    Value::from(match value {
        value if value.is_nan() => "NaN",
        value if value > 0.0 => "Infinity",
        _ => "-Infinity",
    })
}

fn latin1(bytes: &[u8]) -> Value {
    Value::from(bytes.iter().map(|byte| char::from(*byte)).collect::<String>())
}
