//! Reads over a value that no column wants, as strictly as if one did.

use super::DecodeProblem as Problem;
use super::node::Node;
use super::reader::Reader;

/// Checks the value at the reader and leaves the reader behind it. On an error the reader's trail has the path
/// inside the value.
pub(super) fn check(node: &Node, reader: &mut Reader<'_>) -> Result<(), Problem> {
    match node {
        Node::Null => Ok(()),
        Node::Boolean => reader.boolean().map(drop),
        Node::Int => reader.int().map(drop),
        Node::Long | Node::Timestamp(_) => reader.long().map(drop),
        Node::Float => reader.float().map(drop),
        Node::Double => reader.double().map(drop),
        Node::Bytes => reader.binary().map(drop),
        Node::String => reader.string().map(drop),
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
        Node::Record(record) => {
            for member in &record.members {
                check(&member.node, reader).inspect_err(|_| reader.trail.push(member.name.clone()))?;
            }
            Ok(())
        }
    }
}
