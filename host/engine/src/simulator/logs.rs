//! What the log of a world holds: the events of each partition, and how far they are judged.

use assay_core::names::{Offset, PartitionIndex};
use assay_core::verdict::{VerdictBlock, read_block, read_block_summary};

use super::definitions::{DERIVED, SOURCE};
use crate::memory::World;
use crate::ports::PartitionId;
use crate::ports::log::{Records, Topic, empty_displaced_blocks};

/// One partition of a stream.
pub(super) fn partition(stream: &str, partition: u32) -> PartitionId {
    PartitionId { stream: stream.into(), partition: PartitionIndex(partition) }
}

/// All partitions of both streams.
pub(super) fn partitions(count: u32) -> Vec<PartitionId> {
    [SOURCE, DERIVED].iter().flat_map(|stream| (0..count).map(|index| partition(stream, index))).collect()
}

/// The events of a partition from an offset on, in the order of their offsets.
pub(super) fn read_events(world: &World, partition: &PartitionId, from: u64) -> Vec<Vec<u8>> {
    let all = world.all_records(partition, Topic::Events);
    all.iter().flat_map(Records::iter).skip(from as usize).map(|(_, event)| event.to_vec()).collect()
}

/// The verdicts of a partition, with empty blocks in the place of displaced ones.
fn read_verdicts(world: &World, partition: &PartitionId) -> Vec<Records> {
    let mut all = world.all_records(partition, Topic::Verdicts);
    all.iter_mut().for_each(empty_displaced_blocks);
    all
}

/// The verdict blocks of a partition, each with its offset.
pub(super) fn read_blocks(world: &World, partition: &PartitionId) -> Result<Vec<(Offset, VerdictBlock)>, String> {
    let all = read_verdicts(world, partition);
    let blocks = all.iter().flat_map(Records::iter);
    blocks.map(|(at, block)| Ok((at, read_block(block).map_err(|error| error.to_string())?))).collect()
}

/// The events that each verdict block of a partition speaks of, from and to, in the order of the log.
fn read_ranges(world: &World, partition: &PartitionId) -> Result<Vec<(u64, u64)>, String> {
    let (mut ranges, mut end) = (Vec::new(), 0);
    for (_, block) in read_verdicts(world, partition).iter().flat_map(Records::iter) {
        let summary = read_block_summary(block).map_err(|error| error.to_string())?;
        let from = summary.from.map_or(end, |from| from.0);
        if from < summary.next.0 {
            ranges.push((from, summary.next.0));
            end = summary.next.0;
        }
    }
    Ok(ranges)
}

/// The offset before which all events of a partition are judged.
pub(super) fn read_judged(world: &World, partition: &PartitionId) -> Result<u64, String> {
    let mut ranges = read_ranges(world, partition)?;
    ranges.sort_unstable();
    Ok(ranges.iter().fold(0, |judged, (from, next)| if *from <= judged { judged.max(*next) } else { judged }))
}

/// Fails if an event has its verdicts twice.
pub(super) fn check_verdicts_once(world: &World, count: u32) -> Result<(), String> {
    for partition in partitions(count) {
        let mut ranges = read_ranges(world, &partition)?;
        ranges.sort_unstable();
        if let Some(pair) = ranges.windows(2).find(|pair| pair[1].0 < pair[0].1) {
            return Err(format!("{partition}: verdicts of the events {pair:?} twice"));
        }
    }
    Ok(())
}

/// The first record of a partition of a topic that retention has left.
pub(super) fn first_kept(world: &World, partition: &PartitionId, topic: Topic) -> u64 {
    world.observer().log.kept(&partition.stream, topic, partition.partition).map_or(0, |kept| kept.first.0)
}

/// The end of a partition of a topic.
pub(super) fn end(world: &World, partition: &PartitionId, topic: Topic) -> u64 {
    world.observer().log.end(&partition.stream, topic, partition.partition).map_or(0, |end| end.0)
}
