//! The schema registry: Avro schemas by id and by subject, kept in the catalog. Subjects, versions and ids mean what
//! they mean in Confluent's schema registry; HTTP is not known here.
//!
//! It needs no more than the catalog: a log that reads Confluent's wire format uses it as the API does. A registration
//! is a commit past the engine's handle; the engine notices that it does not concern its workers.

mod error;
mod schema_index;

use assay_core::schema::AvroSchema;
use serde_json::Value;

use crate::clock::now_ms;
pub use crate::definition::StoredSchema;
use crate::ports::StoreError;
use crate::ports::catalog::{Catalog, Change, CommitError, Kind};
pub use error::RegistryError;
use schema_index::SchemaIndex;

/// The longest name of a subject, in bytes: a topic's 249 and a record's name fit.
pub const MAX_SUBJECT_BYTES: usize = 1024;
/// The largest schema, in bytes.
pub const MAX_SCHEMA_BYTES: usize = 1 << 20;
/// The most bytes that all schemas may have together: they are in memory.
pub const MAX_TOTAL_BYTES: usize = 64 << 20;
/// How often a commit is tried while others change the catalog. Each of them made progress meanwhile.
const MAX_ATTEMPTS: usize = 1000;

/// One version of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredSchema {
    /// The subject.
    pub subject: String,
    /// Counted from 1 per subject.
    pub version: u32,
    /// The schema's id, from 1. The same schema has the same id under every subject.
    pub id: i32,
    /// The schema as JSON text.
    pub schema: String,
}

/// Which version of a subject is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The newest.
    Latest,
    /// This one.
    Number(u32),
}

/// A schema that was sent, checked by itself.
struct SubmittedSchema {
    value: Value,
    text: String,
    avro: AvroSchema,
}

impl SubmittedSchema {
    fn read(text: &str) -> Result<Self, RegistryError> {
        if text.len() > MAX_SCHEMA_BYTES {
            let problem = format!("it has {} bytes; at most {MAX_SCHEMA_BYTES} are allowed", text.len());
            return Err(RegistryError::Invalid(problem));
        }
        let value: Value = serde_json::from_str(text)
            .map_err(|error| RegistryError::Invalid(format!("expected an Avro schema as JSON: {error}")))?;
        let text = value.to_string();
        let avro = AvroSchema::parse(&text).map_err(|error| RegistryError::Invalid(error.to_string()))?;
        Ok(Self { value, text, avro })
    }
}

/// The schema registry in a catalog. All calls may block.
#[derive(Clone, Copy)]
pub struct Registry<'a> {
    catalog: &'a dyn Catalog,
}

impl<'a> Registry<'a> {
    /// The registry that a catalog holds.
    pub fn new(catalog: &'a dyn Catalog) -> Self {
        Self { catalog }
    }

    /// The schema with an id, with one cheap read; none if there is no such id.
    ///
    /// # Errors
    /// The catalog fails.
    pub fn by_id(&self, id: i32) -> Result<Option<StoredSchema>, StoreError> {
        let newest = self.catalog.revisions(Kind::Schema, &id.to_string())?.into_iter().next();
        newest.map(|revision| schema_index::stored(&revision)).transpose()
    }

    /// The highest id that was given; 0: there is no schema yet.
    ///
    /// # Errors
    /// The catalog fails.
    pub fn max_id(&self) -> Result<i32, StoreError> {
        Ok(self.read_index()?.max_id())
    }

    /// Registers a schema under a subject as its next version. If the subject has it already, that version is the
    /// answer; if only other subjects have it, its id stays the same. Durable on return.
    ///
    /// # Errors
    /// It is no Avro schema, it cannot read what the latest version wrote, the stream of this topic cannot read it
    /// (see [`RegistryError`]), or the catalog fails. Nothing has changed then.
    pub fn register(&self, subject: &str, schema: &str, author: &str) -> Result<RegisteredSchema, RegistryError> {
        check_subject(subject)?;
        let sent = SubmittedSchema::read(schema)?;
        for _ in 0..MAX_ATTEMPTS {
            let snapshot = self.catalog.snapshot(None)?;
            let schema_index = SchemaIndex::read(&snapshot)?;
            if let Some(found) = schema_index.find(subject, &sent) {
                return Ok(found);
            }
            if let Some(misfit) = schema_index.misfits(subject, Version::Latest, &sent)?.into_iter().next() {
                return Err(RegistryError::Incompatible { subject: subject.to_owned(), misfit });
            }
            let (registered, stored) = schema_index.next(subject, &sent)?;
            let change = Change::set(registered.id.to_string(), stored);
            match self.catalog.commit(snapshot.version, vec![change], author, now_ms()) {
                Ok(_) => {
                    let RegisteredSchema { id, version, .. } = registered;
                    tracing::info!(subject, version, id, author, "a schema was registered");
                    return Ok(registered);
                }
                // Somebody else was faster, maybe with the same schema.
                Err(CommitError::Conflict { .. }) => {}
                Err(CommitError::Store(error)) => return Err(error.into()),
            }
        }
        let message = format!("registering a schema: others changed it {MAX_ATTEMPTS} times meanwhile; try again");
        Err(StoreError::Unavailable { store: "catalog", message }.into())
    }

    /// The version of a subject that has this schema.
    ///
    /// # Errors
    /// It is no Avro schema, there is no such subject, the subject does not have it, or the catalog fails.
    pub fn lookup(&self, subject: &str, schema: &str) -> Result<RegisteredSchema, RegistryError> {
        let schema_index = self.read_index()?;
        schema_index.check_known(subject)?;
        let sent = SubmittedSchema::read(schema)?;
        schema_index.find(subject, &sent).ok_or(RegistryError::UnknownSchema)
    }

    /// What does not fit if a schema were registered, other than as the next version: each with the field. Empty: it
    /// fits. A subject that is not there yet has no latest version, and everything fits that.
    ///
    /// # Errors
    /// It is no Avro schema, there is no such version, or the catalog fails.
    pub fn misfits(&self, subject: &str, version: Version, schema: &str) -> Result<Vec<String>, RegistryError> {
        check_subject(subject)?;
        let sent = SubmittedSchema::read(schema)?;
        self.read_index()?.misfits(subject, version, &sent)
    }

    /// All subjects, by name.
    ///
    /// # Errors
    /// The catalog fails.
    pub fn subjects(&self) -> Result<Vec<String>, RegistryError> {
        Ok(self.read_index()?.subjects())
    }

    /// All versions of a subject, the oldest first.
    ///
    /// # Errors
    /// There is no such subject, or the catalog fails.
    pub fn versions(&self, subject: &str) -> Result<Vec<u32>, RegistryError> {
        let schema_index = self.read_index()?;
        schema_index.check_known(subject)?;
        Ok(schema_index.versions(subject))
    }

    /// One version of a subject.
    ///
    /// # Errors
    /// There is no such subject or version, or the catalog fails.
    pub fn version(&self, subject: &str, version: Version) -> Result<RegisteredSchema, RegistryError> {
        let schema_index = self.read_index()?;
        schema_index.check_known(subject)?;
        schema_index.version(subject, version)
    }

    fn read_index(&self) -> Result<SchemaIndex, StoreError> {
        SchemaIndex::read(&self.catalog.snapshot(None)?)
    }
}

fn check_subject(subject: &str) -> Result<(), RegistryError> {
    let fits = !subject.is_empty() && subject.len() <= MAX_SUBJECT_BYTES && !subject.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(RegistryError::InvalidSubject(subject.to_owned())) }
}
