//! The outbox port: verdicts and dead letters as messages that other programs read. Optional.

use assay_core::names::Offset;
use assay_core::verdict::Outcome;

use super::{PartitionId, StoreError};

/// Verdicts and dead letters, published for others.
pub trait Outbox: Send + Sync {
    /// The offset of the verdicts topic from which on blocks are not published yet.
    ///
    /// # Errors
    /// The store fails.
    fn position(&self, partition: &PartitionId) -> Result<Offset, StoreError>;

    /// Publishes what was said of events, each with the offset of the block that it stands in. Outcomes that were
    /// published before are passed over. All blocks before `next` are published after the next `flush`. Outcomes of the
    /// block at `next` come in their order, the rest of them later.
    ///
    /// # Errors
    /// The store fails.
    fn publish(
        &self,
        partition: &PartitionId,
        outcomes: Vec<(Offset, Outcome)>,
        next: Offset,
    ) -> Result<(), StoreError>;

    /// Waits until everything that was handed to `publish` is in the store. So partitions need not wait for each other.
    ///
    /// # Errors
    /// Something is not in the store. It may be published again, from the partition's `position` on.
    fn flush(&self) -> Result<(), StoreError>;
}
