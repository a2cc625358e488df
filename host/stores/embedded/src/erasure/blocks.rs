//! Rewrites blocks of the log without the data of erased events. Offsets stay.

use std::collections::{BTreeMap, BTreeSet};

use assay_core::verdict::{Outcome, erase_outcomes};
use assay_engine::ports::StoreError;
use assay_engine::ports::log::Topic;

use super::super::commits::Batch;
use super::super::database::Database;
use super::super::error::damaged;
use super::super::keys::{NumberedPartition, TopicPartition};
use super::super::log::LogReader;

/// Adds the blocks of events to a batch with the bytes of these events removed. Returns the number of events that had
/// bytes.
pub(super) fn blank_events(
    database: &Database,
    log: &LogReader,
    batch: &mut Batch,
    id: NumberedPartition,
    offsets: &BTreeSet<u64>,
) -> Result<u64, StoreError> {
    let mut count = 0;
    rewrite_records(
        database,
        log,
        batch,
        LogReader::topic_partition(id, Topic::Events),
        offsets.iter().copied(),
        |offset, event| {
            if !offsets.contains(&offset) || event.is_empty() {
                return Ok(None);
            }
            count += 1;
            Ok(Some(Vec::new()))
        },
    )?;
    Ok(count)
}

/// Adds verdict blocks to a batch with the outcomes of erased events removed. `places` has, for each block's offset, the
/// offsets of these events. Returns the removed outcomes.
pub(super) fn erase_verdicts(
    database: &Database,
    log: &LogReader,
    batch: &mut Batch,
    id: NumberedPartition,
    places: BTreeMap<u64, BTreeSet<u64>>,
) -> Result<Vec<Outcome>, StoreError> {
    let mut outcomes = Vec::new();
    rewrite_records(
        database,
        log,
        batch,
        LogReader::topic_partition(id, Topic::Verdicts),
        places.keys().copied(),
        |at, block| {
            let Some(offsets) = places.get(&at) else { return Ok(None) };
            let erased = erase_outcomes(block, offsets);
            let erased = erased.map_err(|error| damaged(format_args!("the verdict block at offset {at}"), &error))?;
            Ok(erased.map(|(rest, removed)| {
                outcomes.extend(removed);
                rest
            }))
        },
    )?;
    Ok(outcomes)
}

/// Rewrites each block that holds one of the rising `offsets` once: `change` returns the new bytes of a record, or none to
/// keep it. Records that retention has deleted are skipped.
fn rewrite_records(
    database: &Database,
    log: &LogReader,
    batch: &mut Batch,
    topic_partition: TopicPartition,
    offsets: impl Iterator<Item = u64>,
    mut change: impl FnMut(u64, &[u8]) -> Result<Option<Vec<u8>>, StoreError>,
) -> Result<(), StoreError> {
    let mut done = 0;
    for offset in offsets {
        if offset < done || offset < log.start_offset(topic_partition) {
            continue;
        }
        let Some(block) = log.find_block(topic_partition, offset)? else { continue };
        let rewritten = block.rewrite(&mut change)?;
        done = rewritten.next;
        if let Some(bytes) = rewritten.bytes {
            batch.insert(&database.log, topic_partition.block_key(rewritten.first), bytes);
        }
    }
    Ok(())
}
