//! The other parts: each row can be read, and points at something that is there.

use assay_core::names::{Digest, Offset};
use assay_engine::ports::StoreError;
use assay_engine::ports::catalog::Revision;
use assay_engine::ports::dead_letters::DeadLetter;
use assay_engine::ports::graph::GraphEdge;
use assay_engine::ports::log::Topic;

use super::super::Embedded;
use super::super::commits::{COUNT_KEY, Space};
use super::super::error::failed;
use super::super::keys::PartitionId;
use super::super::profiles;
use super::Report;
use super::log::Ranges;

pub(super) fn check(
    store: &Embedded,
    ranges: &Ranges,
    progress: &mut dyn FnMut(&str),
    report: &mut Report,
) -> Result<(), StoreError> {
    let database = &store.database;
    progress("the archive's index");
    let mut partitions: Vec<PartitionId> = ranges.keys().map(|(of, _)| *of).collect();
    partitions.sort_unstable();
    partitions.dedup();
    for of in partitions {
        check_index(store, of, ranges, report)?;
    }
    progress("the catalog");
    each(&database.catalog, report, |key, value| {
        let is_revision = key.starts_with(b"\xff") || serde_json::from_slice::<Revision>(value).is_ok();
        (!is_revision).then(|| "a revision in the catalog cannot be read".to_owned())
    })?;
    progress("plugins and other artifacts");
    each(&database.artifacts, report, |key, value| {
        let digest = Digest::of(value);
        (digest.0 != *key).then(|| format!("an artifact has the digest {digest}, and is stored under another"))
    })?;
    progress("profiles");
    each(&database.profiles, report, |key, value| {
        let of = PartitionId::of_key(key)?;
        let end = ranges.get(&(of, Topic::Events)).map_or(0, |events| events.end);
        match profiles::latest_offset(value) {
            Ok(Some(Offset(offset))) if offset >= end => Some(format!(
                "a profile of partition {} knows the event {offset}, and the log ends at {end}",
                of.partition
            )),
            Ok(_) => None,
            Err(error) => Some(format!("a profile of partition {}: {error}", of.partition)),
        }
    })?;
    progress("edges");
    each(&database.graph, report, |_, value| {
        serde_json::from_slice::<GraphEdge>(value).is_err().then(|| "an edge cannot be read".to_owned())
    })?;
    progress("dead letters");
    each(&database.dead_letters, report, |_, value| {
        serde_json::from_slice::<DeadLetter>(value).is_err().then(|| "a dead letter cannot be read".to_owned())
    })?;
    progress("states");
    each(&database.state, report, |_, _| None)
}

/// Looks at each row of a keyspace: `look` says what is wrong with it.
fn each(
    space: &Space,
    report: &mut Report,
    mut look: impl FnMut(&[u8], &[u8]) -> Option<String>,
) -> Result<(), StoreError> {
    for row in space.iter() {
        let (key, value) = row.into_inner().map_err(|error| failed("reading the rows", &error))?;
        if *key == *COUNT_KEY {
            continue;
        }
        report.rows += 1;
        if let Some(problem) = look(&key, &value) {
            report.problem(problem);
        }
    }
    Ok(())
}

/// Entries of what retention deleted may be left; none is of an event or a block that the log does not have yet.
fn check_index(store: &Embedded, of: PartitionId, ranges: &Ranges, report: &mut Report) -> Result<(), StoreError> {
    let mut beyond = [(Topic::Events, 0_u64), (Topic::Verdicts, 0)];
    store.archive.each_offset(of, |topic, offset| {
        report.rows += 1;
        let is_there = ranges.get(&(of, topic)).is_some_and(|range| offset < range.end);
        beyond.iter_mut().filter(|(of, _)| *of == topic && !is_there).for_each(|(_, count)| *count += 1);
    })?;
    for (topic, count) in beyond.into_iter().filter(|(_, count)| *count > 0) {
        let (topic, partition) = (topic.name(), of.partition);
        report
            .problem(format!("the archive's index of partition {partition} has {count} {topic} that the log has not"));
    }
    Ok(())
}
