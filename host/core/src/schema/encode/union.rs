//! Chooses the branch of a union for a JSON value.
//!
//! A bare value goes to the branch that takes it, or to the first of several (whole numbers prefer ints and longs,
//! texts prefer enums that have the symbol). An object with one member that has the name of a branch may be the tagged
//! form: see [`write_union_object`].

use serde::de::{Error, MapAccess};
use serde_json::{Number, Value};

use super::super::node::{Node, RecordType};
use super::buffered::{Buffered, buffered_members};
use super::object;
use super::scalar::{self, FoundValue};
use super::value::{ValueSeed, mismatch};
use super::{EncodeProblem, Writer};

/// The branch for a scalar.
pub(super) fn find_scalar_branch<'n>(
    branches: &'n [Node],
    found: &FoundValue<'_>,
    writer: &mut Writer<'_>,
) -> Option<(usize, &'n Node)> {
    if let FoundValue::Null = found {
        return branches.iter().enumerate().find(|(_, node)| matches!(node, Node::Null));
    }
    // The usual union of null and one type: the error of the type itself is the best one.
    match branches {
        [Node::Null, other] => return Some((1, other)),
        [other, Node::Null] => return Some((0, other)),
        _ => {}
    }
    let fitting = branches.iter().enumerate().filter(|(_, node)| fits(node, found, writer));
    // min_by_key takes the first of equals.
    fitting.min_by_key(|(_, node)| match (found, node) {
        (FoundValue::Whole(_), Node::Int | Node::Long | Node::Timestamp(_) | Node::LocalTimestamp(_)) => 0,
        (FoundValue::Fraction(..), Node::Float | Node::Double) => 0,
        (FoundValue::Text(_), Node::Enum { .. }) => 0,
        (FoundValue::Text(_), Node::String) => 1,
        _ => 2,
    })
}

/// True if a type takes the value: writes it and removes it again.
fn fits(node: &Node, found: &FoundValue<'_>, writer: &mut Writer<'_>) -> bool {
    let start = writer.out.len();
    let fits = scalar::write_scalar(node, found, writer);
    writer.out.truncate(start);
    fits
}

/// The branch for an array, and the type of its items.
pub(super) fn find_array_branch(branches: &[Node]) -> Option<(usize, &Node)> {
    branches.iter().enumerate().find_map(|(index, node)| match node {
        Node::Array(item) => Some((index, item.as_ref())),
        _ => None,
    })
}

/// The branch for a value without a tag.
pub(super) fn find_bare_branch(branches: &[Node], value: &Value, writer: &mut Writer<'_>) -> Option<usize> {
    let whole = |number: &Number| number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    let found = match value {
        Value::Null => FoundValue::Null,
        Value::Bool(value) => FoundValue::Bool(*value),
        Value::Number(number) => match whole(number) {
            Some(value) => FoundValue::Whole(value),
            None => FoundValue::Fraction(number.as_f64()?, None),
        },
        Value::String(text) => FoundValue::Text(text),
        Value::Array(_) => return find_array_branch(branches).map(|(branch, _)| branch),
        Value::Object(members) => {
            let names: Vec<&str> = members.keys().map(String::as_str).collect();
            let may_be_tagged = matches!(names[..], [name] if find_tagged_branch(branches, name).is_some());
            let is_bare = is_nullable(branches) || !may_be_tagged;
            // Several records with these fields can only be distinguished by tags.
            return match list_bare_branches(branches, &names)[..] {
                [only] if is_bare => Some(only),
                _ => None,
            };
        }
    };
    find_scalar_branch(branches, &found, writer).map(|(branch, _)| branch)
}

/// Writes an object for a union: tagged, or bare for a record or map among the branches.
///
/// An object that may be both is buffered and tried as both. In a union of null and one type the bare form is tried
/// first, in other unions the tagged form.
pub(super) fn write_union_object<'de, A: MapAccess<'de>>(
    union: &Node,
    branches: &[Node],
    mut map: A,
    writer: &mut Writer<'_>,
) -> Result<(), A::Error> {
    let first = map.next_key_seed(object::Name)?;
    let tag = first.as_deref().and_then(|name| find_tagged_branch(branches, name));
    match (tag, find_only_object(branches)) {
        (None, Some(branch)) => {
            writer.put_long(branch as i64);
            object::write_object(&branches[branch], map, writer, first)
        }
        (Some(branch), _) if !first.as_deref().is_some_and(|name| may_be_member(branches, name)) => {
            write_tagged(&branches[branch], branch, map, writer)
        }
        (None, None) if !branches.iter().any(is_object) => Err(mismatch(writer, union, &FoundValue::Object)),
        _ => {
            let mut kept: Vec<(String, Buffered)> = Vec::new();
            let mut next = first;
            while let Some(name) = next {
                let value = map.next_value().inspect_err(|_| writer.push_trail(&name))?;
                kept.push((name, value));
                next = map.next_key_seed(object::Name)?;
            }
            let tag = tag.filter(|_| kept.len() == 1);
            write_first_fitting(union, branches, &kept, tag, writer).ok_or_else(|| A::Error::custom(""))
        }
    }
}

