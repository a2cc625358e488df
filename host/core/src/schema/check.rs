//! Reads over a value that no column wants, as strictly as if one did.

use super::DecodeProblem as Problem;
use super::node::{Node, Record, Unit};
use super::reader::Reader;

/// Checks the value at the reader and leaves the reader behind it. On an error the reader's trail has the path
/// inside the value.
pub(super) fn check(node: &Node, reader: &mut Reader<'_>) -> Result<(), Problem> {
    match node {
        Node::Null => Ok(()),
        Node::Boolean => reader.boolean().map(drop),
        Node::Int | Node::Date | Node::Time(Unit::Millis) => reader.int().map(drop),
        Node::Long | Node::Timestamp(_) | Node::LocalTimestamp(_) | Node::Time(_) => reader.long().map(drop),
        Node::Float => reader.float().map(drop),
        Node::Double => reader.double().map(drop),
        Node::Bytes => reader.binary().map(drop),
        Node::String => reader.string().map(drop),
        Node::Decimal(decimal) => reader.decimal(decimal).map(drop),
        Node::UuidText => reader.uuid_text().map(drop),
        Node::Uuid(_) => reader.take(16).map(drop),
        Node::Duration(_) => reader.take(12).map(drop),
        Node::Fixed { size, .. } => reader.take(*size).map(drop),
        Node::Enum { symbols, .. } => reader.symbol(symbols.len()).map(drop),
        Node::Array(item) => reader.blocks(|reader| check(item, reader)),
        Node::Map(value) => reader.blocks(|reader| {
            reader.string()?;
            check(value, reader)
        }),
        Node::Union(branches) => {
            let (_, branch) = reader.branch(branches)?;
            check(branch, reader)
        }
        Node::Record(record) => members(record, reader),
        Node::Again(again) => reader.deeper(again.levels, |reader| again.walk(|record| members(record, reader))),
    }
}

fn members(record: &Record, reader: &mut Reader<'_>) -> Result<(), Problem> {
    for member in &record.members {
        check(&member.node, reader).inspect_err(|_| reader.trail.push(member.name.clone()))?;
    }
    Ok(())
}
