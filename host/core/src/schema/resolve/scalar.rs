//! Plans for types without inner types.

use super::super::decimal::Decimal;
use super::super::node::{Node, TimeUnit};
use super::plan::{Mismatch, NumberType, Plan, mismatch};

pub(super) fn plan_scalar(writer: &Node, reader: &Node) -> Result<Plan, Mismatch> {
    if let (Some(from), Some(to)) = (NumberType::from_node(writer), NumberType::from_node(reader)) {
        return plan_number(writer, from, reader, to);
    }
    let copy = || Ok(Plan::Copy(writer.clone()));
    match (writer, reader) {
        (Node::Null, Node::Null) | (Node::Boolean, Node::Boolean) => copy(),
        (Node::String, Node::String) | (Node::UuidText, Node::UuidText | Node::String) => copy(),
        (Node::String | Node::UuidText | Node::Bytes, Node::Bytes) => copy(),
        (Node::String, Node::UuidText) | (Node::Bytes, Node::String | Node::UuidText) => {
            Ok(Plan::Checked(reader.clone()))
        }
        (Node::Decimal(from), Node::Decimal(to)) if from.size() == to.size() => {
            if from.scale != to.scale || from.precision > to.precision {
                let describe = |decimal: &Decimal| {
                    format!("a decimal of {} digits, {} behind the point", decimal.precision, decimal.scale)
                };
                let why = format!("it is written as {} and read as {}", describe(from), describe(to));
                return Err(Mismatch { trail: Vec::new(), why });
            }
            copy()
        }
        (Node::Decimal(from), Node::Bytes) if from.size().is_none() => copy(),
        (Node::Bytes, Node::Decimal(to)) if to.size().is_none() => Ok(Plan::Checked(reader.clone())),
        (Node::Enum { symbols: from, .. }, Node::Enum { symbols: to, default, .. }) => match to.starts_with(from) {
            true => copy(),
            false => {
                let place = |symbol| to.iter().position(|other| other == symbol).or(*default);
                Ok(Plan::Symbols(from.iter().map(place).collect()))
            }
        },
        _ if writer.fixed_size().is_none() || writer.fixed_size() != reader.fixed_size() => {
            Err(mismatch(writer, reader))
        }
        (Node::Uuid(_), Node::Uuid(_)) | (Node::Duration(_), Node::Duration(_)) | (_, Node::Fixed { .. }) => copy(),
        (Node::Fixed { .. }, _) => Ok(Plan::Checked(reader.clone())),
        _ => Err(mismatch(writer, reader)),
    }
}

/// Numbers are widened. A time is read as a time of the same kind, or as its whole number.
fn plan_number(writer: &Node, from: NumberType, reader: &Node, to: NumberType) -> Result<Plan, Mismatch> {
    let is_plain = |node: &Node| matches!(node, Node::Int | Node::Long | Node::Float | Node::Double);
    match (writer, reader) {
        (Node::Timestamp(from) | Node::LocalTimestamp(from), Node::Timestamp(to) | Node::LocalTimestamp(to)) => {
            Ok(if from == to { Plan::Copy(writer.clone()) } else { Plan::Timestamp(*from, *to) })
        }
        (Node::Date, Node::Date) => Ok(Plan::Copy(writer.clone())),
        (Node::Time(from), Node::Time(to)) if from == to => Ok(Plan::Copy(writer.clone())),
        _ if !is_plain(writer) && !is_plain(reader) => Err(mismatch(writer, reader)),
        _ if from == to || (from, to) == (NumberType::Int, NumberType::Long) => Ok(Plan::Copy(writer.clone())),
        _ if from < to && is_plain(writer) => Ok(Plan::Number(from, to)),
        _ => Err(mismatch(writer, reader)),
    }
}

impl NumberType {
    /// The number type in Avro's binary encoding; none for other types.
    fn from_node(node: &Node) -> Option<Self> {
        match node {
            Node::Int | Node::Date | Node::Time(TimeUnit::Millis) => Some(Self::Int),
            Node::Long | Node::Time(_) | Node::Timestamp(_) | Node::LocalTimestamp(_) => Some(Self::Long),
            Node::Float => Some(Self::Float),
            Node::Double => Some(Self::Double),
            _ => None,
        }
    }
}
