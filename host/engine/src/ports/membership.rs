//! The membership port: which partitions this process scores. One process alone has all of them; several share them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use assay_core::names::Offset;

use super::PartitionId;

/// The receiver of assignments, which scores the partitions that this process is given: the engine.
pub trait PartitionOwner: Send + Sync {
    /// These partitions are this process's from now on. Does not wait until they are open.
    fn assign(&self, partitions: Vec<PartitionId>);

    /// These partitions go to another process: finishes the batch in hand, saves a checkpoint, lets go. Returns when
    /// that is done, or after `at_most`: whoever has a partition next does not depend on it, it only has to fold less
    /// again.
    fn revoke(&self, partitions: Vec<PartitionId>, at_most: Duration);

    /// These partitions are another process's already: lets go without saving. Does not wait.
    fn lose(&self, partitions: Vec<PartitionId>);
}

/// The assignment of partitions to this process.
pub trait Membership: Send + Sync {
    /// Sets the receiver of assignments. They come one after the other.
    fn join(&self, owner: Arc<dyn PartitionOwner>);

    /// These are all partitions that there are to share out from now on. The log has them.
    fn set_partitions(&self, partitions: Vec<PartitionId>);

    /// Says that all events of a partition before an offset are folded into state that is saved.
    fn commit(&self, partition: &PartitionId, events: Offset);

    /// True if this process still is in the group as far as it can know. One that slept too long is not, until it has
    /// heard from the group again.
    fn is_member(&self) -> bool;

    /// Gives all partitions back and leaves. Returns when they are given back; no call of the owner comes after it.
    fn leave(&self);
}

/// The membership of a process that shares with no one: it has every partition.
#[derive(Default)]
pub struct SingleProcess {
    inner: Mutex<Assignment>,
}

#[derive(Default)]
struct Assignment {
    owner: Option<Arc<dyn PartitionOwner>>,
    partitions: BTreeSet<PartitionId>,
}

impl Membership for SingleProcess {
    fn join(&self, owner: Arc<dyn PartitionOwner>) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).owner = Some(owner);
    }

    fn set_partitions(&self, partitions: Vec<PartitionId>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let all: BTreeSet<PartitionId> = partitions.into_iter().collect();
        let new: Vec<PartitionId> = all.difference(&inner.partitions).cloned().collect();
        let gone: Vec<PartitionId> = inner.partitions.difference(&all).cloned().collect();
        if let Some(owner) = &inner.owner {
            owner.lose(gone);
            owner.assign(new);
        }
        // Last: what a panic keeps the owner from hearing comes again with the next share.
        inner.partitions = all;
    }

    fn commit(&self, _: &PartitionId, _: Offset) {}

    fn is_member(&self) -> bool {
        true
    }

    fn leave(&self) {
        // The owner knows the ports, this one among them: else neither would ever be dropped.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).owner = None;
    }
}
