//! Checks if records of one schema can be read as another by Avro's schema resolution, without any record.
//!
//! apache-avro compares types without inner types. Records, unions and references are compared here, so that an error
//! names the field, and so that a type that is spelt out in one schema and a reference in the other is the same type.

use std::collections::{HashMap, HashSet};

use apache_avro::Schema as Avro;
use apache_avro::schema::{Name, NamespaceRef, RecordField, RecordSchema, ResolvedSchema};
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};

use super::SchemaError;
use super::parsed::parse_avro;

/// The deepest nesting that is compared. References count as nesting.
const MAX_COMPARED_DEPTH: usize = 128;
/// The most pairs of types that are compared, because unions within unions multiply the pairs.
const MAX_COMPARED_PAIRS: usize = 100_000;

/// Any Avro schema of a producer. Unlike a stream's schema it need not be a record.
#[derive(Debug, Clone)]
pub struct AvroSchema(Avro);

/// The rule for the names of the outermost types. Avro's resolution by fields ignores them; schema registries compare
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootName {
    /// The same name without namespace, or an alias.
    MustAgree,
    /// Any name.
    MayDiffer,
}

/// The reason why records of one schema cannot be read as another, with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", describe_field(path))]
pub struct SchemaMismatch {
    /// The dotted path of the reader's field; empty: the whole schema. Items of arrays and maps are `[]`.
    pub path: String,
    /// The mismatch, for people.
    pub problem: String,
}

impl AvroSchema {
    /// Parses the JSON text of a schema.
    ///
    /// # Errors
    /// It is no Avro schema.
    pub fn parse(json: &str) -> Result<Self, SchemaError> {
        let invalid = |error: apache_avro::Error| SchemaError::Invalid(error.to_string());
        let avro = parse_avro(json)?;
        ResolvedSchema::try_from(&avro).map_err(invalid)?;
        Ok(Self(avro))
    }

    /// Checks that every record of the schema `writer` can be read as this schema.
    ///
    /// # Errors
    /// The first place where it cannot.
    pub fn check_reads(&self, writer: &Self, root: RootName) -> Result<(), SchemaMismatch> {
        let (writer_names, reader_names) = (resolve_names(&writer.0)?, resolve_names(&self.0)?);
        let mut comparison = Comparison {
            writer_names: writer_names.get_names(),
            reader_names: reader_names.get_names(),
            path: Vec::new(),
            seen: Vec::new(),
            known: HashSet::new(),
            pairs: 0,
            is_beyond_limits: false,
        };
        let (written, read) = (ScopedType { avro: &writer.0, space: None }, ScopedType { avro: &self.0, space: None });
        match (&writer.0, &self.0) {
            (Avro::Record(_), Avro::Record(_)) if root == RootName::MayDiffer => {
                comparison.compare_fields(written, read)
            }
            _ => comparison.compare(written, read),
        }
    }
}

fn resolve_names(schema: &Avro) -> Result<ResolvedSchema<'_>, SchemaMismatch> {
    ResolvedSchema::new(schema).map_err(|error| SchemaMismatch { path: String::new(), problem: error.to_string() })
}

/// A type with the namespace around it, by which its references are resolved.
#[derive(Clone, Copy)]
struct ScopedType<'s> {
    avro: &'s Avro,
    space: NamespaceRef<'s>,
}

impl<'s> ScopedType<'s> {
    fn with_type(self, avro: &'s Avro) -> Self {
        Self { avro, space: self.space }
    }

    fn resolve(self, names: &'s HashMap<Name, &'s Avro>) -> Self {
        let Avro::Ref { name } = self.avro else { return self };
        // A parsed schema has no reference without a type.
        names
            .get_key_value(name.fully_qualified_name(self.space).as_ref())
            .map_or(self, |(name, avro)| Self { avro, space: name.namespace() })
    }

    fn describe(self) -> String {
        describe(&serde_json::to_value(self.avro).unwrap_or_default())
    }
}

struct Comparison<'s> {
    writer_names: &'s HashMap<Name, &'s Avro>,
    reader_names: &'s HashMap<Name, &'s Avro>,
    path: Vec<&'s str>,
    /// Pairs of records that were found compatible under the assumption that the enclosing pairs are, in the order of
    /// their comparison.
    seen: Vec<(String, String)>,
    known: HashSet<(String, String)>,
    pairs: usize,
    /// True when a limit was reached, so that the rest is unknown.
    is_beyond_limits: bool,
}

impl<'s> Comparison<'s> {
    fn compare(&mut self, writer: ScopedType<'s>, reader: ScopedType<'s>) -> Result<(), SchemaMismatch> {
        self.pairs += 1;
        if self.path.len() > MAX_COMPARED_DEPTH || self.pairs > MAX_COMPARED_PAIRS {
            self.is_beyond_limits = true;
            return self.report_unreadable(writer, reader);
        }
        let (writer, reader) = (writer.resolve(self.writer_names), reader.resolve(self.reader_names));
        match (writer.avro, reader.avro) {
            (Avro::Union(branches), _) => {
                branches.variants().iter().try_for_each(|branch| self.compare(writer.with_type(branch), reader))
            }
            (_, Avro::Union(branches)) => {
                let fits =
                    branches.variants().iter().any(|branch| self.compare(writer, reader.with_type(branch)).is_ok());
                if fits { Ok(()) } else { self.report_unreadable(writer, reader) }
            }
            (Avro::Record(written), Avro::Record(read)) => {
                if names_match(written, read) {
                    self.compare_records(writer, reader)
                } else {
                    self.report_unreadable(writer, reader)
                }
            }
            (Avro::Array(written), Avro::Array(read)) => {
                self.compare_inside("[]", writer.with_type(&written.items), reader.with_type(&read.items))
            }
            (Avro::Map(written), Avro::Map(read)) => {
                self.compare_inside("[]", writer.with_type(&written.types), reader.with_type(&read.types))
            }
            _ => self.compare_plain(writer, reader),
        }
    }

