//! Sinks that turn outcomes into the items of a store, then write these. The two steps are apart, because the first one is
//! repeated without the second to find the outcomes that panic.

use assay_core::names::Offset;
use assay_core::verdict::{Outcome, VerdictBlock, read_block, read_block_summary};

use super::{Refusal, Sink};
use crate::plan::Plan;
use crate::ports::log::{Records, Topic};
use crate::ports::{PartitionId, StoreError};
use crate::shared::unreadable_block_error;

/// A sink of verdicts.
pub(super) trait VerdictSink: Send {
    /// The store that it feeds, as metrics and logs name it.
    const NAME: &'static str;
    /// Blocks that have none of these flags are not read; 0 means that all are.
    const FLAGS: u8 = 0;
    /// The form in which the store takes outcomes.
    type Items;

    /// The offset in the verdicts log before which everything is in the store.
    fn position(&self, partition: &PartitionId) -> Result<Offset, StoreError>;

    /// Turns outcomes, each with the offset of its block, into the store's items. It calls no store.
    fn convert(partition: &PartitionId, outcomes: impl Iterator<Item = (Offset, Outcome)>) -> Self::Items;

    /// Writes the items, all of blocks before `next`. Returns what the store refuses for good; if there is any, the
    /// position is not stored.
    fn write(&self, partition: &PartitionId, items: Self::Items, next: Offset) -> Result<Vec<Refusal>, StoreError>;

    /// Waits until everything that was written is in the store.
    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl<S: VerdictSink> Sink for S {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn topic(&self) -> Topic {
        Topic::Verdicts
    }

    fn position(&mut self, partition: &PartitionId) -> Result<Offset, StoreError> {
        VerdictSink::position(self, partition)
    }

    fn write_records(
        &mut self,
        _: &Plan,
        partition: &PartitionId,
        records: &[Records],
        next: Offset,
    ) -> Result<Vec<Refusal>, StoreError> {
        self.write(partition, convert_records::<S>(partition, records)?, next)
    }

    fn examine(&mut self, partition: &PartitionId, records: &[Records]) -> Result<(), StoreError> {
        convert_records::<S>(partition, records).map(drop)
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        VerdictSink::flush(self)
    }
}

fn convert_records<S: VerdictSink>(partition: &PartitionId, records: &[Records]) -> Result<S::Items, StoreError> {
    let blocks = read_blocks_with(S::FLAGS, partition, records)?;
    let outcomes =
        blocks.into_iter().flat_map(|(offset, block)| block.outcomes.into_iter().map(move |outcome| (offset, outcome)));
    Ok(S::convert(partition, outcomes))
}

/// Reads the verdict blocks that have any of the flags, each with its offset; 0 means all.
fn read_blocks_with(
    flags: u8,
    partition: &PartitionId,
    records: &[Records],
) -> Result<Vec<(Offset, VerdictBlock)>, StoreError> {
    let mut blocks = Vec::new();
    for (offset, bytes) in records.iter().flat_map(Records::iter) {
        let unreadable = |error| unreadable_block_error(partition, offset, &error);
        let summary = read_block_summary(bytes).map_err(unreadable)?;
        if flags == 0 || summary.flags & flags != 0 {
            blocks.push((offset, read_block(bytes).map_err(unreadable)?));
        }
    }
    Ok(blocks)
}
