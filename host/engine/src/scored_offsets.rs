//! The offset up to which each partition is scored, published to those who wait for verdicts. The log has the verdicts.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use assay_core::names::Offset;
use tokio::sync::watch;

use crate::ports::PartitionId;

/// The scored offset of each partition.
#[derive(Default)]
pub(crate) struct ScoredOffsets {
    partitions: Mutex<HashMap<PartitionId, ScoredOffset>>,
}

/// How far a partition is.
struct ScoredOffset {
    /// All events before it are scored.
    next: watch::Sender<u64>,
    /// Whether this process has ever opened the partition: before that, nothing is known of it.
    is_known: bool,
}

impl ScoredOffsets {
    /// Says how far a partition is when it is opened.
    pub(crate) fn open(&self, partition: &PartitionId, next: Offset) {
        self.publish(partition, next);
    }

    /// Says how far the verdicts of a partition are that can be read.
    pub(crate) fn publish(&self, partition: &PartitionId, next: Offset) {
        self.with_partition(partition, |scored| {
            scored.is_known = true;
            scored.next.send_replace(next.0);
        });
    }

    /// Follows how far a partition is.
    pub(crate) fn subscribe(&self, partition: &PartitionId) -> watch::Receiver<u64> {
        self.with_partition(partition, |scored| scored.next.subscribe())
    }

    /// The first event of a partition that is not scored; none: this process does not know.
    pub(crate) fn next(&self, partition: &PartitionId) -> Option<Offset> {
        self.with_partition(partition, |scored| scored.is_known.then(|| Offset(*scored.next.borrow())))
    }

    fn with_partition<T>(&self, partition: &PartitionId, act: impl FnOnce(&mut ScoredOffset) -> T) -> T {
        // Each act is one step: a panic elsewhere cannot leave it half-done.
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown = || ScoredOffset { next: watch::channel(0).0, is_known: false };
        act(partitions.entry(partition.clone()).or_insert_with(unknown))
    }
}
