//! Checks values that no column needs, as strictly as decoded ones.

use super::DecodeProblem;
use super::node::{Node, RecordType, TimeUnit};
use super::reader::AvroReader;

/// Checks the value at the reader's position and advances the reader past it. On an error the reader's trail has the
/// path within the value.
pub(super) fn check(node: &Node, reader: &mut AvroReader<'_>) -> Result<(), DecodeProblem> {
    match node {
        Node::Null => Ok(()),
        Node::Boolean => reader.boolean().map(drop),
        Node::Int | Node::Date | Node::Time(TimeUnit::Millis) => reader.int().map(drop),
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
        Node::Record(record) => check_members(record, reader),
        Node::RecordReference(again) => {
            reader.walk_nested(again.levels, |reader| again.walk(|record| check_members(record, reader)))
        }
    }
}

fn check_members(record: &RecordType, reader: &mut AvroReader<'_>) -> Result<(), DecodeProblem> {
    for member in &record.members {
        check(&member.node, reader).inspect_err(|_| reader.trail.push(member.name.clone()))?;
    }
    Ok(())
}
