//! Checks the other keyspaces: each row can be decoded and refers to existing records.

use assay_core::names::{Digest, Offset};
use assay_engine::ports::StoreError;
use assay_engine::ports::catalog::Revision;
use assay_engine::ports::dead_letters::DeadLetter;
use assay_engine::ports::graph::GraphEdge;
use assay_engine::ports::log::Topic;

use super::super::Embedded;
use super::super::commits::{COUNT_KEY, CountedKeyspace};
use super::super::error::failed;
use super::super::keys::NumberedPartition;
use super::super::profiles;
use super::Report;
use super::log::TopicRanges;

pub(super) fn check_rows(
    store: &Embedded,
    ranges: &TopicRanges,
    progress: &mut dyn FnMut(&str),
    report: &mut Report,
) -> Result<(), StoreError> {
    let database = &store.database;
    progress("the archive's index");
    let mut partitions: Vec<NumberedPartition> = ranges.keys().map(|(partition, _)| *partition).collect();
    partitions.sort_unstable();
    partitions.dedup();
    for partition in partitions {
        check_index(store, partition, ranges, report)?;
    }
    progress("the catalog");
    check_each_row(&database.catalog, report, |key, value| {
        let is_revision = key.starts_with(b"\xff") || serde_json::from_slice::<Revision>(value).is_ok();
        (!is_revision).then(|| "a revision in the catalog cannot be read".to_owned())
    })?;
    progress("plugins and other artifacts");
    check_each_row(&database.artifacts, report, |key, value| {
        let digest = Digest::of(value);
        (digest.0 != *key).then(|| format!("an artifact has the digest {digest}, and is stored under another"))
    })?;
    progress("profiles");
    check_each_row(&database.profiles, report, |key, value| {
        let partition = NumberedPartition::from_key(key)?;
        let end = ranges.get(&(partition, Topic::Events)).map_or(0, |events| events.end);
        match profiles::latest_offset(value) {
            Ok(Some(Offset(offset))) if offset >= end => Some(format!(
                "a profile of partition {} knows the event {offset}, and the log ends at {end}",
                partition.partition
            )),
            Ok(_) => None,
            Err(error) => Some(format!("a profile of partition {}: {error}", partition.partition)),
        }
    })?;
    progress("edges");
    check_each_row(&database.graph, report, |_, value| {
        serde_json::from_slice::<GraphEdge>(value).is_err().then(|| "an edge cannot be read".to_owned())
    })?;
    progress("dead letters");
    check_each_row(&database.dead_letters, report, |_, value| {
        serde_json::from_slice::<DeadLetter>(value).is_err().then(|| "a dead letter cannot be read".to_owned())
    })?;
    progress("states");
    check_each_row(&database.state, report, |_, _| None)
}

/// Reads each row of a keyspace. `find_problem` returns the problem of a row, if it has one.
fn check_each_row(
    keyspace: &CountedKeyspace,
    report: &mut Report,
    mut find_problem: impl FnMut(&[u8], &[u8]) -> Option<String>,
) -> Result<(), StoreError> {
    for row in keyspace.iter() {
        let (key, value) = row.into_inner().map_err(|error| failed("reading the rows", &error))?;
        if *key == *COUNT_KEY {
            continue;
        }
        report.rows += 1;
        if let Some(problem) = find_problem(&key, &value) {
            report.add_problem(problem);
        }
    }
    Ok(())
}

/// Checks that the index has no entry at or after the end of the log. Entries of records that retention deleted may remain.
fn check_index(
    store: &Embedded,
    partition_id: NumberedPartition,
    ranges: &TopicRanges,
    report: &mut Report,
) -> Result<(), StoreError> {
    let mut missing = [(Topic::Events, 0_u64), (Topic::Verdicts, 0)];
    store.archive.for_each_offset(partition_id, |topic, offset| {
        report.rows += 1;
        let is_there = ranges.get(&(partition_id, topic)).is_some_and(|range| offset < range.end);
        missing
            .iter_mut()
            .filter(|(entry_topic, _)| *entry_topic == topic && !is_there)
            .for_each(|(_, count)| *count += 1);
    })?;
    for (topic, count) in missing.into_iter().filter(|(_, count)| *count > 0) {
        let (topic, partition) = (topic.name(), partition_id.partition);
        report.add_problem(format!(
            "the archive's index of partition {partition} has {count} {topic} that the log has not"
        ));
    }
    Ok(())
}
