//! JSON objects as records and maps.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use super::super::MAX_EVENT_DEPTH;
use super::super::error::nearest;
use super::super::node::{Node, RecordReference, RecordType};
use super::scalar::FoundValue;
use super::value::{ValueSeed, mismatch};
use super::{ByteRange, EncodeProblem, Writer};

/// The range of a field that has not been read yet.
const ABSENT: ByteRange = ByteRange { start: usize::MAX, end: usize::MAX };

/// Writes an object as a record or a map, depending on the type. `first` is a key that has been read already.
#[inline]
pub(super) fn write_object<'de, A: MapAccess<'de>>(
    node: &Node,
    map: A,
    writer: &mut Writer<'_>,
    first: Option<String>,
) -> Result<(), A::Error> {
    match node {
        Node::Record(fields) => write_record(fields, map, writer, first),
        Node::Map(value) => write_map(value, map, writer, first),
        Node::RecordReference(inner) => write_reference(inner, map, writer, first),
        node => Err(mismatch(writer, node, &FoundValue::Object)),
    }
}

fn write_reference<'de, A: MapAccess<'de>>(
    reference: &RecordReference,
    map: A,
    writer: &mut Writer<'_>,
    first: Option<String>,
) -> Result<(), A::Error> {
    writer.scratch.depth += reference.levels;
    // The record itself is one more.
    if writer.scratch.depth >= MAX_EVENT_DEPTH {
        return Err(writer.fail(EncodeProblem::TooDeep));
    }
    let result = reference.try_walk(|fields| write_record(fields, map, writer, first));
    writer.scratch.depth -= reference.levels;
    result.unwrap_or_else(|| {
        let expected = format!("no `{}`: a default cannot have a type in it that contains itself", reference.name);
        Err(writer.fail(EncodeProblem::Mismatch { expected, found: FoundValue::Object.to_string() }))
    })
}

/// Writes an object as a record. `first` is a key that has been read already.
///
/// Fields are written in the order in which they are read. The record is reordered afterwards only if that is not the
/// schema's order, or if fields are missing: most producers keep the order.
fn write_record<'de, A: MapAccess<'de>>(
    record: &RecordType,
    mut map: A,
    writer: &mut Writer<'_>,
    first: Option<String>,
) -> Result<(), A::Error> {
    let frame = writer.scratch.spans.len();
    writer.scratch.spans.resize(frame + record.members.len(), ABSENT);
    let mut expected = 0;
    let mut ordered = true;
    let mut key = match first {
        Some(name) => Some(find_field(record, record.position(&name, 0), &name, writer)?),
        None => map.next_key_seed(FieldName { record, expected, writer: &mut *writer })?,
    };
    let start = writer.out.len();
    while let Some(index) = key {
        let member = &record.members[index];
        if writer.scratch.spans[frame + index] != ABSENT {
            writer.push_trail(&member.name);
            return Err(writer.fail(EncodeProblem::Duplicate));
        }
        ordered &= index == expected;
        expected = index + 1;
        let start = writer.out.len();
        map.next_value_seed(ValueSeed { node: &member.node, writer: &mut *writer })
            .inspect_err(|_| writer.push_trail(&member.name))?;
        writer.scratch.spans[frame + index] = ByteRange { start, end: writer.out.len() };
        key = map.next_key_seed(FieldName { record, expected, writer: &mut *writer })?;
    }
    if !ordered || expected != record.members.len() {
        reorder_fields(record, frame, start, writer)?;
    }
    writer.scratch.spans.truncate(frame);
    Ok(())
}

/// Puts the fields that were written since `start` in the schema's order, with defaults for missing fields.
fn reorder_fields<E: Error>(record: &RecordType, frame: usize, start: usize, writer: &mut Writer<'_>) -> Result<(), E> {
    writer.scratch.reordered.clear();
    for (index, member) in record.members.iter().enumerate() {
        let span = writer.scratch.spans[frame + index];
        let bytes = match &member.default {
            _ if span != ABSENT => &writer.out[span.start..span.end],
            Some(default) => default,
            None => {
                writer.push_trail(&member.name);
                return Err(writer.fail(EncodeProblem::Missing));
            }
        };
        writer.scratch.reordered.extend_from_slice(bytes);
    }
    writer.out.truncate(start);
    writer.out.extend_from_slice(&writer.scratch.reordered);
    Ok(())
}

/// Writes an object as a map. `first` is a key that has been read already.
fn write_map<'de, A: MapAccess<'de>>(
    value: &Node,
    mut map: A,
    writer: &mut Writer<'_>,
    first: Option<String>,
) -> Result<(), A::Error> {
    let start = writer.out.len();
    let mut names = HashSet::new();
    let mut key = match first {
        Some(name) => Some(name),
        None => map.next_key_seed(Name)?,
    };
    while let Some(name) = key {
        if !writer.count_item() {
            return Err(writer.fail(EncodeProblem::TooManyItems));
        }
        writer.put_bytes(name.as_bytes());
        map.next_value_seed(ValueSeed { node: value, writer: &mut *writer })
            .inspect_err(|_| writer.push_trail(&name))?;
        if let Some(name) = names.replace(name) {
            writer.push_trail(&name);
            return Err(writer.fail(EncodeProblem::Duplicate));
        }
        key = map.next_key_seed(Name)?;
    }
    writer.close_blocks(start, names.len());
    Ok(())
}

/// The index of a field, or the error for a field that the record does not have.
#[inline]
fn find_field<E: Error>(
    record: &RecordType,
    position: Option<usize>,
    name: &str,
    writer: &mut Writer<'_>,
) -> Result<usize, E> {
    position.ok_or_else(|| {
        writer.push_trail(name);
        let names = record.members.iter().map(|member| member.name.as_str());
        writer.fail(EncodeProblem::Unknown { suggestion: nearest(name, names) })
    })
}

/// Deserializes a key as the index of a record's field.
struct FieldName<'n, 'w, 'o> {
    record: &'n RecordType,
    expected: usize,
    writer: &'w mut Writer<'o>,
}

impl<'de> DeserializeSeed<'de> for FieldName<'_, '_, '_> {
    type Value = usize;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<usize, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldName<'_, '_, '_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    #[inline]
    fn visit_str<E: Error>(self, name: &str) -> Result<usize, E> {
        find_field(self.record, self.record.position(name, self.expected), name, self.writer)
    }
}

/// Deserializes a key as text.
pub(super) struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<String, D::Error> {
        json.deserialize_string(self)
    }
}

impl Visitor<'_> for Name {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<String, E> {
        Ok(name.to_owned())
    }
}
