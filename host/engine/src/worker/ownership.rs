//! Which worker has which partition: what the membership assigns goes to the worker that has the fewest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Address, Answers, Request};
use crate::ports::StreamPartition;
use crate::ports::membership::Owner;
use crate::shared::Shared;

/// The workers, and which partitions each of them has.
pub(crate) struct Ownership {
    shared: Arc<Shared>,
    workers: Vec<Address>,
    owners: Mutex<BTreeMap<StreamPartition, usize>>,
}

impl Ownership {
    pub(crate) fn new(shared: Arc<Shared>, workers: Vec<Address>) -> Arc<Self> {
        Arc::new(Self { shared, workers, owners: Mutex::default() })
    }

    /// All workers.
    pub(crate) fn workers(&self) -> &[Address] {
        &self.workers
    }

    /// The worker that has a partition.
    pub(crate) fn worker_of(&self, of: &StreamPartition) -> Option<&Address> {
        let index = *self.owners.lock().unwrap_or_else(PoisonError::into_inner).get(of)?;
        self.workers.get(index)
    }

    /// Gives a partition to the worker with the fewest; none: one has it already.
    fn give(&self, of: &StreamPartition) -> Option<&Address> {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        if owners.contains_key(of) {
            return None;
        }
        let load = |index: &usize| owners.values().filter(|owner| *owner == index).count();
        let index = (0..self.workers.len()).min_by_key(load)?;
        owners.insert(of.clone(), index);
        self.workers.get(index)
    }

    /// Takes a partition from its worker, if one has it.
    fn take(&self, of: &StreamPartition) -> Option<&Address> {
        self.shared.note_mine(of, false);
        let index = self.owners.lock().unwrap_or_else(PoisonError::into_inner).remove(of)?;
        self.workers.get(index)
    }
}

impl Owner for Ownership {
    fn assign(&self, partitions: Vec<StreamPartition>) {
        for of in partitions {
            let Some(worker) = self.give(&of) else { continue };
            self.shared.health.note(&format!("partition {of}"), Some("it is being opened"));
            self.shared.note_mine(&of, true);
            worker.ask(Request::Open(of));
        }
    }

    fn revoke(&self, partitions: Vec<StreamPartition>, at_most: Duration) {
        let mut answers = Answers::default();
        for of in &partitions {
            if let Some(worker) = self.take(of) {
                answers.ask(worker, |done| Request::Release(of.clone(), Some(done)));
            }
        }
        if !answers.wait(Instant::now() + at_most) {
            tracing::warn!(count = partitions.len(), "some partitions were not let go of in time");
        }
    }

    fn lose(&self, partitions: Vec<StreamPartition>) {
        for of in partitions {
            if let Some(worker) = self.take(&of) {
                worker.ask(Request::Release(of, None));
            }
        }
    }
}
