//! The hub: tells those who wait for verdicts how far each partition is. What the verdicts are stands in the log.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use assay_core::names::Offset;
use tokio::sync::watch;

use crate::ports::StreamPartition;

/// Tells those who wait for verdicts that they are there.
#[derive(Default)]
pub(crate) struct Hub {
    partitions: Mutex<HashMap<StreamPartition, Progress>>,
}

/// How far a partition is.
struct Progress {
    /// All events before it are scored.
    next: watch::Sender<u64>,
    /// Whether this process has ever opened the partition: before that, nothing is known of it.
    is_known: bool,
}

impl Hub {
    /// Says how far a partition is when it is opened.
    pub(crate) fn open(&self, of: &StreamPartition, next: Offset) {
        self.publish(of, next);
    }

    /// Says how far the verdicts of a partition are that can be read.
    pub(crate) fn publish(&self, of: &StreamPartition, next: Offset) {
        self.with(of, |progress| {
            progress.is_known = true;
            progress.next.send_replace(next.0);
        });
    }

    /// Follows how far a partition is.
    pub(crate) fn progress(&self, of: &StreamPartition) -> watch::Receiver<u64> {
        self.with(of, |progress| progress.next.subscribe())
    }

    /// The first event of a partition that is not scored; none: this process does not know.
    pub(crate) fn next(&self, of: &StreamPartition) -> Option<Offset> {
        self.with(of, |progress| progress.is_known.then(|| Offset(*progress.next.borrow())))
    }

    fn with<T>(&self, of: &StreamPartition, act: impl FnOnce(&mut Progress) -> T) -> T {
        // Each act is one step: a panic elsewhere cannot leave it half-done.
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown = || Progress { next: watch::channel(0).0, is_known: false };
        act(partitions.entry(of.clone()).or_insert_with(unknown))
    }
}
