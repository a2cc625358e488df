//! Rewrites blocks of the log without some of what they hold. Offsets stay.

use std::collections::{BTreeMap, BTreeSet};

use assay_core::verdict::{Outcome, erase_outcomes};
use assay_engine::ports::StoreError;
use assay_engine::ports::log::Topic;

use super::super::commits::Batch;
use super::super::database::Database;
use super::super::error::damaged;
use super::super::keys::{PartitionId, TopicPartition};
use super::super::log::LogReader;

/// Adds blocks in which some events have no bytes to a batch. Returns how many had some.
pub(super) fn blank_events(
    database: &Database,
    log: &LogReader,
    batch: &mut Batch,
    id: PartitionId,
    offsets: &BTreeSet<u64>,
) -> Result<u64, StoreError> {
    let mut count = 0;
    change(database, log, batch, LogReader::topic(id, Topic::Events), offsets.iter().copied(), |offset, event| {
        if !offsets.contains(&offset) || event.is_empty() {
            return Ok(None);
        }
        count += 1;
        Ok(Some(Vec::new()))
    })?;
    Ok(count)
}

/// Adds verdict blocks without what they say of some events to a batch. `places` has the events by the place of the
/// block. Returns what they said.
pub(super) fn erase_verdicts(
    database: &Database,
    log: &LogReader,
    batch: &mut Batch,
    id: PartitionId,
    places: BTreeMap<u64, BTreeSet<u64>>,
) -> Result<Vec<Outcome>, StoreError> {
    let mut outcomes = Vec::new();
    change(database, log, batch, LogReader::topic(id, Topic::Verdicts), places.keys().copied(), |at, block| {
        let Some(offsets) = places.get(&at) else { return Ok(None) };
        let erased = erase_outcomes(block, offsets);
        let erased = erased.map_err(|error| damaged(format_args!("the verdict block at offset {at}"), &error))?;
        Ok(erased.map(|(rest, said)| {
            outcomes.extend(said);
            rest
        }))
    })?;
    Ok(outcomes)
}

/// Changes records: each block that holds some of `wanted`, which rises, once. What retention has deleted is passed
/// over.
fn change(
    database: &Database,
    log: &LogReader,
    batch: &mut Batch,
    of: TopicPartition,
    wanted: impl Iterator<Item = u64>,
    mut change: impl FnMut(u64, &[u8]) -> Result<Option<Vec<u8>>, StoreError>,
) -> Result<(), StoreError> {
    let mut done = 0;
    for offset in wanted {
        if offset < done || offset < log.head(of) {
            continue;
        }
        let Some(block) = log.block_of(of, offset)? else { continue };
        let rewritten = block.rewrite(&mut change)?;
        done = rewritten.next;
        if let Some(bytes) = rewritten.bytes {
            batch.insert(&database.log, of.block(rewritten.first), bytes);
        }
    }
    Ok(())
}
