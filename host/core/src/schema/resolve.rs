//! Records of one schema turned into records of another, by Avro's rules of resolution.
//! See <https://avro.apache.org/docs/1.12.0/specification/#schema-resolution>.
//!
//! More lenient than the specification in this: names of records are compared only to choose among a union's
//! branches, a missing field may be null where its type allows it, and timestamps change their unit. Aliases are not
//! looked at.

use super::check::check;
use super::node::{Node, Record, Unit};
use super::reader::Reader;
use super::walk::join_trail;
use super::{DecodeError, DecodeProblem as Problem, MAX_EVENT_BYTES, Schema};
use crate::wire::put_signed;

/// Turns records of a writer's schema into records of a reader's.
#[derive(Debug)]
pub struct Resolver {
    plan: Plan,
}

/// Why records of one schema cannot be read as records of another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", if path.is_empty() { "the record" } else { path })]
pub struct Incompatible {
    /// The dotted path of the field; empty: the record itself.
    pub path: String,
    /// What does not fit.
    pub why: String,
}

/// What is done with one value.
#[derive(Debug)]
enum Plan {
    /// The same bytes.
    Copy(Node),
    /// A number, written as another type.
    Number(Number, Number),
    /// Bytes that must be text.
    BytesToText,
    /// A timestamp of another unit.
    Timestamp(Unit, Unit),
    /// Per symbol of the writer, the reader's.
    Symbols(Vec<Option<usize>>),
    Array(Box<Plan>),
    Map(Box<Plan>),
    Record(Box<Fields>),
    /// Per branch of the writer's union; none: no value of this branch can be read.
    Branches(Vec<Option<Plan>>),
    /// Into this branch of the reader's union.
    Into(usize, Box<Plan>),
}

#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Number {
    Int,
    Long,
    Float,
    Double,
}

/// The fields of a record.
#[derive(Debug)]
struct Fields {
    /// In the writer's order; a field without a plan is passed over.
    written: Vec<(String, Result<Plan, Node>)>,
    /// In the reader's order.
    read: Vec<Source>,
}

/// Where a field of the reader comes from.
#[derive(Debug)]
enum Source {
    Written(usize),
    Default(Vec<u8>),
}

impl Resolver {
    /// Compares two schemas; none: every record of the writer already is one of the reader.
    ///
    /// # Errors
    /// No record of the writer can be read, with the first reason.
    pub fn new(writer: &Schema, reader: &Schema) -> Result<Option<Self>, Incompatible> {
        let plan = plan(writer.root(), reader.root()).map_err(|mut error| {
            error.trail.reverse();
            Incompatible { path: error.trail.join("."), why: error.why }
        })?;
        Ok(if matches!(plan, Plan::Copy(_)) { None } else { Some(Self { plan }) })
    }

    /// Appends a record of the writer to `out` as one of the reader. On an error `out` is as it was.
    ///
    /// # Errors
    /// The record is malformed, or has a value that the reader has no place for.
    pub fn resolve(&self, record: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let mut reader = Reader::new(record);
        let start = out.len();
        let result = match record.len() {
            length if length > MAX_EVENT_BYTES => Err(Problem::TooLarge(length)),
            _ => self.plan.run(&mut reader, out).and_then(|()| reader.end()),
        };
        result.map_err(|problem| {
            out.truncate(start);
            DecodeError { path: join_trail(&reader.trail), position: reader.position(), problem }
        })
    }
}

/// A mismatch on its way up; the trail has the innermost name first.
struct Mismatch {
    trail: Vec<String>,
    why: String,
}

