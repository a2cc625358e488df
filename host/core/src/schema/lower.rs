//! Lowers a parsed Avro schema to [`Node`]s: resolves references, checks limits, encodes defaults.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, OnceLock};

use apache_avro::Schema as Avro;
use apache_avro::schema::{
    Aliases, DecimalSchema, EnumSchema, InnerDecimalSchema, Name, NamespaceRef, RecordField, RecordSchema, UuidSchema,
};

use super::check::check;
use super::cycles::{find_endless_record, find_recursive_records};
use super::decimal::{self, Decimal, Fixed};
use super::encode::encode_default;
use super::node::{Member, Node, RecordReference, RecordType, TimeUnit};
use super::reader::AvroReader;
use super::{MAX_SCHEMA_DEPTH, MAX_SCHEMA_NODES, SchemaError};

/// The records that contain themselves, by full name.
pub(super) type Definitions = HashMap<String, Arc<OnceLock<RecordType>>>;

/// Walks a parsed schema once.
pub(super) struct Lowering<'s> {
    names: &'s HashMap<Name, &'s Avro>,
    recursive: HashSet<String>,
    definitions: Definitions,
    /// Recursive records that have still to be lowered.
    pending: VecDeque<(&'s RecordSchema, NamespaceRef<'s>)>,
    path: Vec<&'s str>,
    /// The full name of the root while it is being lowered; none while definitions are.
    root: Option<String>,
    /// The full names of the recursive records around the current place.
    open: Vec<String>,
    /// The number of records, arrays and maps around the current place, within the root or the current definition.
    levels: usize,
    nodes: usize,
    depth: usize,
}

