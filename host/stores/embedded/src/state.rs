//! The state port: a row per entity, and a checkpoint per partition.

use std::sync::{Arc, Mutex, PoisonError};

use assay_core::names::Offset;
use assay_core::wire::{Corrupt, Reader, put_varint};
use assay_engine::ports::state::{Checkpoint, StateRow, StateStore};
use assay_engine::ports::{PartitionId, StoreError};

use super::database::{Database, Durability};
use super::error::damaged;
use super::keys::{self, PositionOwner};

/// The number of locks of partitions. Partitions share a lock by their number modulo this.
const WRITE_LOCKS: usize = 32;

/// Entities' states on the embedded database.
pub(super) struct EmbeddedState {
    database: Arc<Database>,
    /// Locked while a checkpoint is compared with the stored one and written. Without it a late older checkpoint of a
    /// replaced owner could overwrite a newer one.
    writers: [Mutex<()>; WRITE_LOCKS],
}

impl EmbeddedState {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database, writers: Default::default() }
    }
}

impl StateStore for EmbeddedState {
    fn checkpoint(&self, partition: &PartitionId) -> Result<Option<Checkpoint>, StoreError> {
        let Some(id) = self.database.streams.find_partition(partition) else {
            return Ok(None);
        };
        let key = keys::position_key(PositionOwner::State, id);
        let doing = format_args!("reading the checkpoint of {partition}");
        let value = self.database.get(&self.database.positions, &key, doing)?;
        value.map(|value| decode(&value).map_err(|error| damaged(doing, &error))).transpose()
    }

    fn load(&self, partition: &PartitionId, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let Some(id) = self.database.streams.find_partition(partition) else {
            return Ok(vec![None; keys.len()]);
        };
        let load = |key: &&str| {
            let doing = format_args!("loading the state of '{key}' in {partition}");
            let row = self.database.get(&self.database.state, &keys::entity_key(id, key), doing)?;
            Ok(row.map(|row| row.to_vec()))
        };
        keys.iter().map(load).collect()
    }

    fn save(&self, partition: &PartitionId, checkpoint: &Checkpoint, rows: &[StateRow]) -> Result<(), StoreError> {
        let id = self.database.streams.find_or_add_partition(&self.database, partition)?;
        // A poisoned lock is safe: it guards no data of its own.
        let _writer =
            self.writers[partition.partition.0 as usize % WRITE_LOCKS].lock().unwrap_or_else(PoisonError::into_inner);
        let order = |checkpoint: &Checkpoint| (checkpoint.events, checkpoint.catalog);
        if self.checkpoint(partition)?.is_some_and(|newer| order(&newer) > order(checkpoint)) {
            return Ok(());
        }
        // Neighbouring keys are close in the memtable, so sorted inserts are faster.
        let mut rows: Vec<&StateRow> = rows.iter().collect();
        rows.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let mut batch = self.database.batch(rows.len() + 1);
        for row in rows {
            batch.insert(&self.database.state, keys::entity_key(id, &row.key), &row.state[..]);
        }
        batch.insert(&self.database.positions, keys::position_key(PositionOwner::State, id), encode(checkpoint));
        self.database.commit(batch, Durability::Power, format_args!("saving the checkpoint of {partition}"))
    }
}

fn encode(checkpoint: &Checkpoint) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    put_varint(&mut out, checkpoint.events.0);
    put_varint(&mut out, checkpoint.verdicts.0);
    put_varint(&mut out, checkpoint.catalog);
    checkpoint.origins.iter().for_each(|origin| put_varint(&mut out, origin.0));
    out
}

pub(super) fn decode(value: &[u8]) -> Result<Checkpoint, Corrupt> {
    let mut reader = Reader::new(value);
    let (events, verdicts) = (Offset(reader.varint()?), Offset(reader.varint()?));
    let mut checkpoint = Checkpoint { events, verdicts, catalog: reader.varint()?, origins: Vec::new() };
    while !reader.is_empty() {
        checkpoint.origins.push(Offset(reader.varint()?));
    }
    Ok(checkpoint)
}
