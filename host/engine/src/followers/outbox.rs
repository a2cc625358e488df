//! Carries verdicts and failures to those who read them as messages.

use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::verdict::read_block;

use super::{Follow, Refusal};
use crate::plan::Plan;
use crate::ports::log::{Records, Topic};
use crate::ports::outbox::Outbox;
use crate::ports::{StoreError, StreamPartition};
use crate::shared::unreadable_block;

pub(super) struct Follower(pub(super) Arc<dyn Outbox>);

impl Follow for Follower {
    fn name(&self) -> &'static str {
        "outbox"
    }

    fn topic(&self) -> Topic {
        Topic::Verdicts
    }

    fn position(&mut self, of: &StreamPartition) -> Result<Offset, StoreError> {
        self.0.position(of)
    }

    fn carry(
        &mut self,
        _: &Plan,
        of: &StreamPartition,
        records: &[Records],
        next: Offset,
    ) -> Result<Vec<Refusal>, StoreError> {
        let mut outcomes = Vec::new();
        for (offset, bytes) in records.iter().flat_map(Records::iter) {
            let block = read_block(bytes).map_err(|error| unreadable_block(of, offset, &error))?;
            outcomes.extend(block.outcomes.into_iter().map(|outcome| (offset, outcome)));
        }
        self.0.publish(of, outcomes, next).map(|()| Vec::new())
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        self.0.settle()
    }
}
