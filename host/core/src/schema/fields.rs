//! The parts of a record that can be columns, with their paths and types.

use std::collections::HashMap;

use super::node::{Node, RecordType};
use crate::types::Type;

/// The deepest nesting of records, within the items of a list, whose fields are parts of the items.
const MAX_PART_DEPTH: usize = 4;

/// A part of a schema that can be a column.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The names from the root, joined with dots.
    pub path: String,
    /// The column's type.
    pub kind: Type,
    /// True if the value, or a record around it, may be null.
    pub nullable: bool,
    /// True for a UUID, whose text is stored in small letters.
    pub is_uuid: bool,
}

/// All paths of a schema.
#[derive(Debug)]
pub(super) struct Fields {
    columns: Vec<Field>,
    by_path: HashMap<String, usize>,
    /// Paths that exist but cannot be columns, each with its kind of type.
    others: HashMap<String, &'static str>,
}

impl Fields {
    pub(super) fn collect(record: &RecordType) -> Self {
        let mut fields = Self { columns: Vec::new(), by_path: HashMap::new(), others: HashMap::new() };
        fields.add_record(record, "", false);
        fields
    }

    pub(super) fn columns(&self) -> &[Field] {
        &self.columns
    }

    pub(super) fn column(&self, path: &str) -> Option<&Field> {
        self.by_path.get(path).map(|index| &self.columns[*index])
    }

    pub(super) fn other(&self, path: &str) -> Option<&'static str> {
        self.others.get(path).copied()
    }

    fn add_record(&mut self, record: &RecordType, prefix: &str, nullable: bool) {
        for member in &record.members {
            let path = join(prefix, &member.name);
            match member.node.nullable() {
                Some((_, node)) => self.add(node, path, true),
                None => self.add(&member.node, path, nullable),
            }
        }
    }

    fn add(&mut self, node: &Node, path: String, nullable: bool) {
        if let Node::Record(record) = node {
            self.add_record(record, &path, nullable);
        }
        match column_type(node) {
            Some(kind) => {
                self.by_path.insert(path.clone(), self.columns.len());
                let is_uuid = matches!(node, Node::UuidText | Node::Uuid(_));
                self.columns.push(Field { path, kind, nullable, is_uuid });
            }
            None => {
                self.others.insert(path, node.kind());
            }
        }
    }
}

/// Appends a name to a path.
pub(super) fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// The column type for values of a node; none if they cannot be a column.
pub(super) fn column_type(node: &Node) -> Option<Type> {
    match node {
        Node::Array(item) => Some(Type::List(Box::new(item_type(item)?))),
        Node::Map(value) => Some(Type::Map(Box::new(scalar_type(without_null(value))?))),
        node => scalar_type(node),
    }
}

/// The type of a list's items: a scalar, or the scalar fields of a record.
fn item_type(node: &Node) -> Option<Type> {
    match without_null(node) {
        Node::Record(record) => {
            let mut parts = Vec::new();
            add_parts(record, "", MAX_PART_DEPTH, &mut parts);
            (!parts.is_empty()).then(|| Type::Record(parts.into()))
        }
        node => scalar_type(node),
    }
}

fn add_parts(record: &RecordType, prefix: &str, levels_left: usize, parts: &mut Vec<(String, Type)>) {
    for member in &record.members {
        let path = join(prefix, &member.name);
        match without_null(&member.node) {
            Node::Record(inner) if levels_left > 1 => add_parts(inner, &path, levels_left - 1, parts),
            node => parts.extend(scalar_type(node).map(|ty| (path, ty))),
        }
    }
}

fn without_null(node: &Node) -> &Node {
    node.nullable().map_or(node, |(_, node)| node)
}

fn scalar_type(node: &Node) -> Option<Type> {
    match node {
        Node::Boolean => Some(Type::Bool),
        Node::Int | Node::Long | Node::Date | Node::Time(_) => Some(Type::Int),
        Node::Timestamp(_) | Node::LocalTimestamp(_) => Some(Type::Timestamp),
        Node::Float | Node::Double | Node::Decimal(_) => Some(Type::Double),
        Node::String | Node::Enum { .. } | Node::UuidText | Node::Uuid(_) => Some(Type::Text),
        Node::Null | Node::Bytes | Node::Fixed { .. } | Node::Duration(_) => None,
        Node::Array(_) | Node::Map(_) | Node::Union(_) | Node::Record(_) | Node::RecordReference(_) => None,
    }
}
