//! The outbox port: verdicts and dead letters as messages that other programs read. Optional.

use assay_core::names::Offset;
use assay_core::verdict::Outcome;

use super::{StoreError, StreamPartition};

/// Verdicts and dead letters, published for others.
pub trait Outbox: Send + Sync {
    /// The offset of the verdicts topic from which on blocks are not published yet.
    ///
    /// # Errors
    /// The store fails.
    fn position(&self, of: &StreamPartition) -> Result<Offset, StoreError>;

    /// Publishes what was said of events, each with the offset of the block that it stands in. Outcomes that were
    /// published before are passed over. All blocks before `next` are published then.
    ///
    /// # Errors
    /// The store fails.
    fn publish(&self, of: &StreamPartition, outcomes: Vec<(Offset, Outcome)>, next: Offset) -> Result<(), StoreError>;
}
