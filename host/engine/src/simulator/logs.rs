//! What the log of a world holds: the events of each partition, which of a derived stream's are repetitions, and how far
//! they are judged.

use std::collections::{BTreeMap, BTreeSet};

use assay_core::names::{Offset, Partition};
use assay_core::verdict::{VerdictBlock, block_flags, read_block};

use super::definitions::{DERIVED, SOURCE};
use crate::memory::World;
use crate::ports::PartitionId;
use crate::ports::log::{Records, Topic};

/// One partition of a stream.
pub(super) fn partition(stream: &str, partition: u32) -> PartitionId {
    PartitionId { stream: stream.into(), partition: Partition(partition) }
}

/// All partitions of both streams.
pub(super) fn partitions(count: u32) -> Vec<PartitionId> {
    [SOURCE, DERIVED].iter().flat_map(|stream| (0..count).map(|index| partition(stream, index))).collect()
}

/// The events of a partition, in the order of their offsets.
pub(super) fn read_events(world: &World, partition: &PartitionId, from: u64) -> Result<Vec<Vec<u8>>, String> {
    let read = read(world, partition, Topic::Events, from)?;
    Ok(read.iter().flat_map(Records::iter).map(|(_, event)| event.to_vec()).collect())
}

/// The verdict blocks of a partition, each with its offset.
pub(super) fn read_blocks(
    world: &World,
    partition: &PartitionId,
    from: u64,
) -> Result<Vec<(Offset, VerdictBlock)>, String> {
    let read = read(world, partition, Topic::Verdicts, from)?;
    let blocks = read.iter().flat_map(Records::iter);
    blocks.map(|(at, block)| Ok((at, read_block(block).map_err(|error| error.to_string())?))).collect()
}

/// The offset before which all events of a partition are judged.
pub(super) fn read_judged(world: &World, partition: &PartitionId) -> Result<u64, String> {
    let mut judged = 0;
    for (_, block) in read(world, partition, Topic::Verdicts, 0)?.iter().flat_map(Records::iter) {
        let (_, next) = block_flags(block).map_err(|error| error.to_string())?;
        judged = judged.max(next.0);
    }
    Ok(judged)
}

fn read(world: &World, partition: &PartitionId, topic: Topic, from: u64) -> Result<Vec<Records>, String> {
    let log = world.observer().log;
    let read = log.read(&partition.stream, topic, partition.partition, Offset(from), usize::MAX, usize::MAX);
    read.map_err(|error| error.to_string())
}

/// The end of a partition of a topic.
pub(super) fn end(world: &World, partition: &PartitionId, topic: Topic) -> u64 {
    world.observer().log.end(&partition.stream, topic, partition.partition).map_or(0, |end| end.0)
}

/// The place in the source of an event of a derived stream: its last two fields.
fn origin(event: &[u8]) -> Result<(u32, u64), String> {
    let is_last = |byte: &u8| byte & 0x80 == 0;
    // Each number ends with a byte whose highest bit is not set.
    let end_before_offset = event[..event.len().saturating_sub(1)].iter().rposition(is_last).ok_or("no origin")?;
    let end_before_partition = event[..end_before_offset].iter().rposition(is_last).ok_or("no origin")?;
    let number = |bytes: &[u8]| {
        let raw = bytes.iter().rev().fold(0_u64, |value, byte| (value << 7) | u64::from(byte & 0x7f));
        raw >> 1
    };
    let partition = number(&event[end_before_partition + 1..=end_before_offset]);
    Ok((partition as u32, number(&event[end_before_offset + 1..])))
}

/// The offsets of repeated events, by derived partition.
pub(super) type Repetitions = BTreeMap<PartitionId, BTreeSet<u64>>;

/// The repeated events of all derived partitions.
pub(super) fn all_repetitions(world: &World, count: u32) -> Result<Repetitions, String> {
    let derived = (0..count).map(|index| partition(DERIVED, index));
    derived.map(|derived| Ok((derived.clone(), repetitions(world, &derived)?))).collect()
}

/// The offsets of the events of a derived partition that repeat earlier ones.
pub(super) fn repetitions(world: &World, partition: &PartitionId) -> Result<BTreeSet<u64>, String> {
    let mut last: BTreeMap<u32, u64> = BTreeMap::new();
    let mut repeated = BTreeSet::new();
    for (offset, event) in read_events(world, partition, 0)?.iter().enumerate() {
        if event.is_empty() {
            continue;
        }
        let (from, at) = origin(event)?;
        if last.get(&from).is_some_and(|last| at <= *last) {
            repeated.insert(offset as u64);
        } else {
            last.insert(from, at);
        }
    }
    Ok(repeated)
}

/// Fails unless the derived stream has each event of the source, and those that are no repetitions are in the order of each
/// partition of the source.
pub(super) fn check_derived(world: &World, count: u32) -> Result<(), String> {
    let mut expected = BTreeSet::new();
    for index in 0..count {
        let events = end(world, &partition(SOURCE, index), Topic::Events);
        expected.extend((0..events).map(|offset| (index, offset)));
    }
    for index in 0..count {
        let derived = partition(DERIVED, index);
        let repeated = repetitions(world, &derived)?;
        for (offset, event) in read_events(world, &derived, 0)?.iter().enumerate() {
            let place = origin(event)?;
            if !repeated.contains(&(offset as u64)) && !expected.remove(&place) {
                return Err(format!("{derived}: the event at {place:?} of the source is there twice or is none"));
            }
        }
    }
    match expected.first() {
        None => Ok(()),
        Some(place) => Err(format!("the event at {place:?} of the source is missing in the derived stream")),
    }
}