/// Writes the value of a tagged object after its name has been read.
fn write_tagged<'de, A: MapAccess<'de>>(
    node: &Node,
    branch: usize,
    mut map: A,
    writer: &mut Writer<'_>,
) -> Result<(), A::Error> {
    writer.put_long(branch as i64);
    map.next_value_seed(ValueSeed { node, writer: &mut *writer })?;
    match map.next_key_seed(object::Name)? {
        None => Ok(()),
        Some(name) => {
            writer.push_trail(&name);
            Err(writer.fail(EncodeProblem::Unknown { suggestion: None }))
        }
    }
}

/// One way to read a buffered object: as a branch, with or without a tag.
enum Reading {
    Tagged(usize),
    Bare(usize),
}

/// Writes a buffered object by the first reading that fits. If none fits, the writer has the problem of the first
/// reading.
fn write_first_fitting(
    union: &Node,
    branches: &[Node],
    kept: &[(String, Buffered)],
    tag: Option<usize>,
    writer: &mut Writer<'_>,
) -> Option<()> {
    let names: Vec<&str> = kept.iter().map(|(name, _)| name.as_str()).collect();
    let mut readings: Vec<Reading> = list_bare_branches(branches, &names).into_iter().map(Reading::Bare).collect();
    if let Some(tag) = tag {
        let place = if is_nullable(branches) { readings.len() } else { 0 };
        readings.insert(place, Reading::Tagged(tag));
    }
    let mark = writer.mark();
    let mut problem = None;
    for reading in &readings {
        if problem.is_some() && !writer.may_retry() {
            break;
        }
        if reading.write(branches, kept, writer).is_ok() {
            return Some(());
        }
        let met = writer.rewind(&mark);
        problem.get_or_insert(met);
    }
    match problem {
        Some(problem) => writer.restore(problem),
        None => drop::<serde_json::Error>(mismatch(writer, union, &FoundValue::Object)),
    }
    None
}

impl Reading {
    fn write(&self, branches: &[Node], kept: &[(String, Buffered)], writer: &mut Writer<'_>) -> serde_json::Result<()> {
        match self {
            Self::Tagged(branch) => {
                let mut map = buffered_members(kept);
                // Skips the tag.
                map.next_key_seed(object::Name)?;
                write_tagged(&branches[*branch], *branch, map, writer)
            }
            Self::Bare(branch) => {
                writer.put_long(*branch as i64);
                object::write_object(&branches[*branch], buffered_members(kept), writer, None)
            }
        }
    }
}

fn is_nullable(branches: &[Node]) -> bool {
    matches!(branches, [Node::Null, _] | [_, Node::Null])
}

/// The branch that a tag names: by its full name, or without the namespace if there is only one of that name.
fn find_tagged_branch(branches: &[Node], name: &str) -> Option<usize> {
    branches.iter().position(|node| node.tag() == name).or_else(|| {
        let is_short = |node: &Node| node.is_named() && node.tag().rsplit('.').next() == Some(name);
        let mut short = branches.iter().enumerate().filter(|(_, node)| is_short(node));
        match (short.next(), short.next()) {
            (Some((branch, _)), None) => Some(branch),
            _ => None,
        }
    })
}

fn is_object(node: &Node) -> bool {
    matches!(node, Node::Record(_) | Node::RecordReference(_) | Node::Map(_))
}

fn find_only_object(branches: &[Node]) -> Option<usize> {
    let mut objects = branches.iter().enumerate().filter(|(_, node)| is_object(node));
    match (objects.next(), objects.next()) {
        (Some((branch, _)), None) => Some(branch),
        _ => None,
    }
}

/// Calls `look` with a record type; none if the type is no record, or if its schema is still being lowered.
fn with_record<T>(node: &Node, look: impl FnOnce(&RecordType) -> T) -> Option<T> {
    match node {
        Node::Record(record) => Some(look(record)),
        Node::RecordReference(again) => again.try_walk(look),
        _ => None,
    }
}

/// True if a bare object can have a member of this name.
fn may_be_member(branches: &[Node], name: &str) -> bool {
    branches.iter().any(|node| match node {
        Node::Map(_) => true,
        node => with_record(node, |record| record.position(name, 0).is_some()).unwrap_or(false),
    })
}

/// The candidates for a bare object with members of these names: the only branch that takes objects; otherwise each
/// record that has all these fields and requires no others, then the map.
fn list_bare_branches(branches: &[Node], names: &[&str]) -> Vec<usize> {
    if let Some(only) = find_only_object(branches) {
        return vec![only];
    }
    let fits = |record: &RecordType| {
        let is_needed = |place: &usize| record.members[*place].default.is_none();
        let places: Option<Vec<usize>> = names.iter().map(|name| record.position(name, 0)).collect();
        let needed = (0..record.members.len()).filter(is_needed).count();
        places.is_some_and(|places| places.iter().filter(|place| is_needed(place)).count() == needed)
    };
    let all = || branches.iter().enumerate();
    let records = all().filter(|(_, node)| with_record(node, fits).unwrap_or(false));
    let maps = all().filter(|(_, node)| matches!(node, Node::Map(_)));
    records.chain(maps).map(|(branch, _)| branch).collect()
}