fn plan(writer: &Node, reader: &Node) -> Result<Plan, Mismatch> {
    let mismatch = || {
        let why = format!("it is written as {} and read as {}", writer.kind(), reader.kind());
        Mismatch { trail: Vec::new(), why }
    };
    if let (Some(from), Some(to)) = (Number::of(writer), Number::of(reader)) {
        return match from {
            _ if from == to || (from, to) == (Number::Int, Number::Long) => Ok(Plan::Copy(writer.clone())),
            _ if from < to => Ok(Plan::Number(from, to)),
            _ => Err(mismatch()),
        };
    }
    Ok(match (writer, reader) {
        (Node::Union(from), Node::Union(to)) if is_same_union(from, to) => Plan::Copy(writer.clone()),
        (Node::Union(branches), _) => {
            let plans: Vec<Option<Plan>> = branches.iter().map(|branch| plan(branch, reader).ok()).collect();
            match plans.iter().any(Option::is_some) {
                true => Plan::Branches(plans),
                false => return Err(mismatch()),
            }
        }
        (_, Node::Union(branches)) => into_branch(writer, branches).ok_or_else(mismatch)?,
        (Node::Null, Node::Null) | (Node::Boolean, Node::Boolean) | (Node::Bytes, Node::Bytes) => {
            Plan::Copy(writer.clone())
        }
        (Node::String, Node::String | Node::Bytes) => Plan::Copy(writer.clone()),
        (Node::Bytes, Node::String) => Plan::BytesToText,
        (Node::Timestamp(from), Node::Timestamp(to)) if from != to => Plan::Timestamp(*from, *to),
        (Node::Timestamp(_) | Node::Long, Node::Timestamp(_) | Node::Long) => Plan::Copy(writer.clone()),
        (Node::Int, Node::Timestamp(_)) => Plan::Copy(Node::Int),
        (Node::Fixed { size: from, .. }, Node::Fixed { size: to, .. }) if from == to => Plan::Copy(writer.clone()),
        (Node::Enum { symbols: from, .. }, Node::Enum { symbols: to, .. }) => match to.starts_with(from) {
            true => Plan::Copy(writer.clone()),
            false => Plan::Symbols(from.iter().map(|symbol| to.iter().position(|other| other == symbol)).collect()),
        },
        (Node::Array(from), Node::Array(to)) => match plan(from, to)? {
            Plan::Copy(_) => Plan::Copy(writer.clone()),
            item => Plan::Array(Box::new(item)),
        },
        (Node::Map(from), Node::Map(to)) => match plan(from, to)? {
            Plan::Copy(_) => Plan::Copy(writer.clone()),
            item => Plan::Map(Box::new(item)),
        },
        (Node::Record(from), Node::Record(to)) => record(from, to, writer)?,
        _ => return Err(mismatch()),
    })
}

impl Number {
    /// Plain numbers only: a timestamp is none.
    fn of(node: &Node) -> Option<Self> {
        match node {
            Node::Int => Some(Self::Int),
            Node::Long => Some(Self::Long),
            Node::Float => Some(Self::Float),
            Node::Double => Some(Self::Double),
            _ => None,
        }
    }
}

fn is_same_union(from: &[Node], to: &[Node]) -> bool {
    let is_same = |(from, to)| matches!(plan(from, to), Ok(Plan::Copy(_))) && Node::tag(from) == Node::tag(to);
    from.len() <= to.len() && from.iter().zip(to).all(is_same)
}

/// The branch that takes a value: of the same type if there is one, else the first that can.
fn into_branch(writer: &Node, branches: &[Node]) -> Option<Plan> {
    let same = branches.iter().position(|branch| branch.tag() == writer.tag());
    same.into_iter()
        .chain(0..branches.len())
        .find_map(|index| Some(Plan::Into(index, Box::new(plan(writer, &branches[index]).ok()?))))
}

fn record(from: &Record, to: &Record, writer: &Node) -> Result<Plan, Mismatch> {
    let mut written = Vec::new();
    for (index, member) in from.members.iter().enumerate() {
        let plan = match to.position(&member.name, index) {
            Some(place) => Ok(plan(&member.node, &to.members[place].node).map_err(|mut error| {
                error.trail.push(member.name.clone());
                error
            })?),
            None => Err(member.node.clone()),
        };
        written.push((member.name.clone(), plan));
    }
    let mut read = Vec::new();
    for (index, member) in to.members.iter().enumerate() {
        read.push(match (from.position(&member.name, index), &member.default) {
            (Some(place), _) => Source::Written(place),
            (None, Some(default)) => Source::Default(default.clone()),
            (None, None) => {
                let why = "it is not written, and has no default".to_owned();
                return Err(Mismatch { trail: vec![member.name.clone()], why });
            }
        });
    }
    let is_copy = read.len() == written.len()
        && read.iter().enumerate().all(|(index, source)| matches!(source, Source::Written(at) if *at == index))
        && written.iter().all(|(_, plan)| matches!(plan, Ok(Plan::Copy(_))));
    Ok(if is_copy { Plan::Copy(writer.clone()) } else { Plan::Record(Box::new(Fields { written, read })) })
}

