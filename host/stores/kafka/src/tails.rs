//! The tails of all owned partitions.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use assay_core::names::PartitionIndex;
use assay_engine::ports::PartitionId;
use assay_engine::ports::log::Topic;

use super::tail::{OverflowPolicy, Tail};

/// The tails of one partition.
#[derive(Clone)]
pub(super) struct PartitionTails {
    pub(super) events: Arc<Tail>,
    pub(super) verdicts: Arc<Tail>,
}

/// The tails of all owned partitions.
pub(super) struct Tails {
    max_bytes_per_tail: usize,
    partitions: RwLock<HashMap<PartitionId, PartitionTails>>,
}

impl Tails {
    pub(super) fn new(max_bytes_per_tail: usize) -> Self {
        Self { max_bytes_per_tail, partitions: RwLock::default() }
    }

    /// The tails of a partition; they are created if needed.
    pub(super) fn get_or_create(&self, partition: &PartitionId) -> PartitionTails {
        let mut partitions = self.partitions.write().unwrap_or_else(PoisonError::into_inner);
        let create = || PartitionTails {
            events: Arc::new(Tail::new(OverflowPolicy::Block, self.max_bytes_per_tail)),
            verdicts: Arc::new(Tail::new(OverflowPolicy::DropOldest, self.max_bytes_per_tail)),
        };
        partitions.entry(partition.clone()).or_insert_with(create).clone()
    }

    /// The tails of a partition; none if this process does not own it.
    pub(super) fn get_partition(&self, partition: &PartitionId) -> Option<PartitionTails> {
        self.partitions.read().unwrap_or_else(PoisonError::into_inner).get(partition).cloned()
    }

    /// Removes the tails of a partition.
    pub(super) fn remove(&self, partition: &PartitionId) {
        self.partitions.write().unwrap_or_else(PoisonError::into_inner).remove(partition);
    }

    /// The tail of a partition of a topic; none if this process does not own it.
    pub(super) fn get(&self, stream: &Arc<str>, topic: Topic, partition: PartitionIndex) -> Option<Arc<Tail>> {
        let tails = self.get_partition(&PartitionId { stream: stream.clone(), partition })?;
        Some(match topic {
            Topic::Events => tails.events.clone(),
            Topic::Verdicts => tails.verdicts.clone(),
        })
    }
}
