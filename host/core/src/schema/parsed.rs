//! A parsed schema: the JSON text and the lowered form.

use std::sync::Arc;

use apache_avro::schema::ResolvedSchema;
use serde_json::Value;

use super::canonical::has_uuid_text;
use super::check::check;
use super::definition::{check_names, find_misfit_default};
use super::error::nearest;
use super::fields::{Field, Fields};
use super::lower::{Definitions, lower_schema};
use super::node::{Node, RecordType};
use super::reader::AvroReader;
use super::walk::join_trail;
use super::{DecodeError, FieldError, SchemaError};

/// An Avro record schema. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Schema(Arc<Parsed>);

#[derive(Debug)]
struct Parsed {
    json: String,
    canonical: String,
    /// Always a record.
    root: Node,
    name: String,
    fields: Fields,
    has_uuid_text: bool,
    /// Keeps the recursive records alive, to which nodes of the root have weak references.
    _definitions: Definitions,
}

impl Schema {
    /// Parses an Avro 1.12 record schema from its JSON text.
    ///
    /// # Errors
    /// The text is no Avro schema, is no record, has a type whose values never end, or exceeds the limits of this
    /// module.
    pub fn parse(json: &str) -> Result<Self, SchemaError> {
        let avro = parse_avro(json)?;
        let resolved = ResolvedSchema::try_from(&avro).map_err(invalid)?;
        let (root, definitions) = lower_schema(&avro, resolved.get_names())?;
        let Node::Record(record) = &root else {
            return Err(SchemaError::NotRecord(root.kind()));
        };
        let (name, fields) = (record.name.clone(), Fields::collect(record));
        let (json, canonical) = (json.to_owned(), avro.canonical_form());
        let again = definitions.values().filter_map(|record| record.get());
        let has_uuid_text =
            has_uuid_text(&root) || again.flat_map(|record| &record.members).any(|member| has_uuid_text(&member.node));
        Ok(Self(Arc::new(Parsed { json, canonical, root, name, fields, has_uuid_text, _definitions: definitions })))
    }

    /// Parses a schema that is part of a larger JSON document.
    ///
    /// # Errors
    /// As [`Schema::parse`].
    pub fn parse_value(json: &Value) -> Result<Self, SchemaError> {
        Self::parse(&json.to_string())
    }

    /// The full name of the record.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The JSON text that the schema was parsed from.
    pub fn json(&self) -> &str {
        &self.0.json
    }

    /// Avro's parsing canonical form, which is equal for schemas that write equal bytes. It has no logical types.
    pub fn canonical(&self) -> &str {
        &self.0.canonical
    }

    /// All fields that can be columns, in the schema's order, nested ones by dotted path.
    pub fn fields(&self) -> &[Field] {
        self.0.fields.columns()
    }

    /// The column that a dotted path names.
    ///
    /// # Errors
    /// There is no such field (the error has the nearest name), or its type cannot be a column.
    pub fn field(&self, path: &str) -> Result<&Field, FieldError> {
        if let Some(field) = self.0.fields.column(path) {
            return Ok(field);
        }
        if let Some(found) = self.0.fields.other(path) {
            return Err(FieldError::NotColumn { path: path.to_owned(), found });
        }
        // Below a type that has no inner paths, that type is the reason.
        let parents = path.match_indices('.').map(|(end, _)| &path[..end]);
        for (parent, found) in parents.filter_map(|parent| Some((parent, self.0.fields.other(parent)?))) {
            if found != "a record" {
                return Err(FieldError::NotColumn { path: parent.to_owned(), found });
            }
        }
        let suggestion = nearest(path, self.fields().iter().map(|field| field.path.as_str()));
        Err(FieldError::Unknown { schema: self.0.name.clone(), path: path.to_owned(), suggestion })
    }

    /// The length in bytes of the record at the start of `bytes`. Other records may follow it. Invalid values, such as
    /// a text that is not UTF-8, are accepted if their end can be found.
    ///
    /// # Errors
    /// The record's end cannot be found.
    pub fn record_length(&self, bytes: &[u8]) -> Result<usize, DecodeError> {
        let mut reader = AvroReader::lenient(bytes);
        match check(self.root(), &mut reader) {
            Ok(()) => Ok(reader.position()),
            Err(problem) => Err(DecodeError { path: join_trail(&reader.trail), position: reader.position(), problem }),
        }
    }

    pub(super) fn root(&self) -> &Node {
        &self.0.root
    }

    pub(super) fn has_uuid_text(&self) -> bool {
        self.0.has_uuid_text
    }

    pub(super) fn record(&self) -> &RecordType {
        match &self.0.root {
            Node::Record(record) => record,
            _ => unreachable!("parse refuses what is no record"),
        }
    }
}

impl PartialEq for Schema {
    /// Compares the texts. The canonical form is not enough, because it has no logical types.
    fn eq(&self, other: &Self) -> bool {
        self.0.json == other.0.json
    }
}

/// Parses any Avro schema.
pub(super) fn parse_avro(json: &str) -> Result<apache_avro::Schema, SchemaError> {
    let mut json = crate::json::parse(json.as_bytes()).map_err(|error| SchemaError::Invalid(error.to_string()))?;
    check_names(&json)?;
    drop_misplaced_annotations(&mut json);
    apache_avro::Schema::parse(&json).map_err(|error| match find_misfit_default(&json) {
        Some((path, reason)) => SchemaError::Default { path, reason },
        None => invalid(error),
    })
}

/// Removes logical types from types that cannot have them, where the specification ignores them. apache-avro ignores
/// them only on simple types.
fn drop_misplaced_annotations(json: &mut Value) {
    match json {
        Value::Object(parts) => {
            let is_simple = !matches!(
                parts.get("type").and_then(Value::as_str),
                Some("record" | "error" | "enum" | "array" | "map")
            );
            if !(is_simple && parts.get("logicalType").is_some_and(Value::is_string)) {
                parts.remove("logicalType");
            }
            for (name, part) in parts {
                // A default is a value and not a schema.
                if matches!(name.as_str(), "type" | "items" | "values" | "fields") {
                    drop_misplaced_annotations(part);
                }
            }
        }
        Value::Array(parts) => parts.iter_mut().for_each(drop_misplaced_annotations),
        _ => {}
    }
}

fn invalid(error: apache_avro::Error) -> SchemaError {
    SchemaError::Invalid(error.to_string())
}
