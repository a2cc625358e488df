//! Carries verdicts and failures to those who read them as messages.

use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::verdict::Outcome;

use super::Refusal;
use super::verdicts::VerdictSink;
use crate::ports::outbox::Outbox;
use crate::ports::{PartitionId, StoreError};

pub(super) struct OutboxSink(pub(super) Arc<dyn Outbox>);

impl VerdictSink for OutboxSink {
    const NAME: &'static str = "outbox";
    type Items = Vec<(Offset, Outcome)>;

    fn position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.0.position(partition)
    }

    fn convert(_: &PartitionId, outcomes: impl Iterator<Item = (Offset, Outcome)>) -> Self::Items {
        outcomes.collect()
    }

    fn write(&self, partition: &PartitionId, outcomes: Self::Items, next: Offset) -> Result<Vec<Refusal>, StoreError> {
        self.0.publish(partition, outcomes, next).map(|()| Vec::new())
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.0.flush()
    }
}
