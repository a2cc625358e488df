//! All that a run has left behind, as texts by name, so that two runs can be compared.

use std::collections::{BTreeMap, BTreeSet};

use assay_core::names::Offset;
use assay_core::time_range::TimeRange;

use super::definitions::SOURCE;
use super::derived_log::Repetitions;
use super::logs::{first_kept, partitions, read_blocks};
use super::scenario::Scenario;
use crate::memory::World;
use crate::ports::archive::HistoryQuery;
use crate::ports::dead_letters::DeadLetterQuery;
use crate::ports::log::Topic;
use crate::ports::{PartitionId, Ports};

/// The measurement of verdicts' points.
const SCORES: &str = "score";
/// More than there is of anything.
const MAX_ITEMS: usize = 1_000_000;

/// What retention has deleted in the disturbed run: the archive has it in the undisturbed one only.
pub(super) struct Deleted {
    /// By partition, the events before this offset.
    events: BTreeMap<PartitionId, u64>,
    /// The events whose verdicts are deleted.
    outcomes: BTreeSet<(PartitionId, u64)>,
}

impl Deleted {
    pub(super) fn read(world: &World, count: u32) -> Result<Self, String> {
        let mut deleted = Self { events: BTreeMap::new(), outcomes: BTreeSet::new() };
        for partition in partitions(count) {
            deleted.events.insert(partition.clone(), first_kept(world, &partition, Topic::Events));
            let first = first_kept(world, &partition, Topic::Verdicts);
            for (_, block) in read_blocks(world, &partition)?.into_iter().filter(|(at, _)| at.0 < first) {
                deleted.outcomes.extend(block.outcomes.iter().map(|outcome| (partition.clone(), outcome.offset.0)));
            }
        }
        Ok(deleted)
    }
}

/// Results by name.
#[derive(Default)]
pub(super) struct Results(BTreeMap<String, String>);

impl Results {
    /// Reads everything. In the undisturbed run, `blanked` has the events of the derived stream that are records without
    /// bytes there, of which a dead letter tells; in the disturbed run nothing may be said of them.
    pub(super) fn read(
        world: &World,
        scenario: &Scenario,
        deleted: &Deleted,
        blanked: Option<&Repetitions>,
    ) -> Result<Self, String> {
        let mut results = Self::default();
        let (ports, nothing) = (world.observer(), BTreeSet::new());
        for partition in partitions(scenario.partitions) {
            let skipped = blanked.and_then(|blanked| blanked.get(&partition)).unwrap_or(&nothing);
            results.read_verdicts(world, &partition, skipped)?;
            results.read_archived(&ports, &partition, (skipped, deleted));
            results.read_entities(&ports, &partition, scenario, deleted)?;
            let published = world.published(&partition).into_iter();
            for outcome in published.filter(|outcome| !skipped.contains(&outcome.offset.0)) {
                results.put(format!("published {partition} {}", outcome.offset), &outcome);
            }
        }
        let query = DeadLetterQuery { limit: MAX_ITEMS, ..DeadLetterQuery::default() };
        for letter in ports.dead_letters.list(&query).map_err(|error| error.to_string())?.items {
            let partition = PartitionId { stream: letter.stream.as_str().into(), partition: letter.place.partition };
            let skipped = blanked.and_then(|blanked| blanked.get(&partition));
            if skipped.is_some_and(|skipped| skipped.contains(&letter.place.offset.0)) {
                continue;
            }
            results.put(format!("letter {} {:?} {:?}", letter.stream, letter.place, letter.rule), &letter);
        }
        for bucket in world.buckets() {
            results.put(format!("bucket {} {} {} {}", bucket.view, bucket.revision, bucket.key, bucket.from), &bucket);
        }
        for point in world.points(SOURCE).into_iter().chain(world.points(SCORES)) {
            results.put(format!("point {} {:?}", point.time_ns, point.tags), &point.fields);
        }
        Ok(results)
    }

    fn put(&mut self, name: String, value: &dyn std::fmt::Debug) {
        self.0.insert(name, format!("{value:?}"));
    }

    /// What was said of each event first. What is said again must be the same.
    fn read_verdicts(&mut self, world: &World, partition: &PartitionId, skipped: &BTreeSet<u64>) -> Result<(), String> {
        for (_, block) in read_blocks(world, partition)? {
            for outcome in block.outcomes {
                let name = format!("outcome {partition} {}", outcome.offset);
                let said = format!("{outcome:?}");
                if skipped.contains(&outcome.offset.0) {
                    continue;
                }
                if let Some(before) = self.0.get(&name).filter(|before| **before != said) {
                    return Err(format!("{name}: {before}, and then {said}"));
                }
                self.0.insert(name, said);
            }
        }
        Ok(())
    }

    /// What the archive says of each event.
    fn read_archived(
        &mut self,
        ports: &Ports,
        partition: &PartitionId,
        (skipped, deleted): (&BTreeSet<u64>, &Deleted),
    ) {
        let end = ports.log.end(&partition.stream, Topic::Events, partition.partition).map_or(0, |end| end.0);
        for offset in (0..end).filter(|offset| !skipped.contains(offset)) {
            let archived = ports.archive.outcome(partition, Offset(offset));
            // No rule says anything of a repeated event.
            if archived != Ok(None) && !deleted.outcomes.contains(&(partition.clone(), offset)) {
                self.put(format!("archived {partition} {offset}"), &archived);
            }
        }
    }

    fn read_entities(
        &mut self,
        ports: &Ports,
        partition: &PartitionId,
        scenario: &Scenario,
        deleted: &Deleted,
    ) -> Result<(), String> {
        let first = deleted.events.get(partition).copied().unwrap_or(0);
        let is_source = &*partition.stream == SOURCE;
        let (kind, count) = if is_source { ("card", scenario.cards) } else { ("device", scenario.devices) };
        for number in 0..count {
            let key = format!("{kind}-{number}");
            if ports.log.partition_of(&key, scenario.partitions) != partition.partition {
                continue;
            }
            let profile = ports.profiles.get(partition, &key).map_err(|error| error.to_string())?;
            self.put(format!("profile {partition} {key}"), &profile);
            let edges = ports.graph.neighbours(&format!("{kind}:{key}"), MAX_ITEMS, None);
            self.put(format!("edges {kind}:{key}"), &edges.map(|page| page.items));
            if is_source {
                let query = HistoryQuery { key: key.clone(), times: TimeRange::ALL, limit: MAX_ITEMS, cursor: None };
                let history = ports.archive.history(partition, &query).map_err(|error| error.to_string())?;
                let places = history.items.iter().map(|event| event.place.offset.0);
                let places: Vec<u64> = places.filter(|offset| *offset >= first).collect();
                self.put(format!("history {partition} {key}"), &places);
            }
        }
        Ok(())
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Fails with the first that differs from those of an undisturbed run.
    pub(super) fn check(&self, expected: &Self) -> Result<(), String> {
        for (name, value) in &expected.0 {
            match self.0.get(name) {
                None => return Err(format!("{name}: missing; expected {value}")),
                Some(found) if found != value => return Err(format!("{name}: {found}; expected {value}")),
                Some(_) => {}
            }
        }
        let surplus = self.0.iter().find(|(name, _)| !expected.0.contains_key(*name));
        surplus.map_or(Ok(()), |(name, value)| Err(format!("{name}: {value}; expected nothing")))
    }
}
