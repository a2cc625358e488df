//! The log of a derived stream against that of its source: it has each event, once but where somebody wrote late, and in
//! the order of time but where a wait was given up.

use std::collections::{BTreeMap, BTreeSet};

use assay_core::wire::Reader;

use super::definitions::{DERIVED, SOURCE};
use super::logs::{end, partition, read_events};
use crate::memory::World;
use crate::ports::PartitionId;
use crate::ports::log::Topic;

/// The place of an event in the source: partition and offset.
type Origin = (u32, u64);
/// The offsets of repeated events, by derived partition.
pub(super) type Repetitions = BTreeMap<PartitionId, BTreeSet<u64>>;

/// The fields of an event of either stream that say its place and its time.
struct EventFields {
    time: i64,
    /// None in the source.
    origin: Option<Origin>,
}

fn read_fields(event: &[u8]) -> Result<EventFields, String> {
    let damaged = |error: &dyn std::fmt::Display| format!("an event of the log: {error}");
    let mut reader = Reader::new(event);
    let skip_text = |reader: &mut Reader<'_>| {
        let length = reader.signed()?;
        reader.take(length as usize).map(drop)
    };
    let mut read = || {
        skip_text(&mut reader)?;
        skip_text(&mut reader)?;
        reader.take(size_of::<f64>())?;
        let time = reader.signed()?;
        skip_text(&mut reader)?;
        let origin = if reader.is_empty() { None } else { Some((reader.signed()? as u32, reader.signed()? as u64)) };
        Ok::<_, assay_core::wire::Corrupt>(EventFields { time, origin })
    };
    read().map_err(|error| damaged(&error))
}

fn read_origin(event: &[u8]) -> Result<Origin, String> {
    read_fields(event)?.origin.ok_or_else(|| "an event of a derived stream has no origin".to_owned())
}

/// The repeated events of all derived partitions.
pub(super) fn all_repetitions(world: &World, count: u32) -> Result<Repetitions, String> {
    let derived = (0..count).map(|index| partition(DERIVED, index));
    derived.map(|derived| Ok((derived.clone(), repetitions(world, &derived)?))).collect()
}

/// The offsets of the events of a derived partition that repeat earlier ones.
pub(super) fn repetitions(world: &World, partition: &PartitionId) -> Result<BTreeSet<u64>, String> {
    let mut last: BTreeMap<u32, u64> = BTreeMap::new();
    let mut repeated = BTreeSet::new();
    for (offset, event) in read_events(world, partition, 0).iter().enumerate() {
        if event.is_empty() {
            continue;
        }
        let (from, at) = read_origin(event)?;
        if last.get(&from).is_some_and(|last| at <= *last) {
            repeated.insert(offset as u64);
        } else {
            last.insert(from, at);
        }
    }
    Ok(repeated)
}

/// Fails unless the derived stream has each event of the source, those of each source partition in its order, and none
/// twice in a partition to which nobody wrote late.
pub(super) fn check_derived(world: &World, count: u32) -> Result<(), String> {
    let mut expected = BTreeSet::new();
    for index in 0..count {
        let events = end(world, &partition(SOURCE, index), Topic::Events);
        expected.extend((0..events).map(|offset| (index, offset)));
    }
    for (derived, repeated) in all_repetitions(world, count)? {
        if let Some(offset) = repeated.first().filter(|_| !world.is_appended_late(&derived, Topic::Events)) {
            return Err(format!("{derived}: the event at {offset} repeats an earlier one, and nobody wrote late"));
        }
        for (offset, event) in read_events(world, &derived, 0).iter().enumerate() {
            let origin = read_origin(event)?;
            if !repeated.contains(&(offset as u64)) && !expected.remove(&origin) {
                return Err(format!("{derived}: the event at {origin:?} of the source is there twice or is none"));
            }
        }
    }
    match expected.first() {
        None => Ok(()),
        Some(origin) => Err(format!("the event at {origin:?} of the source is missing in the derived stream")),
    }
}

/// Fails unless the events of each derived partition are in the order of time. `barriers` has ends of the source partitions:
/// events before and after one of them need not be in order.
///
/// The order is that of the latest time of the source partition up to an event. A writer that begins anew may know only the
/// event's own time, so all that lies between both is right.
pub(super) fn check_derived_order(world: &World, count: u32, barriers: &[Vec<u64>]) -> Result<(), String> {
    let mut times: BTreeMap<Origin, (i64, i64)> = BTreeMap::new();
    for index in 0..count {
        let mut latest = i64::MIN;
        for (offset, event) in read_events(world, &partition(SOURCE, index), 0).iter().enumerate() {
            let time = read_fields(event)?.time;
            latest = latest.max(time);
            times.insert((index, offset as u64), (time, latest));
        }
    }
    let stretch = |(index, offset): Origin| barriers.iter().filter(|ends| ends[index as usize] <= offset).count();
    for (derived, repeated) in all_repetitions(world, count)? {
        let mut greatest: BTreeMap<usize, (i64, u32)> = BTreeMap::new();
        for (offset, event) in read_events(world, &derived, 0).iter().enumerate() {
            let origin = read_origin(event)?;
            let Some((time, latest)) = times.get(&origin).filter(|_| !repeated.contains(&(offset as u64))) else {
                continue;
            };
            let before = greatest.entry(stretch(origin)).or_insert((i64::MIN, 0));
            if *before > (*latest, origin.0) {
                return Err(format!(
                    "{derived}: the event at {offset} of {origin:?}, {latest}, comes after {before:?}"
                ));
            }
            *before = (*before).max((*time, origin.0));
        }
    }
    Ok(())
}
