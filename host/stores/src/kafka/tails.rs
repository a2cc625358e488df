//! The tails of all partitions that this process has.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use assay_core::names::Partition;
use assay_engine::ports::StreamPartition;
use assay_engine::ports::log::Topic;

use super::tail::{Tail, WhenFull};

/// The tails of one partition.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) events: Arc<Tail>,
    pub(super) verdicts: Arc<Tail>,
}

/// The tails of all partitions that this process has.
pub(super) struct Tails {
    budget: usize,
    pairs: RwLock<HashMap<StreamPartition, Pair>>,
}

impl Tails {
    pub(super) fn new(budget: usize) -> Self {
        Self { budget, pairs: RwLock::default() }
    }

    /// Makes the tails of a partition, or finds them.
    pub(super) fn make(&self, of: &StreamPartition) -> Pair {
        let mut pairs = self.pairs.write().unwrap_or_else(PoisonError::into_inner);
        let make = || Pair {
            events: Arc::new(Tail::new(WhenFull::Wait, self.budget)),
            verdicts: Arc::new(Tail::new(WhenFull::Drop, self.budget)),
        };
        pairs.entry(of.clone()).or_insert_with(make).clone()
    }

    /// The tails of a partition, if this process has it.
    pub(super) fn pair(&self, of: &StreamPartition) -> Option<Pair> {
        self.pairs.read().unwrap_or_else(PoisonError::into_inner).get(of).cloned()
    }

    /// Forgets the tails of a partition.
    pub(super) fn forget(&self, of: &StreamPartition) {
        self.pairs.write().unwrap_or_else(PoisonError::into_inner).remove(of);
    }

    /// One of them.
    pub(super) fn get(&self, stream: &Arc<str>, topic: Topic, partition: Partition) -> Option<Arc<Tail>> {
        let pair = self.pair(&StreamPartition { stream: stream.clone(), partition })?;
        Some(match topic {
            Topic::Events => pair.events.clone(),
            Topic::Verdicts => pair.verdicts.clone(),
        })
    }
}
