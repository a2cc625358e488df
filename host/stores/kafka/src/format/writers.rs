//! The schemas of producers by id, with the resolvers of their records to the stream's schema.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use assay_core::failure_code::FailureCode;
use assay_core::schema::{Incompatible, Resolver, Schema};
use assay_engine::ports::StoreError;
use assay_engine::ports::log::Refused;

use super::super::schemas::Schemas;

/// A failed registry is not asked again for this long: during a request all partitions wait for its lock.
const REGISTRY_RETRY_DELAY: Duration = Duration::from_secs(1);
/// An unknown id is asked for again after this time: nodes of a registry learn of new ids one after the other.
const UNKNOWN_ID_TTL: Duration = Duration::from_secs(10);

/// The schema of a producer, compared with the stream's.
#[derive(Debug)]
pub(in super::super) enum Writer {
    /// Records need no conversion.
    Same,
    /// Records are converted.
    Resolved(Resolver),
    /// Records cannot be read.
    Refused(Refused),
}

impl Writer {
    /// Compares a writer's schema with a reader's.
    ///
    /// # Errors
    /// The reader cannot read the writer's records.
    pub(super) fn compare(writer: &Schema, reader: &Schema) -> Result<Self, Incompatible> {
        Ok(Resolver::new(writer, reader)?.map_or(Self::Same, Self::Resolved))
    }
}

/// A cache of producers' schemas by id.
pub(in super::super) struct Writers {
    schemas: Arc<dyn Schemas>,
    reader: Schema,
    known: Mutex<KnownWriters>,
}

#[derive(Default)]
struct KnownWriters {
    writers: HashMap<i32, Arc<Writer>>,
    unknown: HashMap<i32, (Instant, Arc<Writer>)>,
    failed: Option<(Instant, StoreError)>,
}

impl Writers {
    pub(super) fn new(schemas: Arc<dyn Schemas>, reader: Schema) -> Self {
        Self { schemas, reader, known: Mutex::default() }
    }

    /// The writer with an id. The first call asks the registry.
    ///
    /// # Errors
    /// The registry does not answer.
    pub(in super::super) fn get(&self, id: i32) -> Result<Arc<Writer>, StoreError> {
        // The lock is held during the request, so that only one thread asks the registry. A poisoned lock is safe: entries
        // are inserted whole.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = known.writers.get(&id) {
            return Ok(writer.clone());
        }
        match known.unknown.get(&id) {
            Some((since, writer)) if since.elapsed() < UNKNOWN_ID_TTL => return Ok(writer.clone()),
            _ => {}
        }
        match &known.failed {
            Some((since, error)) if since.elapsed() < REGISTRY_RETRY_DELAY => return Err(error.clone()),
            _ => {}
        }
        match self.schemas.by_id(id) {
            Ok(Some(json)) => {
                let writer = Arc::new(self.build_writer(id, &json));
                known.writers.insert(id, writer.clone());
                Ok(writer)
            }
            Ok(None) => {
                let message = format!("the schema registry has no schema with the id {id}");
                let writer = Arc::new(Writer::Refused(Refused { code: FailureCode::SchemaUnknown.as_str(), message }));
                known.unknown.insert(id, (Instant::now(), writer.clone()));
                Ok(writer)
            }
            Err(error) => {
                known.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    fn build_writer(&self, id: i32, json: &str) -> Writer {
        let refused = |why: &dyn std::fmt::Display| {
            let message = format!("records with the schema id {id} cannot be read as events of the stream: {why}");
            Writer::Refused(Refused { code: FailureCode::SchemaIncompatible.as_str(), message })
        };
        match Schema::parse(json).map(|writer| Writer::compare(&writer, &self.reader)) {
            Ok(Ok(writer)) => writer,
            Ok(Err(error)) => refused(&error),
            Err(error) => refused(&error),
        }
    }
}
