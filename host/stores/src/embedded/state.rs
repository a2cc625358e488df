//! The state port: a row per entity, and a record per partition that says how far they go.

use std::sync::{Arc, Mutex, PoisonError};

use assay_core::names::Offset;
use assay_core::wire::{Corrupt, Reader, put_varint};
use assay_engine::ports::state::{Checkpoint, StateRow, StateStore};
use assay_engine::ports::{StoreError, StreamPartition};

use super::database::{Database, Durability};
use super::error::damaged;
use super::keys::{self, Whose};

/// Locks of partitions: those whose numbers are the same modulo this share one.
const WRITERS: usize = 32;

/// Entities' states on the embedded database.
pub struct EmbeddedState {
    database: Arc<Database>,
    /// A checkpoint is compared with the one that is there, and written: one of a partition at a time.
    writers: [Mutex<()>; WRITERS],
}

impl EmbeddedState {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database, writers: Default::default() }
    }
}

impl StateStore for EmbeddedState {
    fn checkpoint(&self, of: &StreamPartition) -> Result<Option<Checkpoint>, StoreError> {
        let Some(id) = self.database.streams.find_partition(of) else {
            return Ok(None);
        };
        let key = keys::position(Whose::State, id);
        let doing = format_args!("reading the checkpoint of {of}");
        let value = self.database.get(&self.database.positions, &key, doing)?;
        value.map(|value| decode(&value).map_err(|error| damaged(doing, &error))).transpose()
    }

    fn load(&self, of: &StreamPartition, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let Some(id) = self.database.streams.find_partition(of) else {
            return Ok(vec![None; keys.len()]);
        };
        let load = |key: &&str| {
            let doing = format_args!("loading the state of '{key}' in {of}");
            let row = self.database.get(&self.database.state, &keys::entity(id, key), doing)?;
            Ok(row.map(|row| row.to_vec()))
        };
        keys.iter().map(load).collect()
    }

    fn save(&self, of: &StreamPartition, checkpoint: &Checkpoint, rows: &[StateRow]) -> Result<(), StoreError> {
        let id = self.database.streams.number_partition(&self.database, of)?;
        // The lock guards no data of its own, so what a panic left behind does not matter.
        let _writer = self.writers[of.partition.0 as usize % WRITERS].lock().unwrap_or_else(PoisonError::into_inner);
        let order = |checkpoint: &Checkpoint| (checkpoint.events, checkpoint.catalog);
        if self.checkpoint(of)?.is_some_and(|newer| order(&newer) > order(checkpoint)) {
            return Ok(());
        }
        // Rows in the order of their keys land next to each other in memory, and so are inserted faster.
        let mut rows: Vec<&StateRow> = rows.iter().collect();
        rows.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let mut batch = self.database.batch(rows.len() + 1);
        for row in rows {
            batch.insert(&self.database.state, keys::entity(id, &row.key), &row.state[..]);
        }
        batch.insert(&self.database.positions, keys::position(Whose::State, id), encode(checkpoint));
        self.database.commit(batch, Durability::Power, format_args!("saving the checkpoint of {of}"))
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
