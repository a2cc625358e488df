//! The state port: rows of entities and a checkpoint per partition.

use std::collections::BTreeMap;

use assay_core::names::Offset;

use super::client::{Client, Port};
use super::tables::Extent;
use super::world::Write;
use crate::ports::state::{Checkpoint, StateRow, StateStore};
use crate::ports::{PartitionId, StoreError};

/// The states of all entities.
#[derive(Clone, Default)]
pub(super) struct StateTable {
    partitions: BTreeMap<PartitionId, Saved>,
}

#[derive(Clone, Default)]
struct Saved {
    checkpoint: Option<Checkpoint>,
    rows: BTreeMap<String, Row>,
}

#[derive(Clone)]
struct Row {
    /// Of the checkpoint that it was saved with.
    age: Age,
    state: Vec<u8>,
}

/// The order of checkpoints: by events, then by the catalog's version.
type Age = (Offset, u64);

fn age_of(checkpoint: &Checkpoint) -> Age {
    (checkpoint.events, checkpoint.catalog)
}

impl StateTable {
    fn checkpoint(&self, partition: &PartitionId) -> Option<Checkpoint> {
        self.partitions.get(partition)?.checkpoint.clone()
    }

    fn load(&self, partition: &PartitionId, keys: &[&str]) -> Vec<Option<Vec<u8>>> {
        let saved = self.partitions.get(partition);
        keys.iter().map(|key| Some(saved?.rows.get(*key)?.state.clone())).collect()
    }

    /// A save that fails on the way leaves some rows and the checkpoint that was there, as a store does that cannot save
    /// everything in one piece. So each row has an age of its own: an older one never takes the place of a newer.
    fn save(&mut self, partition: &PartitionId, checkpoint: &Checkpoint, rows: &[StateRow], extent: Extent) {
        let saved = self.partitions.entry(partition.clone()).or_default();
        let age = age_of(checkpoint);
        if saved.checkpoint.as_ref().is_some_and(|newer| age_of(newer) > age) {
            return;
        }
        for row in extent.stored_items(rows) {
            if saved.rows.get(&row.key).is_none_or(|have| have.age <= age) {
                saved.rows.insert(row.key.clone(), Row { age, state: row.state.clone() });
            }
        }
        if extent.is_whole() {
            saved.checkpoint = Some(checkpoint.clone());
        }
    }

    /// Deletes an entity's state.
    pub(super) fn remove(&mut self, partition: &PartitionId, key: &str) {
        if let Some(saved) = self.partitions.get_mut(partition) {
            saved.rows.remove(key);
        }
    }
}

impl StateStore for Client {
    fn checkpoint(&self, partition: &PartitionId) -> Result<Option<Checkpoint>, StoreError> {
        self.query(Port::State, |tables| Ok(tables.state.checkpoint(partition)))
    }

    fn load(&self, partition: &PartitionId, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.query(Port::State, |tables| Ok(tables.state.load(partition, keys)))
    }

    fn save(&self, partition: &PartitionId, checkpoint: &Checkpoint, rows: &[StateRow]) -> Result<(), StoreError> {
        let (partition, checkpoint, rows) = (partition.clone(), checkpoint.clone(), rows.to_vec());
        let count = rows.len();
        let write = Write::new(Port::State, move |tables, extent| {
            tables.state.save(&partition, &checkpoint, &rows, extent);
            Ok(())
        });
        self.execute(write.synced().divisible(count))
    }
}
