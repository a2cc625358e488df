//! Whether records of one schema can be read as another: Avro's schema resolution, decided before any record comes.
//!
//! apache-avro decides about single types. The way through records, unions and references is ours, so that a refusal
//! names the field, and so that a type that is spelt out in one schema and referred to in the other is the same type.

use std::collections::{HashMap, HashSet};

use apache_avro::Schema as Avro;
use apache_avro::schema::{Name, NamespaceRef, RecordField, RecordSchema, ResolvedSchema};
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};

use super::SchemaError;
use super::parsed::parse_avro;

/// The deepest nesting, through references too, that is compared.
const MAX_DEPTH: usize = 128;
/// The most pairs of types that are compared: unions of unions can multiply.
const MAX_PAIRS: usize = 100_000;

/// Any Avro schema: what producers may write in, also what a stream's own schema may not be.
#[derive(Debug, Clone)]
pub struct AvroSchema(Avro);

/// Whether the outermost types must have the same name. Avro's resolution by fields does not need it; registries ask
/// for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootName {
    /// The same name without namespace, or an alias.
    MustAgree,
    /// Any name.
    MayDiffer,
}

/// Why records of one schema cannot be read as another, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", at(path))]
pub struct Misfit {
    /// The dotted path of the reader's field; empty: the schema as a whole. Items are `[]`.
    pub path: String,
    /// What does not fit.
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

    /// Whether every record that is written in `writer` can be read as this schema.
    ///
    /// # Errors
    /// The first place where it cannot.
    pub fn check_reads(&self, writer: &Self, root: RootName) -> Result<(), Misfit> {
        let (writer_names, reader_names) = (resolve_names(&writer.0)?, resolve_names(&self.0)?);
        let mut comparison = Comparison {
            writer_names: writer_names.get_names(),
            reader_names: reader_names.get_names(),
            path: Vec::new(),
            seen: Vec::new(),
            known: HashSet::new(),
            pairs: 0,
            beyond_limits: false,
        };
        let (written, read) = (Type { avro: &writer.0, space: None }, Type { avro: &self.0, space: None });
        match (&writer.0, &self.0) {
            (Avro::Record(_), Avro::Record(_)) if root == RootName::MayDiffer => comparison.fields(written, read),
            _ => comparison.compare(written, read),
        }
    }
}

fn resolve_names(schema: &Avro) -> Result<ResolvedSchema<'_>, Misfit> {
    ResolvedSchema::new(schema).map_err(|error| Misfit { path: String::new(), problem: error.to_string() })
}

/// A type where it stands: references are relative to the namespace around them.
#[derive(Clone, Copy)]
struct Type<'s> {
    avro: &'s Avro,
    space: NamespaceRef<'s>,
}

impl<'s> Type<'s> {
    fn of(self, avro: &'s Avro) -> Self {
        Self { avro, space: self.space }
    }

    fn resolve(self, names: &'s HashMap<Name, &'s Avro>) -> Self {
        let Avro::Ref { name } = self.avro else { return self };
        // A parsed schema has no reference without a type.
        names
            .get_key_value(name.fully_qualified_name(self.space).as_ref())
            .map_or(self, |(name, avro)| Self { avro, space: name.namespace() })
    }

    fn noun(self) -> String {
        noun(&serde_json::to_value(self.avro).unwrap_or_default())
    }
}

struct Comparison<'s> {
    writer_names: &'s HashMap<Name, &'s Avro>,
    reader_names: &'s HashMap<Name, &'s Avro>,
    path: Vec<&'s str>,
    /// Pairs of records that fit if all that contains them does, in the order in which they were met.
    seen: Vec<(String, String)>,
    known: HashSet<(String, String)>,
    pairs: usize,
    /// Nothing is known about the rest then.
    beyond_limits: bool,
}

impl<'s> Comparison<'s> {
    fn compare(&mut self, writer: Type<'s>, reader: Type<'s>) -> Result<(), Misfit> {
        self.pairs += 1;
        if self.path.len() > MAX_DEPTH || self.pairs > MAX_PAIRS {
            self.beyond_limits = true;
            return self.cannot_read(writer, reader);
        }
        let (writer, reader) = (writer.resolve(self.writer_names), reader.resolve(self.reader_names));
        match (writer.avro, reader.avro) {
            (Avro::Union(branches), _) => {
                branches.variants().iter().try_for_each(|branch| self.compare(writer.of(branch), reader))
            }
            (_, Avro::Union(branches)) => {
                let fits = branches.variants().iter().any(|branch| self.compare(writer, reader.of(branch)).is_ok());
                if fits { Ok(()) } else { self.cannot_read(writer, reader) }
            }
            (Avro::Record(written), Avro::Record(read)) => {
                if same_name(written, read) {
                    self.record(writer, reader)
                } else {
                    self.cannot_read(writer, reader)
                }
            }
            (Avro::Array(written), Avro::Array(read)) => {
                self.inside("[]", writer.of(&written.items), reader.of(&read.items))
            }
            (Avro::Map(written), Avro::Map(read)) => {
                self.inside("[]", writer.of(&written.types), reader.of(&read.types))
            }
            _ => self.plain(writer, reader),
        }
    }

