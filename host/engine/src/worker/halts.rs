//! Where rules want partitions to wait, until the next change of the catalog.

use std::collections::{BTreeMap, HashMap};
use std::sync::{MutexGuard, PoisonError};

use assay_core::names::Offset;

use crate::partition::Halt;
use crate::ports::StreamPartition;
use crate::shared::Shared;

/// Where rules want a worker's partitions to wait.
#[derive(Default)]
pub(super) struct Halts(HashMap<StreamPartition, Halt>);

impl Halts {
    /// The offset up to which a partition may be scored.
    pub(super) fn before(&self, of: &StreamPartition) -> Offset {
        self.0.get(of).map_or(Offset(u64::MAX), |halt| halt.before)
    }

    /// A rule wants a partition to wait. Others go on.
    pub(super) fn add(&mut self, of: &StreamPartition, halt: Halt, shared: &Shared) {
        tracing::error!(partition = %of, "{halt}");
        shared.health.note(&part(of), Some(&halt.to_string()));
        all(shared).insert(of.clone(), halt.clone());
        self.0.insert(of.clone(), halt);
    }

    /// A partition is another's now.
    pub(super) fn remove(&mut self, of: &StreamPartition, shared: &Shared) {
        if self.0.remove(of).is_some() {
            self.forget(of, shared);
        }
    }

    /// The catalog has changed: all are tried again.
    pub(super) fn clear(&mut self, shared: &Shared) {
        let halted: Vec<StreamPartition> = self.0.drain().map(|(of, _)| of).collect();
        halted.iter().for_each(|of| self.forget(of, shared));
    }

    fn forget(&self, of: &StreamPartition, shared: &Shared) {
        shared.health.forget(&part(of));
        all(shared).remove(of);
    }
}

/// Those of all workers, for who asks how rules are doing.
fn all(shared: &Shared) -> MutexGuard<'_, BTreeMap<StreamPartition, Halt>> {
    // Each change is a single insert or remove.
    shared.halts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `/readyz` calls a partition that waits for a rule. It can be scored, so the process is ready.
fn part(of: &StreamPartition) -> String {
    format!("rules of {of}")
}
