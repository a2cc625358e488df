//! JSON objects as records and maps.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use super::super::MAX_EVENT_DEPTH;
use super::super::error::nearest;
use super::super::node::{Again, Node, Record};
use super::scalar::Found;
use super::value::{Seed, mismatch};
use super::{Problem, Span, Writer};

/// A field that has not come yet.
const ABSENT: Span = Span { start: usize::MAX, end: usize::MAX };

/// Writes an object as a record or a map, whichever the type is. `first` is a key that has been read already.
#[inline]
pub(super) fn object<'de, A: MapAccess<'de>>(
    node: &Node,
    map: A,
    writer: &mut Writer<'_>,
    first: Option<String>,
) -> Result<(), A::Error> {
    match node {
        Node::Record(fields) => record(fields, map, writer, first),
        Node::Map(value) => entries(value, map, writer, first),
        Node::Again(inner) => again(inner, map, writer, first),
        node => Err(mismatch(writer, node, &Found::Object)),
    }
}

fn again<'de, A: MapAccess<'de>>(
    again: &Again,
    map: A,
    writer: &mut Writer<'_>,
    first: Option<String>,
) -> Result<(), A::Error> {
    writer.scratch.depth += again.levels;
    // The record itself is one more.
    if writer.scratch.depth >= MAX_EVENT_DEPTH {
        return Err(writer.fail(Problem::TooDeep));
    }
    let result = again.try_walk(|fields| record(fields, map, writer, first));
    writer.scratch.depth -= again.levels;
    result.unwrap_or_else(|| {
        let expected = format!("no `{}`: a default cannot have a type in it that contains itself", again.name);
        Err(writer.fail(Problem::Mismatch { expected, found: Found::Object.to_string() }))
    })
}

/// Writes an object as a record. `first` is a key that has been read already.
///
/// Fields are written as they come. Only when they came in another order than the schema's, or some are
/// missing, is the record put together anew: producers mostly keep the order.
fn record<'de, A: MapAccess<'de>>(
    record: &Record,
    mut map: A,
    writer: &mut Writer<'_>,
    first: Option<String>,
) -> Result<(), A::Error> {
    let frame = writer.scratch.spans.len();
    writer.scratch.spans.resize(frame + record.members.len(), ABSENT);
    let mut expected = 0;
    let mut ordered = true;
    let mut key = match first {
        Some(name) => Some(known(record, record.position(&name, 0), &name, writer)?),
        None => map.next_key_seed(FieldName { record, expected, writer: &mut *writer })?,
    };
    let start = writer.out.len();
    while let Some(index) = key {
        let member = &record.members[index];
        if writer.scratch.spans[frame + index] != ABSENT {
            writer.within(&member.name);
            return Err(writer.fail(Problem::Duplicate));
        }
        ordered &= index == expected;
        expected = index + 1;
        let start = writer.out.len();
        map.next_value_seed(Seed { node: &member.node, writer: &mut *writer })
            .inspect_err(|_| writer.within(&member.name))?;
        writer.scratch.spans[frame + index] = Span { start, end: writer.out.len() };
        key = map.next_key_seed(FieldName { record, expected, writer: &mut *writer })?;
    }
    if !ordered || expected != record.members.len() {
        stitch(record, frame, start, writer)?;
    }
    writer.scratch.spans.truncate(frame);
    Ok(())
}

/// Puts the fields written since `start` in the schema's order, with defaults for what is missing.
fn stitch<E: Error>(record: &Record, frame: usize, start: usize, writer: &mut Writer<'_>) -> Result<(), E> {
    writer.scratch.stitched.clear();
    for (index, member) in record.members.iter().enumerate() {
        let span = writer.scratch.spans[frame + index];
        let bytes = match &member.default {
            _ if span != ABSENT => &writer.out[span.start..span.end],
            Some(default) => default,
            None => {
                writer.within(&member.name);
                return Err(writer.fail(Problem::Missing));
            }
        };
        writer.scratch.stitched.extend_from_slice(bytes);
    }
    writer.out.truncate(start);
    writer.out.extend_from_slice(&writer.scratch.stitched);
    Ok(())
}

/// Writes an object as a map. `first` is a key that has been read already.
fn entries<'de, A: MapAccess<'de>>(
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
        if !writer.item() {
            return Err(writer.fail(Problem::TooManyItems));
        }
        writer.binary(name.as_bytes());
        map.next_value_seed(Seed { node: value, writer: &mut *writer }).inspect_err(|_| writer.within(&name))?;
        if let Some(name) = names.replace(name) {
            writer.within(&name);
            return Err(writer.fail(Problem::Duplicate));
        }
        key = map.next_key_seed(Name)?;
    }
    writer.close_blocks(start, names.len());
    Ok(())
}

/// The place of a field, or the error for one that the record does not have.
#[inline]
fn known<E: Error>(record: &Record, position: Option<usize>, name: &str, writer: &mut Writer<'_>) -> Result<usize, E> {
    position.ok_or_else(|| {
        writer.within(name);
        let names = record.members.iter().map(|member| member.name.as_str());
        writer.fail(Problem::Unknown { suggestion: nearest(name, names) })
    })
}

/// Reads a key as the place of a record's field.
struct FieldName<'n, 'w, 'o> {
    record: &'n Record,
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
        known(self.record, self.record.position(name, self.expected), name, self.writer)
    }
}

/// Reads a key as text.
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
