//! The numbers of streams, which stand for their names in keys. A number is assigned once and never changes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use assay_engine::ports::{PartitionId, StoreError};
use fjall::Keyspace;

use super::database::{Database, Durability};
use super::error::broken;
use super::keys::{NumberedPartition, StreamId};

/// The prefix of the keys of numbers in the keyspace `meta`.
const PREFIX: &[u8] = b"stream/";
/// Longer names of streams are refused.
const MAX_NAME_BYTES: usize = 1024;

/// The numbers of all streams that were ever written to.
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

    /// The number of a stream; none if it was never written to.
    pub(super) fn find(&self, name: &str) -> Option<StreamId> {
        // A poisoned lock is safe: inserts are the only change.
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    /// A partition with the number of its stream; none if the stream was never written to.
    pub(super) fn find_partition(&self, partition: &PartitionId) -> Option<NumberedPartition> {
        Some(NumberedPartition { stream: self.find(&partition.stream)?, partition: partition.partition.0 })
    }

    /// The number of a stream; a new one is assigned and committed if needed. The commit precedes all rows that use the
    /// number, so after a power failure no such row exists without it.
    pub(super) fn find_or_add(&self, database: &Database, name: &str) -> Result<StreamId, StoreError> {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = ids.get(name) {
            return Ok(*id);
        }
        let Ok(id) = u32::try_from(ids.len()) else {
            return Err(broken(format!("there are too many streams to add '{name}'")));
        };
        if name.len() > MAX_NAME_BYTES {
            return Err(broken(format!("a stream's name is longer than {MAX_NAME_BYTES} bytes")));
        }
        let key = [PREFIX, name.as_bytes()].concat();
        let mut batch = database.batch(1);
        batch.insert(&database.meta, key, id.to_be_bytes());
        database.commit(batch, Durability::Process, format_args!("numbering the stream '{name}'"))?;
        ids.insert(name.to_owned(), StreamId(id));
        Ok(StreamId(id))
    }

    /// A partition with the number of its stream, see [`Self::find_or_add`].
    pub(super) fn find_or_add_partition(
        &self,
        database: &Database,
        partition: &PartitionId,
    ) -> Result<NumberedPartition, StoreError> {
        Ok(NumberedPartition {
            stream: self.find_or_add(database, &partition.stream)?,
            partition: partition.partition.0,
        })
    }
}
