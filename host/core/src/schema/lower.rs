//! From the parsed Avro schema to [`Node`]s: references resolved, limits checked, defaults encoded.

use std::collections::HashMap;

use apache_avro::Schema as Avro;
use apache_avro::schema::{InnerDecimalSchema, Name, NamespaceRef, RecordField, RecordSchema, UuidSchema};

use super::encode::encode_default;
use super::node::{Member, Node, Record, Unit};
use super::{MAX_SCHEMA_DEPTH, MAX_SCHEMA_NODES, SchemaError};

/// Walks a parsed schema once.
pub(super) struct Lowering<'s> {
    pub(super) names: &'s HashMap<Name, &'s Avro>,
    path: Vec<&'s str>,
    /// The full names of the records around the current place.
    open: Vec<String>,
    nodes: usize,
    depth: usize,
}

impl<'s> Lowering<'s> {
    pub(super) fn new(names: &'s HashMap<Name, &'s Avro>) -> Self {
        Self { names, path: Vec::new(), open: Vec::new(), nodes: 0, depth: 0 }
    }

    /// The node of a schema inside a namespace.
    pub(super) fn lower(&mut self, avro: &'s Avro, space: NamespaceRef<'s>) -> Result<Node, SchemaError> {
        self.nodes += 1;
        if self.nodes > MAX_SCHEMA_NODES {
            return Err(SchemaError::TooLarge);
        }
        if self.depth == MAX_SCHEMA_DEPTH {
            return Err(SchemaError::TooDeep(self.path.join(".")));
        }
        self.depth += 1;
        let node = self.node(avro, space)?;
        self.depth -= 1;
        Ok(node)
    }

    fn node(&mut self, avro: &'s Avro, space: NamespaceRef<'s>) -> Result<Node, SchemaError> {
        Ok(match avro {
            Avro::Null => Node::Null,
            Avro::Boolean => Node::Boolean,
            Avro::Int | Avro::Date | Avro::TimeMillis => Node::Int,
            Avro::Long | Avro::TimeMicros => Node::Long,
            Avro::TimestampMillis | Avro::LocalTimestampMillis => Node::Timestamp(Unit::Millis),
            Avro::TimestampMicros | Avro::LocalTimestampMicros => Node::Timestamp(Unit::Micros),
            Avro::TimestampNanos | Avro::LocalTimestampNanos => Node::Timestamp(Unit::Nanos),
            Avro::Float => Node::Float,
            Avro::Double => Node::Double,
            Avro::Bytes | Avro::BigDecimal | Avro::Uuid(UuidSchema::Bytes) => Node::Bytes,
            Avro::String | Avro::Uuid(UuidSchema::String) => Node::String,
            Avro::Decimal(decimal) => match &decimal.inner {
                InnerDecimalSchema::Bytes => Node::Bytes,
                InnerDecimalSchema::Fixed(fixed) => self.fixed(&fixed.name, fixed.size, space),
            },
            Avro::Fixed(fixed) | Avro::Uuid(UuidSchema::Fixed(fixed)) | Avro::Duration(fixed) => {
                self.fixed(&fixed.name, fixed.size, space)
            }
            Avro::Enum(symbols) => Node::Enum { name: symbols.name.fullname(space), symbols: symbols.symbols.clone() },
            Avro::Array(array) => Node::Array(Box::new(self.lower(&array.items, space)?)),
            Avro::Map(map) => Node::Map(Box::new(self.lower(&map.types, space)?)),
            Avro::Union(union) => {
                let branches = union.variants().iter().map(|branch| self.lower(branch, space));
                Node::Union(branches.collect::<Result<_, _>>()?)
            }
            Avro::Record(record) => Node::Record(Box::new(self.record(record, space)?)),
            Avro::Ref { name } => self.reference(name, space)?,
        })
    }

    fn fixed(&self, name: &Name, size: usize, space: NamespaceRef<'s>) -> Node {
        Node::Fixed { name: name.fullname(space), size }
    }

    fn reference(&mut self, name: &'s Name, space: NamespaceRef<'s>) -> Result<Node, SchemaError> {
        let full = name.fully_qualified_name(space);
        // The namespace of what is referred to is in its own full name.
        match self.names.get_key_value(full.as_ref()) {
            Some((key, target)) => self.node(target, key.namespace()),
            None => Err(SchemaError::Invalid(format!("there is no type `{}`", full.fullname(None)))),
        }
    }

    fn record(&mut self, record: &'s RecordSchema, space: NamespaceRef<'s>) -> Result<Record, SchemaError> {
        let name = record.name.fullname(space);
        if self.open.contains(&name) {
            return Err(SchemaError::Recursive { name, path: self.path.join(".") });
        }
        self.open.push(name.clone());
        let inner = record.name.namespace().or(space);
        let members = record.fields.iter().map(|field| self.member(field, inner));
        let members = members.collect::<Result<_, _>>()?;
        self.open.pop();
        Ok(Record::new(name, members))
    }

    fn member(&mut self, field: &'s RecordField, space: NamespaceRef<'s>) -> Result<Member, SchemaError> {
        self.path.push(&field.name);
        let node = self.lower(&field.schema, space)?;
        let default = match (&field.default, node.nullable()) {
            (Some(json), _) => Some(
                encode_default(&node, json)
                    .map_err(|reason| SchemaError::Default { path: self.path.join("."), reason: reason.to_string() })?,
            ),
            // JSON says null by leaving the field out. A branch is 0 or 1: its varint is one byte, doubled.
            (None, Some((null, _))) => Some(vec![if null == 0 { 0 } else { 2 }]),
            (None, None) => None,
        };
        self.path.pop();
        Ok(Member { name: field.name.clone(), node, default })
    }
}
