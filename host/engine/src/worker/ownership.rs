//! Which worker has which partition: what the membership assigns goes to the worker that has the fewest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Answers, Request, WorkerAddress, health_part};
use crate::ports::PartitionId;
use crate::ports::membership::PartitionOwner;
use crate::shared::Shared;

/// The workers, and which partitions each of them has.
pub(crate) struct Ownership {
    shared: Arc<Shared>,
    workers: Vec<WorkerAddress>,
    owners: Mutex<BTreeMap<PartitionId, usize>>,
}

impl Ownership {
    pub(crate) fn new(shared: Arc<Shared>, workers: Vec<WorkerAddress>) -> Arc<Self> {
        Arc::new(Self { shared, workers, owners: Mutex::default() })
    }

    /// All workers.
    pub(crate) fn workers(&self) -> &[WorkerAddress] {
        &self.workers
    }

    /// The worker that has a partition.
    pub(crate) fn worker_of(&self, partition: &PartitionId) -> Option<&WorkerAddress> {
        let index = *self.owners.lock().unwrap_or_else(PoisonError::into_inner).get(partition)?;
        self.workers.get(index)
    }

    /// Gives a partition to the worker with the fewest; none: one has it already.
    fn assign_to_worker(&self, partition: &PartitionId) -> Option<&WorkerAddress> {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        if owners.contains_key(partition) {
            return None;
        }
        let load = |index: &usize| owners.values().filter(|owner| *owner == index).count();
        let index = (0..self.workers.len()).min_by_key(load)?;
        owners.insert(partition.clone(), index);
        self.workers.get(index)
    }

    /// Takes a partition from its worker, if one has it.
    fn unassign(&self, partition: &PartitionId) -> Option<&WorkerAddress> {
        self.shared.set_owned(partition, false);
        let index = self.owners.lock().unwrap_or_else(PoisonError::into_inner).remove(partition)?;
        self.workers.get(index)
    }
}

impl PartitionOwner for Ownership {
    fn assign(&self, partitions: Vec<PartitionId>) {
        for partition in partitions {
            let Some(worker) = self.assign_to_worker(&partition) else { continue };
            self.shared.health.note(&health_part(&partition), Some("it is being opened"));
            self.shared.set_owned(&partition, true);
            worker.send(Request::Open(partition));
        }
    }

    fn revoke(&self, partitions: Vec<PartitionId>, at_most: Duration) {
        let mut answers = Answers::new(&self.shared.config.clock);
        for partition in &partitions {
            if let Some(worker) = self.unassign(partition) {
                answers.request(worker, |done| Request::Release(partition.clone(), Some(done)));
            }
        }
        if !answers.wait(at_most) {
            tracing::warn!(count = partitions.len(), "some partitions were not let go of in time");
        }
    }

    fn lose(&self, partitions: Vec<PartitionId>) {
        for partition in partitions {
            if let Some(worker) = self.unassign(&partition) {
                worker.send(Request::Release(partition, None));
            }
        }
    }
}
