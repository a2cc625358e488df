//! All schemas of one version of the catalog, and what may come next.

use std::collections::{BTreeMap, BTreeSet};

use assay_core::schema::{AvroSchema, RootName};
use assay_core::stream::{Format, StreamDef};
use serde_json::Value;

use super::{MAX_TOTAL_BYTES, RegisteredSchema, RegistryError, StoredSchema, SubmittedSchema, Version};
use crate::ports::StoreError;
use crate::ports::catalog::{Kind, Revision, Snapshot};

/// All schemas, and the streams whose topics they may be written to.
pub(super) struct SchemaIndex {
    schemas: BTreeMap<i32, StoredSchema>,
    streams: Vec<StreamDef>,
}

/// The schema in a revision.
pub(super) fn stored(revision: &Revision) -> Result<StoredSchema, StoreError> {
    revision.read().cloned().map_err(|error| broken(&revision.name, &error))
}

fn broken(id: &str, problem: &dyn std::fmt::Display) -> StoreError {
    StoreError::Broken { store: "catalog", message: format!("the schema with the id {id} cannot be read: {problem}") }
}

impl SchemaIndex {
    pub(super) fn read(snapshot: &Snapshot) -> Result<Self, StoreError> {
        let schemas = snapshot.of(Kind::Schema).map(|revision| {
            let id = revision.name.parse().map_err(|error| broken(&revision.name, &error))?;
            Ok((id, stored(revision)?))
        });
        let schemas = schemas.collect::<Result<_, StoreError>>()?;
        // A stream that cannot be read is not in the plan either, and the plan says so.
        let streams = snapshot.all::<StreamDef>().map(|(_, stream)| stream.clone()).collect();
        Ok(Self { schemas, streams })
    }

    pub(super) fn max_id(&self) -> i32 {
        self.schemas.last_key_value().map_or(0, |(id, _)| *id)
    }

    pub(super) fn subjects(&self) -> Vec<String> {
        let names: BTreeSet<&String> = self.schemas.values().flat_map(|stored| stored.subjects.keys()).collect();
        names.into_iter().cloned().collect()
    }

    pub(super) fn versions(&self, subject: &str) -> Vec<u32> {
        let mut versions: Vec<u32> =
            self.schemas.values().filter_map(|stored| stored.subjects.get(subject).copied()).collect();
        versions.sort_unstable();
        versions
    }

    pub(super) fn check_known(&self, subject: &str) -> Result<(), RegistryError> {
        let is_known = self.schemas.values().any(|stored| stored.subjects.contains_key(subject));
        if is_known { Ok(()) } else { Err(RegistryError::UnknownSubject(subject.to_owned())) }
    }

    pub(super) fn version(&self, subject: &str, version: Version) -> Result<RegisteredSchema, RegistryError> {
        let number = match version {
            Version::Number(number) => number,
            Version::Latest => self.versions(subject).last().copied().unwrap_or_default(),
        };
        let mut all = self.schemas.iter().filter(|(_, stored)| stored.subjects.get(subject) == Some(&number));
        let (id, stored) = all.next().ok_or(RegistryError::UnknownVersion(number))?;
        Ok(RegisteredSchema { subject: subject.to_owned(), version: number, id: *id, schema: stored.schema.clone() })
    }

    /// The version of a subject that has a schema.
    pub(super) fn find(&self, subject: &str, sent: &SubmittedSchema) -> Option<RegisteredSchema> {
        let id = self.id_of(sent)?;
        let stored = &self.schemas[&id];
        let version = *stored.subjects.get(subject)?;
        Some(RegisteredSchema { subject: subject.to_owned(), version, id, schema: stored.schema.clone() })
    }

    /// The id of a schema that is equal as JSON: objects without regard to the order of their fields.
    fn id_of(&self, sent: &SubmittedSchema) -> Option<i32> {
        // Without blanks, equal JSON has texts of the same length whatever the order.
        let candidates = self.schemas.iter().filter(|(_, stored)| stored.schema.len() == sent.text.len());
        let mut equal = candidates
            .filter(|(_, stored)| serde_json::from_str::<Value>(&stored.schema).is_ok_and(|value| value == sent.value));
        equal.next().map(|(id, _)| *id)
    }

    /// What a schema as the subject's next version would break: it must read what an earlier version wrote (BACKWARD),
    /// and the streams of this topic must read it.
    pub(super) fn misfits(
        &self,
        subject: &str,
        version: Version,
        sent: &SubmittedSchema,
    ) -> Result<Vec<String>, RegistryError> {
        let mut misfits = Vec::new();
        let earlier = match (version, self.version(subject, version)) {
            (Version::Latest, Err(RegistryError::UnknownVersion(_))) => None,
            (_, earlier) => Some(earlier?),
        };
        if let Some(RegisteredSchema { version, id, schema, .. }) = earlier {
            let written = AvroSchema::parse(&schema).map_err(|error| broken(&id.to_string(), &error))?;
            if let Err(misfit) = sent.avro.check_reads(&written, RootName::MustAgree) {
                misfits
                    .push(format!("it (the reader) cannot read what version {version} (the writer) wrote: {misfit}"));
            }
        }
        for stream in self.streams.iter().filter(|stream| is_subject_of(stream, subject)) {
            // A stream's schema was compiled when the stream was made.
            let Ok(reader) = AvroSchema::parse(&stream.schema.to_string()) else { continue };
            if let Err(misfit) = reader.check_reads(&sent.avro, RootName::MayDiffer) {
                let name = &stream.stream;
                misfits.push(format!("the stream '{name}' (the reader) could not read it (the writer): {misfit}"));
            }
        }
        Ok(misfits)
    }

    /// A schema as the subject's next version, and what the catalog keeps under its id then.
    pub(super) fn next(
        &self,
        subject: &str,
        sent: &SubmittedSchema,
    ) -> Result<(RegisteredSchema, StoredSchema), RegistryError> {
        let id = match self.id_of(sent) {
            Some(id) => id,
            None => {
                let total: usize = self.schemas.values().map(|stored| stored.schema.len()).sum();
                if total + sent.text.len() > MAX_TOTAL_BYTES {
                    return Err(RegistryError::Full);
                }
                self.max_id().checked_add(1).ok_or(RegistryError::Full)?
            }
        };
        let version = self.versions(subject).last().map_or(1, |last| last + 1);
        let fresh = || StoredSchema { schema: sent.text.clone(), subjects: BTreeMap::new() };
        let mut stored = self.schemas.get(&id).cloned().unwrap_or_else(fresh);
        stored.subjects.insert(subject.to_owned(), version);
        Ok((RegisteredSchema { subject: subject.to_owned(), version, id, schema: stored.schema.clone() }, stored))
    }
}

/// Whether a subject is that of the values in a stream's topic, as producers name it, and these say their schema.
fn is_subject_of(stream: &StreamDef, subject: &str) -> bool {
    let names_schemas = matches!(stream.format, Format::Confluent | Format::SingleObject);
    names_schemas && subject.strip_suffix("-value") == Some(stream.topic.as_deref().unwrap_or(&stream.stream))
}