    fn compare_inside(
        &mut self,
        step: &'s str,
        writer: ScopedType<'s>,
        reader: ScopedType<'s>,
    ) -> Result<(), SchemaMismatch> {
        self.path.push(step);
        let outcome = self.compare(writer, reader);
        self.path.pop();
        outcome
    }

    /// Compares two records of the same name. A known pair is compatible, or its comparison is in progress and is
    /// assumed to succeed, which ends the recursion.
    fn compare_records(&mut self, writer: ScopedType<'s>, reader: ScopedType<'s>) -> Result<(), SchemaMismatch> {
        let full_name =
            |record: ScopedType<'_>| record.avro.name().map(|name| name.fullname(record.space)).unwrap_or_default();
        let pair = (full_name(writer), full_name(reader));
        if !self.known.insert(pair.clone()) {
            return Ok(());
        }
        let mark = self.seen.len();
        self.seen.push(pair);
        let outcome = self.compare_fields(writer, reader);
        if outcome.is_err() {
            // Pairs that were compatible under the assumption about this pair must be compared again elsewhere.
            for pair in self.seen.drain(mark..) {
                self.known.remove(&pair);
            }
        }
        outcome
    }

    fn compare_fields(&mut self, writer: ScopedType<'s>, reader: ScopedType<'s>) -> Result<(), SchemaMismatch> {
        let (Avro::Record(written), Avro::Record(read)) = (writer.avro, reader.avro) else { return Ok(()) };
        let writer = ScopedType { space: written.name.namespace().or(writer.space), ..writer };
        let reader = ScopedType { space: read.name.namespace().or(reader.space), ..reader };
        for field in &read.fields {
            match find_counterpart(field, &written.fields) {
                Some(source) => {
                    self.compare_inside(&field.name, writer.with_type(&source.schema), reader.with_type(&field.schema))?
                }
                None if field.default.is_some() => {}
                None => {
                    self.path.push(&field.name);
                    return self
                        .mismatch("the writer does not have it, and the reader has no default for it".to_owned());
                }
            }
        }
        Ok(())
    }

    /// Compares types without inner types.
    fn compare_plain(&self, writer: ScopedType<'s>, reader: ScopedType<'s>) -> Result<(), SchemaMismatch> {
        match (SchemaCompatibility::can_read(writer.avro, reader.avro), writer.avro, reader.avro) {
            (Ok(Compatibility::Full), ..) => Ok(()),
            (_, Avro::Enum(written), Avro::Enum(read)) if written.name.name() == read.name.name() => {
                let lost = written.symbols.iter().filter(|symbol| !read.symbols.contains(symbol));
                let lost = lost.map(|symbol| format!("`{symbol}`")).collect::<Vec<_>>().join(", ");
                self.mismatch(format!("the reader's enum lacks the writer's {lost}, and it has no default"))
            }
            _ => self.report_unreadable(writer, reader),
        }
    }

    fn report_unreadable(&self, writer: ScopedType<'s>, reader: ScopedType<'s>) -> Result<(), SchemaMismatch> {
        if self.is_beyond_limits {
            return self
                .mismatch(format!("nested deeper than {MAX_COMPARED_DEPTH} levels, or too intricate to compare"));
        }
        self.mismatch(format!(
            "the writer's {} cannot be read as the reader's {}",
            writer.describe(),
            reader.describe()
        ))
    }

    fn mismatch(&self, problem: String) -> Result<(), SchemaMismatch> {
        Err(SchemaMismatch { path: self.path.join("."), problem })
    }
}

/// The writer's field for a field of the reader: the one with its name, else with one of its aliases.
fn find_counterpart<'a>(field: &RecordField, written: &'a [RecordField]) -> Option<&'a RecordField> {
    let mut names = std::iter::once(&field.name).chain(&field.aliases);
    names.find_map(|name| written.iter().find(|source| source.name == *name))
}

fn names_match(written: &RecordSchema, read: &RecordSchema) -> bool {
    let aliases = read.aliases.iter().flatten();
    written.name.name() == read.name.name() || aliases.into_iter().any(|alias| alias.name() == written.name.name())
}

/// Describes a type by its JSON: `long (timestamp-millis)`, `record Address`, `union of null and string`.
fn describe(json: &serde_json::Value) -> String {
    use serde_json::Value;
    match json {
        Value::String(name) => name.clone(),
        Value::Array(branches) => {
            format!("union of {}", branches.iter().map(describe).collect::<Vec<_>>().join(" and "))
        }
        Value::Object(parts) => {
            let text = |part: &str| parts.get(part).and_then(Value::as_str);
            let base = parts.get("type").map(describe).unwrap_or_default();
            match (text("name"), text("logicalType")) {
                (_, Some(logical)) => format!("{base} ({logical})"),
                (Some(name), None) => format!("{base} {name}"),
                (None, None) => base,
            }
        }
        _ => String::new(),
    }
}

fn describe_field(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("field `{path}`: ") }
}