impl Plan {
    fn run(&self, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Problem> {
        match self {
            Self::Copy(node) => {
                let bytes = reader.passed(|reader| check(node, reader))?;
                out.extend_from_slice(bytes);
            }
            Self::Number(from, to) => number(*from, *to, reader, out)?,
            Self::BytesToText => {
                let bytes = reader.passed(|reader| reader.string().map(|_| ()))?;
                out.extend_from_slice(bytes);
            }
            Self::Timestamp(from, to) => put_signed(out, convert(reader.long()?, *from, *to)?),
            Self::Symbols(symbols) => {
                let symbol = reader.symbol(symbols.len())?;
                let place = symbols[symbol].ok_or(Problem::NoSymbol(symbol as i64))?;
                put_signed(out, place as i64);
            }
            Self::Array(item) => blocks(reader, out, |reader, out| item.run(reader, out))?,
            Self::Map(item) => blocks(reader, out, |reader, out| {
                out.extend_from_slice(reader.passed(|reader| reader.string().map(|_| ()))?);
                item.run(reader, out)
            })?,
            Self::Record(fields) => fields.run(reader, out)?,
            Self::Branches(plans) => {
                let index = reader.long()?;
                let plan = usize::try_from(index).ok().and_then(|index| plans.get(index)?.as_ref());
                plan.ok_or(Problem::NoBranch(index))?.run(reader, out)?;
            }
            Self::Into(branch, plan) => {
                put_signed(out, *branch as i64);
                plan.run(reader, out)?;
            }
        }
        Ok(())
    }
}

impl Fields {
    fn run(&self, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Problem> {
        let mut values = Vec::new();
        let mut ends = Vec::with_capacity(self.written.len());
        for (name, plan) in &self.written {
            let result = match plan {
                Ok(plan) => plan.run(reader, &mut values),
                Err(node) => check(node, reader),
            };
            result.inspect_err(|_| reader.trail.push(name.clone()))?;
            ends.push(values.len());
        }
        for source in &self.read {
            match source {
                Source::Written(place) => {
                    let start = place.checked_sub(1).map_or(0, |before| ends[before]);
                    out.extend_from_slice(&values[start..ends[*place]]);
                }
                Source::Default(default) => out.extend_from_slice(default),
            }
        }
        Ok(())
    }
}

fn blocks(
    reader: &mut Reader<'_>,
    out: &mut Vec<u8>,
    mut item: impl FnMut(&mut Reader<'_>, &mut Vec<u8>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let (mut items, mut count) = (Vec::new(), 0);
    reader.blocks(|reader| {
        count += 1;
        item(reader, &mut items)
    })?;
    if count > 0 {
        put_signed(out, count);
        out.extend_from_slice(&items);
    }
    out.push(0);
    Ok(())
}

fn number(from: Number, to: Number, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Problem> {
    // The specification lets a long become a float, rounded.
    let value = match from {
        Number::Int => f64::from(reader.int()?),
        Number::Long => reader.long()? as f64,
        Number::Float => f64::from(reader.float()?),
        Number::Double => reader.double()?,
    };
    match to {
        Number::Float => out.extend_from_slice(&(value as f32).to_le_bytes()),
        _ => out.extend_from_slice(&value.to_le_bytes()),
    }
    Ok(())
}

fn convert(value: i64, from: Unit, to: Unit) -> Result<i64, Problem> {
    let nanos = i128::from(value) * i128::from(1_000_000 / from.per_milli());
    let converted = nanos.div_euclid(i128::from(1_000_000 / to.per_milli()));
    i64::try_from(converted).map_err(|_| Problem::VarintOverflow)
}

#[cfg(test)]
mod tests;
