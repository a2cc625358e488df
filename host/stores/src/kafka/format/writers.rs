//! The schemas that producers wrote with, by their ids, and what turns their records into the stream's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use assay_core::schema::{Incompatible, Resolver, Schema};
use assay_engine::ports::StoreError;
use assay_engine::ports::log::Refused;

use super::super::schemas::Schemas;

/// How long a registry that failed is not asked again: all partitions wait behind the one who asks.
const REST: Duration = Duration::from_secs(1);
/// How long an id stays unknown. Registries with several nodes learn of new ids one after the other.
const STAYS_UNKNOWN: Duration = Duration::from_secs(10);

/// A schema that a producer wrote with.
#[derive(Debug)]
pub(in super::super) enum Writer {
    /// Its records are the stream's.
    Same,
    /// They have to be turned.
    Other(Resolver),
    /// They cannot be read.
    Refused(Refused),
}

impl Writer {
    /// What records of one schema are to a reader with another one.
    pub(super) fn of(writer: &Schema, reader: &Schema) -> Result<Self, Incompatible> {
        Ok(Resolver::new(writer, reader)?.map_or(Self::Same, Self::Other))
    }
}

/// All schemas that producers wrote with.
pub(in super::super) struct Writers {
    schemas: Arc<dyn Schemas>,
    reader: Schema,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    writers: HashMap<i32, Arc<Writer>>,
    unknown: HashMap<i32, (Instant, Arc<Writer>)>,
    failed: Option<(Instant, StoreError)>,
}

impl Writers {
    pub(super) fn new(schemas: Arc<dyn Schemas>, reader: Schema) -> Self {
        Self { schemas, reader, known: Mutex::default() }
    }

    /// The writer with an id. Asks the registry the first time.
    pub(in super::super) fn get(&self, id: i32) -> Result<Arc<Writer>, StoreError> {
        // Entries are put in whole. One asks, the others wait for its answer.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = known.writers.get(&id) {
            return Ok(writer.clone());
        }
        match known.unknown.get(&id) {
            Some((since, writer)) if since.elapsed() < STAYS_UNKNOWN => return Ok(writer.clone()),
            _ => {}
        }
        match &known.failed {
            Some((since, error)) if since.elapsed() < REST => return Err(error.clone()),
            _ => {}
        }
        match self.schemas.by_id(id) {
            Ok(Some(json)) => {
                let writer = Arc::new(self.compare(id, &json));
                known.writers.insert(id, writer.clone());
                Ok(writer)
            }
            Ok(None) => {
                let message = format!("the schema registry has no schema with the id {id}");
                let writer = Arc::new(Writer::Refused(Refused { code: "schema-unknown", message }));
                known.unknown.insert(id, (Instant::now(), writer.clone()));
                Ok(writer)
            }
            Err(error) => {
                known.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    fn compare(&self, id: i32, json: &str) -> Writer {
        let refused = |why: &dyn std::fmt::Display| {
            let message = format!("records with the schema id {id} cannot be read as events of the stream: {why}");
            Writer::Refused(Refused { code: "schema-incompatible", message })
        };
        match Schema::parse(json).map(|writer| Writer::of(&writer, &self.reader)) {
            Ok(Ok(writer)) => writer,
            Ok(Err(error)) => refused(&error),
            Err(error) => refused(&error),
        }
    }
}