    fn inside(&mut self, step: &'s str, writer: Type<'s>, reader: Type<'s>) -> Result<(), Misfit> {
        self.path.push(step);
        let outcome = self.compare(writer, reader);
        self.path.pop();
        outcome
    }

    /// Two records of the same name. A pair that was met before fits, or is being compared further out.
    fn record(&mut self, writer: Type<'s>, reader: Type<'s>) -> Result<(), Misfit> {
        let full_name = |of: Type<'_>| of.avro.name().map(|name| name.fullname(of.space)).unwrap_or_default();
        let pair = (full_name(writer), full_name(reader));
        if !self.known.insert(pair.clone()) {
            return Ok(());
        }
        let mark = self.seen.len();
        self.seen.push(pair);
        let outcome = self.fields(writer, reader);
        if outcome.is_err() {
            // What fitted under the assumption that this pair does has to be compared again elsewhere.
            for pair in self.seen.drain(mark..) {
                self.known.remove(&pair);
            }
        }
        outcome
    }

    fn fields(&mut self, writer: Type<'s>, reader: Type<'s>) -> Result<(), Misfit> {
        let (Avro::Record(written), Avro::Record(read)) = (writer.avro, reader.avro) else { return Ok(()) };
        let writer = Type { space: written.name.namespace().or(writer.space), ..writer };
        let reader = Type { space: read.name.namespace().or(reader.space), ..reader };
        for field in &read.fields {
            match counterpart(field, &written.fields) {
                Some(source) => self.inside(&field.name, writer.of(&source.schema), reader.of(&field.schema))?,
                None if field.default.is_some() => {}
                None => {
                    self.path.push(&field.name);
                    return self.misfit("the writer does not have it, and the reader has no default for it".to_owned());
                }
            }
        }
        Ok(())
    }

    /// Types without types inside.
    fn plain(&self, writer: Type<'s>, reader: Type<'s>) -> Result<(), Misfit> {
        match (SchemaCompatibility::can_read(writer.avro, reader.avro), writer.avro, reader.avro) {
            (Ok(Compatibility::Full), ..) => Ok(()),
            (_, Avro::Enum(written), Avro::Enum(read)) if written.name.name() == read.name.name() => {
                let lost = written.symbols.iter().filter(|symbol| !read.symbols.contains(symbol));
                let lost = lost.map(|symbol| format!("`{symbol}`")).collect::<Vec<_>>().join(", ");
                self.misfit(format!("the reader's enum lacks the writer's {lost}, and it has no default"))
            }
            _ => self.cannot_read(writer, reader),
        }
    }

    fn cannot_read(&self, writer: Type<'s>, reader: Type<'s>) -> Result<(), Misfit> {
        if self.beyond_limits {
            return self.misfit(format!("nested deeper than {MAX_DEPTH} levels, or too intricate to compare"));
        }
        self.misfit(format!("the writer's {} cannot be read as the reader's {}", writer.noun(), reader.noun()))
    }

    fn misfit(&self, problem: String) -> Result<(), Misfit> {
        Err(Misfit { path: self.path.join("."), problem })
    }
}

/// The writer's field that becomes a field of the reader: the one of its name, else of one of its aliases.
fn counterpart<'a>(field: &RecordField, written: &'a [RecordField]) -> Option<&'a RecordField> {
    let mut names = std::iter::once(&field.name).chain(&field.aliases);
    names.find_map(|name| written.iter().find(|source| source.name == *name))
}

fn same_name(written: &RecordSchema, read: &RecordSchema) -> bool {
    let aliases = read.aliases.iter().flatten();
    written.name.name() == read.name.name() || aliases.into_iter().any(|alias| alias.name() == written.name.name())
}

/// A type for people, out of its JSON: `long (timestamp-millis)`, `record Address`, `union of null and string`.
fn noun(json: &serde_json::Value) -> String {
    use serde_json::Value;
    match json {
        Value::String(name) => name.clone(),
        Value::Array(branches) => format!("union of {}", branches.iter().map(noun).collect::<Vec<_>>().join(" and ")),
        Value::Object(parts) => {
            let text = |part: &str| parts.get(part).and_then(Value::as_str);
            let base = parts.get("type").map(noun).unwrap_or_default();
            match (text("name"), text("logicalType")) {
                (_, Some(logical)) => format!("{base} ({logical})"),
                (Some(name), None) => format!("{base} {name}"),
                (None, None) => base,
            }
        }
        _ => String::new(),
    }
}

fn at(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("field `{path}`: ") }
}
