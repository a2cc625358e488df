//! From the parsed Avro schema to [`Node`]s: references resolved, limits checked, defaults encoded.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, OnceLock};

use apache_avro::Schema as Avro;
use apache_avro::schema::{
    Aliases, DecimalSchema, EnumSchema, InnerDecimalSchema, Name, NamespaceRef, RecordField, RecordSchema, UuidSchema,
};

use super::check::check;
use super::cycles::{endless, recursive};
use super::decimal::{self, Decimal, Fixed};
use super::encode::encode_default;
use super::node::{Again, Member, Node, Record, Unit};
use super::reader::Reader;
use super::{MAX_SCHEMA_DEPTH, MAX_SCHEMA_NODES, SchemaError};

/// The records that contain themselves, by full name.
pub(super) type Definitions = HashMap<String, Arc<OnceLock<Record>>>;

/// Walks a parsed schema once.
pub(super) struct Lowering<'s> {
    names: &'s HashMap<Name, &'s Avro>,
    recursive: HashSet<String>,
    definitions: Definitions,
    /// Definitions that have still to be walked.
    pending: VecDeque<(&'s RecordSchema, NamespaceRef<'s>)>,
    path: Vec<&'s str>,
    /// The full name of the root, while that is walked and not a definition.
    root: Option<String>,
    /// The full names of the recursive records around the current place.
    open: Vec<String>,
    /// How many records, arrays and maps are around the current place, from where the walk began.
    levels: usize,
    nodes: usize,
    depth: usize,
}

/// The root of a schema, and all that it refers to.
pub(super) fn lower_schema<'s>(
    avro: &'s Avro,
    names: &'s HashMap<Name, &'s Avro>,
) -> Result<(Node, Definitions), SchemaError> {
    if names.len() > MAX_SCHEMA_NODES {
        return Err(SchemaError::TooLarge);
    }
    let mut lowering = Lowering {
        names,
        recursive: recursive(names),
        definitions: HashMap::new(),
        pending: VecDeque::new(),
        path: Vec::new(),
        root: avro.name().map(|name| name.fullname(None)),
        open: Vec::new(),
        levels: 0,
        nodes: 0,
        depth: 0,
    };
    let root = lowering.lower(avro, None)?;
    lowering.root = None;
    while let Some((record, space)) = lowering.pending.pop_front() {
        let name = record.name.fullname(space);
        lowering.path = vec![record.name.name()];
        let lowered = lowering.open_record(record, space)?;
        if let Some(definition) = lowering.definitions.get(&name) {
            // Each is set once: it was pending once.
            let _ = definition.set(lowered);
        }
    }
    match endless(&root, &lowering.definitions) {
        Some(name) => Err(SchemaError::Endless(name)),
        None => Ok((root, lowering.definitions)),
    }
}

