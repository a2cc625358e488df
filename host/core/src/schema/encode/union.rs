//! Which branch of a union a JSON value means.
//!
//! A bare value goes to the branch that takes it; among several to the first (whole numbers prefer ints and
//! longs, texts prefer enums that have the symbol). An object with one key that names a branch is the tagged
//! form, except in a union of null and a map.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use super::super::node::{Node, Record};
use super::object;
use super::scalar::{self, Found};
use super::value::{Seed, mismatch};
use super::{Problem, Writer};

/// The branch for a scalar.
pub(super) fn branch_of<'n>(
    branches: &'n [Node],
    found: &Found<'_>,
    writer: &mut Writer<'_>,
) -> Option<(usize, &'n Node)> {
    if let Found::Null = found {
        return branches.iter().enumerate().find(|(_, node)| matches!(node, Node::Null));
    }
    // The usual union of null and one type: the type itself says best what does not fit.
    match branches {
        [Node::Null, other] => return Some((1, other)),
        [other, Node::Null] => return Some((0, other)),
        _ => {}
    }
    let fitting = branches.iter().enumerate().filter(|(_, node)| fits(node, found, writer));
    // min_by_key takes the first of equals.
    fitting.min_by_key(|(_, node)| match (found, node) {
        (Found::Whole(_), Node::Int | Node::Long | Node::Timestamp(_) | Node::LocalTimestamp(_)) => 0,
        (Found::Fraction(_), Node::Float | Node::Double) => 0,
        (Found::Text(_), Node::Enum { .. }) => 0,
        (Found::Text(_), Node::String) => 1,
        _ => 2,
    })
}

/// Tries the value: writes it and takes it back.
fn fits(node: &Node, found: &Found<'_>, writer: &mut Writer<'_>) -> bool {
    let start = writer.out.len();
    let fits = scalar::write(node, found, writer);
    writer.out.truncate(start);
    fits
}

/// The branch for an array, and what its items are.
pub(super) fn array_of(branches: &[Node]) -> Option<(usize, &Node)> {
    branches.iter().enumerate().find_map(|(index, node)| match node {
        Node::Array(item) => Some((index, item.as_ref())),
        _ => None,
    })
}

/// Writes an object: tagged, or bare for the record or map among the branches.
pub(super) fn object<'de, A: MapAccess<'de>>(
    union: &Node,
    branches: &[Node],
    mut map: A,
    writer: &mut Writer<'_>,
) -> Result<(), A::Error> {
    let nullable = union.nullable().map(|(_, node)| node);
    let bare = bare_object(branches);
    if let (Some(Node::Map(_)), Some((index, node))) = (nullable, bare) {
        writer.long(index as i64);
        return object::object(node, map, writer, None);
    }
    let first = map.next_key_seed(FirstKey { branches, bare, fields_first: nullable.is_some() })?;
    match (first, bare) {
        (Some(First::Tag(index)), _) => {
            writer.long(index as i64);
            let node = &branches[index];
            map.next_value_seed(Seed { node, writer: &mut *writer })?;
            match map.next_key_seed(object::Name)? {
                None => Ok(()),
                Some(name) => {
                    writer.within(&name);
                    Err(writer.fail(Problem::Unknown { suggestion: None }))
                }
            }
        }
        (Some(First::Name(name)), Some((index, node))) => {
            writer.long(index as i64);
            object::object(node, map, writer, Some(name))
        }
        (None, Some((index, node))) => {
            writer.long(index as i64);
            object::object(node, map, writer, None)
        }
        _ => Err(mismatch(writer, union, &Found::Object)),
    }
}

/// The one branch that a bare object can mean.
fn bare_object(branches: &[Node]) -> Option<(usize, &Node)> {
    let is_object = |node: &Node| matches!(node, Node::Record(_) | Node::Again(_) | Node::Map(_));
    let mut objects = branches.iter().enumerate().filter(|(_, node)| is_object(node));
    match (objects.next(), objects.next()) {
        (only, None) => only,
        _ => None,
    }
}

/// The first key of an object in a union.
enum First {
    /// It names this branch.
    Tag(usize),
    /// It is a name inside the record or map.
    Name(String),
}

/// Reads the first key.
struct FirstKey<'n> {
    branches: &'n [Node],
    bare: Option<(usize, &'n Node)>,
    /// A name that is both a field and a tag is the field.
    fields_first: bool,
}

impl FirstKey<'_> {
    fn is_field(&self, name: &str) -> bool {
        let has = |record: &Record| record.position(name, 0).is_some();
        self.fields_first
            && match self.bare {
                Some((_, Node::Record(record))) => has(record),
                Some((_, Node::Again(again))) => again.try_walk(has).unwrap_or(false),
                _ => false,
            }
    }
}

impl<'de> DeserializeSeed<'de> for FirstKey<'_> {
    type Value = First;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<First, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for FirstKey<'_> {
    type Value = First;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<First, E> {
        let tag = if self.is_field(name) { None } else { self.branches.iter().position(|node| node.tag() == name) };
        Ok(tag.map_or_else(|| First::Name(name.to_owned()), First::Tag))
    }
}