/// Lowers a schema. Returns its root and the recursive records to which nodes refer.
pub(super) fn lower_schema<'s>(
    avro: &'s Avro,
    names: &'s HashMap<Name, &'s Avro>,
) -> Result<(Node, Definitions), SchemaError> {
    if names.len() > MAX_SCHEMA_NODES {
        return Err(SchemaError::TooLarge);
    }
    let mut lowering = Lowering {
        names,
        recursive: find_recursive_records(names),
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
        let lowered = lowering.lower_record_fields(record, space)?;
        if let Some(definition) = lowering.definitions.get(&name) {
            // Each is set once, because each was pending once.
            let _ = definition.set(lowered);
        }
    }
    match find_endless_record(&root, &lowering.definitions) {
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
        let node = self.lower_type(avro, space)?;
        self.depth -= 1;
        Ok(node)
    }

    fn lower_type(&mut self, avro: &'s Avro, space: NamespaceRef<'s>) -> Result<Node, SchemaError> {
        Ok(match avro {
            Avro::Null => Node::Null,
            Avro::Boolean => Node::Boolean,
            Avro::Int => Node::Int,
            Avro::Date => Node::Date,
            Avro::TimeMillis => Node::Time(TimeUnit::Millis),
            Avro::Long => Node::Long,
            Avro::TimeMicros => Node::Time(TimeUnit::Micros),
            Avro::TimestampMillis => Node::Timestamp(TimeUnit::Millis),
            Avro::TimestampMicros => Node::Timestamp(TimeUnit::Micros),
            Avro::TimestampNanos => Node::Timestamp(TimeUnit::Nanos),
            Avro::LocalTimestampMillis => Node::LocalTimestamp(TimeUnit::Millis),
            Avro::LocalTimestampMicros => Node::LocalTimestamp(TimeUnit::Micros),
            Avro::LocalTimestampNanos => Node::LocalTimestamp(TimeUnit::Nanos),
            Avro::Float => Node::Float,
            Avro::Double => Node::Double,
            // In the specification only strings and fixed can be UUIDs.
            Avro::Bytes | Avro::BigDecimal | Avro::Uuid(UuidSchema::Bytes) => Node::Bytes,
            Avro::String => Node::String,
            Avro::Uuid(UuidSchema::String) => Node::UuidText,
            Avro::Uuid(UuidSchema::Fixed(fixed)) => Node::Uuid(fixed.name.fullname(space)),
            Avro::Duration(fixed) => Node::Duration(fixed.name.fullname(space)),
            Avro::Decimal(decimal) => decimal_node(decimal, space),
            Avro::Fixed(fixed) => Node::Fixed { name: fixed.name.fullname(space), size: fixed.size },
            Avro::Enum(symbols) => enum_node(symbols, space),
            Avro::Array(array) => Node::Array(Box::new(self.lower_inside(&array.items, space)?)),
            Avro::Map(map) => Node::Map(Box::new(self.lower_inside(&map.types, space)?)),
            Avro::Union(union) => {
                let branches = union.variants().iter().map(|branch| self.lower(branch, space));
                Node::Union(branches.collect::<Result<_, _>>()?)
            }
            Avro::Record(record) => self.lower_record(record, space)?,
            Avro::Ref { name } => self.lower_reference(name, space)?,
        })
    }

    fn lower_inside(&mut self, avro: &'s Avro, space: NamespaceRef<'s>) -> Result<Node, SchemaError> {
        self.levels += 1;
        let node = self.lower(avro, space)?;
        self.levels -= 1;
        Ok(node)
    }

    fn lower_reference(&mut self, name: &'s Name, space: NamespaceRef<'s>) -> Result<Node, SchemaError> {
        let full = name.fully_qualified_name(space);
        // The namespace of the target is part of its own full name.
        match self.names.get_key_value(full.as_ref()) {
            Some((key, target)) => self.lower_type(target, key.namespace()),
            None => Err(SchemaError::Invalid(format!("there is no type `{}`", full.fullname(None)))),
        }
    }

    /// Lowers a record in place. A recursive record becomes a reference within itself and within other recursive
    /// records except the root: otherwise types that contain each other would multiply.
    fn lower_record(&mut self, record: &'s RecordSchema, space: NamespaceRef<'s>) -> Result<Node, SchemaError> {
        let name = record.name.fullname(space);
        let is_inside = self.open.iter().any(|open| *open == name || self.root.as_ref() != Some(open));
        if !self.recursive.contains(&name) || !is_inside {
            return Ok(Node::Record(Box::new(self.lower_record_fields(record, space)?)));
        }
        if !self.definitions.contains_key(&name) {
            self.pending.push_back((record, space));
        }
        let definition = self.definitions.entry(name.clone()).or_default();
        Ok(Node::RecordReference(RecordReference { definition: Arc::downgrade(definition), name, levels: self.levels }))
    }

    fn lower_record_fields(
        &mut self,
        record: &'s RecordSchema,
        space: NamespaceRef<'s>,
    ) -> Result<RecordType, SchemaError> {
        let name = record.name.fullname(space);
        let is_recursive = self.recursive.contains(&name);
        if is_recursive {
            self.open.push(name.clone());
        }
        self.levels += 1;
        let inner = record.name.namespace().or(space);
        let members = record.fields.iter().map(|field| self.lower_field(field, inner));
        let members = members.collect::<Result<_, _>>()?;
        self.levels -= 1;
        if is_recursive {
            self.open.pop();
        }
        Ok(RecordType::new(name, full_names(&record.aliases, inner), members))
    }

    fn lower_field(&mut self, field: &'s RecordField, space: NamespaceRef<'s>) -> Result<Member, SchemaError> {
        self.path.push(&field.name);
        let node = self.lower(&field.schema, space)?;
        let default = match (&field.default, node.nullable()) {
            (Some(json), _) => Some(
                default_bytes(&node, json)
                    .map_err(|reason| SchemaError::Default { path: self.path.join("."), reason })?,
            ),
            // A nullable field may be absent in JSON, which means null. The branch is 0 or 1, in zigzag 0 or 2.
            (None, Some((null, _))) => Some(vec![if null == 0 { 0 } else { 2 }]),
            (None, None) => None,
        };
        self.path.pop();
        Ok(Member { name: field.name.clone(), aliases: field.aliases.clone(), node, default })
    }
}

fn default_bytes(node: &Node, json: &serde_json::Value) -> Result<Vec<u8>, String> {
    let bytes = encode_default(node, json).map_err(|error| error.to_string())?;
    // The bytes of a default may be no valid decimal.
    check(node, &mut AvroReader::new(&bytes)).map_err(|problem| problem.to_string())?;
    Ok(bytes)
}

/// A decimal with more digits than its bytes can hold, or than `MAX_DIGITS`, is lowered as the type under it.
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