impl<'s> Lowering<'s> {
    /// The node of a schema inside a namespace.
    fn lower(&mut self, avro: &'s Avro, space: NamespaceRef<'s>) -> Result<Node, SchemaError> {
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
            Avro::Int => Node::Int,
            Avro::Date => Node::Date,
            Avro::TimeMillis => Node::Time(Unit::Millis),
            Avro::Long => Node::Long,
            Avro::TimeMicros => Node::Time(Unit::Micros),
            Avro::TimestampMillis => Node::Timestamp(Unit::Millis),
            Avro::TimestampMicros => Node::Timestamp(Unit::Micros),
            Avro::TimestampNanos => Node::Timestamp(Unit::Nanos),
            Avro::LocalTimestampMillis => Node::LocalTimestamp(Unit::Millis),
            Avro::LocalTimestampMicros => Node::LocalTimestamp(Unit::Micros),
            Avro::LocalTimestampNanos => Node::LocalTimestamp(Unit::Nanos),
            Avro::Float => Node::Float,
            Avro::Double => Node::Double,
            // The specification puts UUIDs on strings and fixed alone.
            Avro::Bytes | Avro::BigDecimal | Avro::Uuid(UuidSchema::Bytes) => Node::Bytes,
            Avro::String => Node::String,
            Avro::Uuid(UuidSchema::String) => Node::UuidText,
            Avro::Uuid(UuidSchema::Fixed(fixed)) => Node::Uuid(fixed.name.fullname(space)),
            Avro::Duration(fixed) => Node::Duration(fixed.name.fullname(space)),
            Avro::Decimal(decimal) => decimal_node(decimal, space),
            Avro::Fixed(fixed) => Node::Fixed { name: fixed.name.fullname(space), size: fixed.size },
            Avro::Enum(symbols) => enum_node(symbols, space),
            Avro::Array(array) => Node::Array(Box::new(self.inside(&array.items, space)?)),
            Avro::Map(map) => Node::Map(Box::new(self.inside(&map.types, space)?)),
            Avro::Union(union) => {
                let branches = union.variants().iter().map(|branch| self.lower(branch, space));
                Node::Union(branches.collect::<Result<_, _>>()?)
            }
            Avro::Record(record) => self.record(record, space)?,
            Avro::Ref { name } => self.reference(name, space)?,
        })
    }

    fn inside(&mut self, avro: &'s Avro, space: NamespaceRef<'s>) -> Result<Node, SchemaError> {
        self.levels += 1;
        let node = self.lower(avro, space)?;
        self.levels -= 1;
        Ok(node)
    }

    fn reference(&mut self, name: &'s Name, space: NamespaceRef<'s>) -> Result<Node, SchemaError> {
        let full = name.fully_qualified_name(space);
        // The namespace of what is referred to is in its own full name.
        match self.names.get_key_value(full.as_ref()) {
            Some((key, target)) => self.node(target, key.namespace()),
            None => Err(SchemaError::Invalid(format!("there is no type `{}`", full.fullname(None)))),
        }
    }

    /// A record is spelt out where it stands. Only a recursive one is referred to inside of itself and of others but
    /// the root: else types that contain each other would multiply.
    fn record(&mut self, record: &'s RecordSchema, space: NamespaceRef<'s>) -> Result<Node, SchemaError> {
        let name = record.name.fullname(space);
        let is_inside = self.open.iter().any(|open| *open == name || self.root.as_ref() != Some(open));
        if !self.recursive.contains(&name) || !is_inside {
            return Ok(Node::Record(Box::new(self.open_record(record, space)?)));
        }
        if !self.definitions.contains_key(&name) {
            self.pending.push_back((record, space));
        }
        let definition = self.definitions.entry(name.clone()).or_default();
        Ok(Node::Again(Again { definition: Arc::downgrade(definition), name, levels: self.levels }))
    }

    fn open_record(&mut self, record: &'s RecordSchema, space: NamespaceRef<'s>) -> Result<Record, SchemaError> {
        let name = record.name.fullname(space);
        let is_recursive = self.recursive.contains(&name);
        if is_recursive {
            self.open.push(name.clone());
        }
        self.levels += 1;
        let inner = record.name.namespace().or(space);
        let members = record.fields.iter().map(|field| self.member(field, inner));
        let members = members.collect::<Result<_, _>>()?;
        self.levels -= 1;
        if is_recursive {
            self.open.pop();
        }
        Ok(Record::new(name, full_names(&record.aliases, inner), members))
    }

    fn member(&mut self, field: &'s RecordField, space: NamespaceRef<'s>) -> Result<Member, SchemaError> {
        self.path.push(&field.name);
        let node = self.lower(&field.schema, space)?;
        let default = match (&field.default, node.nullable()) {
            (Some(json), _) => Some(
                default_bytes(&node, json)
                    .map_err(|reason| SchemaError::Default { path: self.path.join("."), reason })?,
            ),
            // JSON says null by leaving the field out. A branch is 0 or 1: its varint is one byte, doubled.
            (None, Some((null, _))) => Some(vec![if null == 0 { 0 } else { 2 }]),
            (None, None) => None,
        };
        self.path.pop();
        Ok(Member { name: field.name.clone(), aliases: field.aliases.clone(), node, default })
    }
}

fn default_bytes(node: &Node, json: &serde_json::Value) -> Result<Vec<u8>, String> {
    let bytes = encode_default(node, json).map_err(|error| error.to_string())?;
    // Plain bytes may be no decimal of the type.
    check(node, &mut Reader::new(&bytes)).map_err(|problem| problem.to_string())?;
    Ok(bytes)
}

/// A type with more digits than its bytes have room for, or than are counted here, is what is under it.
fn decimal_node(decimal: &DecimalSchema, space: NamespaceRef<'_>) -> Node {
    let (precision, scale) = (decimal.precision, decimal.scale);
    match &decimal.inner {
        InnerDecimalSchema::Bytes if precision > decimal::MAX_DIGITS => Node::Bytes,
        InnerDecimalSchema::Bytes => Node::Decimal(Decimal { precision, scale, fixed: None }),
        InnerDecimalSchema::Fixed(fixed) => {
            let (name, size) = (fixed.name.fullname(space), fixed.size);
            if precision > decimal::digits_in(size).min(decimal::MAX_DIGITS) {
                return Node::Fixed { name, size };
            }
            Node::Decimal(Decimal { precision, scale, fixed: Some(Fixed { name, size }) })
        }
    }
}

fn enum_node(schema: &EnumSchema, space: NamespaceRef<'_>) -> Node {
    let default = schema.default.as_ref().and_then(|name| schema.symbols.iter().position(|symbol| symbol == name));
    Node::Enum { name: schema.name.fullname(space), symbols: schema.symbols.clone(), default }
}

fn full_names(aliases: &Aliases, space: NamespaceRef<'_>) -> Vec<String> {
    aliases.iter().flatten().map(|alias| alias.fullname(space)).collect()
}
