//! The start offset of each partition of each topic: the first offset that retention has left.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use super::super::keys::TopicPartition;

/// The start offsets that are not 0.
#[derive(Default)]
pub(super) struct StartOffsets(RwLock<HashMap<TopicPartition, u64>>);

impl StartOffsets {
    pub(super) fn get(&self, topic_partition: TopicPartition) -> u64 {
        // A poisoned lock is safe: each entry is a single number.
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&topic_partition).copied().unwrap_or(0)
    }

    pub(super) fn set(&self, topic_partition: TopicPartition, first: u64) {
        if first > 0 {
            self.0.write().unwrap_or_else(PoisonError::into_inner).insert(topic_partition, first);
        }
    }
}
