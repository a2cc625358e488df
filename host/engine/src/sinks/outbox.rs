//! Carries verdicts and failures to those who read them as messages.

use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::verdict::{Outcome, read_block};

use super::{Refusal, Sink};
use crate::plan::Plan;
use crate::ports::log::{Records, Topic};
use crate::ports::outbox::Outbox;
use crate::ports::{PartitionId, StoreError};
use crate::shared::unreadable_block_error;

pub(super) struct OutboxSink(pub(super) Arc<dyn Outbox>);

impl Sink for OutboxSink {
    fn name(&self) -> &'static str {
        "outbox"
    }

    fn topic(&self) -> Topic {
        Topic::Verdicts
    }

    fn position(&mut self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.0.position(partition)
    }

    fn write_records(
        &mut self,
        _: &Plan,
        partition: &PartitionId,
        records: &[Records],
        next: Offset,
    ) -> Result<Vec<Refusal>, StoreError> {
        self.0.publish(partition, outcomes_of(partition, records)?, next).map(|()| Vec::new())
    }

    fn examine(&mut self, partition: &PartitionId, records: &[Records]) -> Result<(), StoreError> {
        outcomes_of(partition, records).map(drop)
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.0.flush()
    }
}

/// All outcomes, each with the offset of its block.
fn outcomes_of(partition: &PartitionId, records: &[Records]) -> Result<Vec<(Offset, Outcome)>, StoreError> {
    let mut outcomes = Vec::new();
    for (offset, bytes) in records.iter().flat_map(Records::iter) {
        let block = read_block(bytes).map_err(|error| unreadable_block_error(partition, offset, &error))?;
        outcomes.extend(block.outcomes.into_iter().map(|outcome| (offset, outcome)));
    }
    Ok(outcomes)
}
