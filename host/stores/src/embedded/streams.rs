//! Streams' small numbers, which stand for their names in keys. Given once, kept for ever.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use assay_engine::ports::{StoreError, StreamPartition};
use fjall::Keyspace;

use super::database::{Database, Durability};
use super::error::broken;
use super::keys::{PartitionId, StreamId};

const PREFIX: &[u8] = b"stream/";

/// Every stream that was ever written to.
pub(super) struct Streams {
    ids: Mutex<HashMap<String, StreamId>>,
}

impl Streams {
    pub(super) fn load(meta: &Keyspace) -> fjall::Result<Self> {
        let mut ids = HashMap::new();
        for row in meta.prefix(PREFIX) {
            let (key, value) = row.into_inner()?;
            let name = String::from_utf8_lossy(&key[PREFIX.len()..]).into_owned();
            let Ok(id) = <[u8; 4]>::try_from(&*value) else {
                return Err(fjall::Error::Unrecoverable);
            };
            ids.insert(name, StreamId(u32::from_be_bytes(id)));
        }
        Ok(Self { ids: Mutex::new(ids) })
    }

    /// The number of a stream, if it was ever written to.
    pub(super) fn find(&self, name: &str) -> Option<StreamId> {
        // A map that a panic left behind is still whole: inserts are the only change.
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    /// The number of a stream's partition, if the stream was ever written to.
    pub(super) fn find_partition(&self, of: &StreamPartition) -> Option<PartitionId> {
        Some(PartitionId { stream: self.find(&of.stream)?, partition: of.partition.0 })
    }

    /// The number of a stream, a new one if needed. It is in the journal before anything that uses it.
    pub(super) fn number(&self, database: &Database, name: &str) -> Result<StreamId, StoreError> {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = ids.get(name) {
            return Ok(*id);
        }
        let Ok(id) = u32::try_from(ids.len()) else {
            return Err(broken(format!("there are too many streams to add '{name}'")));
        };
        if name.len() > 1024 {
            return Err(broken("a stream's name is longer than 1024 bytes".to_owned()));
        }
        let key = [PREFIX, name.as_bytes()].concat();
        let mut batch = database.batch(1);
        batch.insert(&database.meta, key, id.to_be_bytes());
        database.commit(batch, Durability::Process, format_args!("numbering the stream '{name}'"))?;
        ids.insert(name.to_owned(), StreamId(id));
        Ok(StreamId(id))
    }

    /// The number of a stream's partition, a new one if needed.
    pub(super) fn number_partition(
        &self,
        database: &Database,
        of: &StreamPartition,
    ) -> Result<PartitionId, StoreError> {
        Ok(PartitionId { stream: self.number(database, &of.stream)?, partition: of.partition.0 })
    }
}
