//! Tells others where rules want partitions to wait, until the next change of the catalog. The partitions themselves know
//! it: see `PartitionMemory`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};

use crate::health::HealthComponent;
use crate::partition::Halt;
use crate::ports::PartitionId;
use crate::shared::Shared;

/// The partitions of a worker that wait.
#[derive(Default)]
pub(super) struct Halts(BTreeSet<PartitionId>);

impl Halts {
    /// A rule wants a partition to wait. Others go on.
    pub(super) fn add(&mut self, partition: &PartitionId, halt: Halt, shared: &Shared) {
        tracing::error!(partition = %partition, "{halt}");
        shared.health.note(&HealthComponent::Rules(partition.clone()), Some(&halt.to_string()));
        all(shared).insert(partition.clone(), halt);
        self.0.insert(partition.clone());
    }

    /// A partition is another's now.
    pub(super) fn remove(&mut self, partition: &PartitionId, shared: &Shared) {
        if self.0.remove(partition) {
            self.forget(partition, shared);
        }
    }

    /// The catalog has changed: all are tried again.
    pub(super) fn clear(&mut self, shared: &Shared) {
        let halted = std::mem::take(&mut self.0);
        halted.iter().for_each(|partition| self.forget(partition, shared));
    }

    fn forget(&self, partition: &PartitionId, shared: &Shared) {
        shared.health.forget(&HealthComponent::Rules(partition.clone()));
        all(shared).remove(partition);
    }
}

/// Those of all workers, for who asks how rules are doing.
fn all(shared: &Shared) -> MutexGuard<'_, BTreeMap<PartitionId, Halt>> {
    // Each change is a single insert or remove.
    shared.halts.lock().unwrap_or_else(PoisonError::into_inner)
}
