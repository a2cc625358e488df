//! Where each partition of each topic begins: retention deletes blocks at the head.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use super::super::keys::TopicPartition;

/// The first offset that is still there, where it is not 0.
#[derive(Default)]
pub(super) struct Heads(RwLock<HashMap<TopicPartition, u64>>);

impl Heads {
    pub(super) fn get(&self, of: TopicPartition) -> u64 {
        // Each entry is a single number.
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&of).copied().unwrap_or(0)
    }

    pub(super) fn set(&self, of: TopicPartition, first: u64) {
        if first > 0 {
            self.0.write().unwrap_or_else(PoisonError::into_inner).insert(of, first);
        }
    }
}
