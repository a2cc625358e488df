//! The undisturbed run: one process, to which the log of the disturbed run is given as it came to be, and the same changes
//! of the catalog at the same places.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::definitions::DERIVED;
use super::derived_log::repetitions;
use super::driver::{Running, Simulation};
use super::logs::{partitions, read_events};
use super::scenario::Scenario;
use crate::memory::World;
use crate::plan::PluginCache;
use crate::ports::PartitionId;
use crate::ports::catalog::Change;
use crate::ports::log::{Durability, Records, Topic};

/// A stretch of a run: the change at its beginning, and where the log ended at its end.
pub(super) struct Stretch {
    pub(super) changes: Vec<Change>,
    pub(super) ends: BTreeMap<PartitionId, u64>,
}

/// Runs the stretches again, without anything that goes wrong.
pub(super) fn run_undisturbed(
    disturbed: &World,
    scenario: &Scenario,
    stretches: &[Stretch],
    plugin_cache: Arc<PluginCache>,
) -> Result<Running, String> {
    let simulation = Running::begin(Simulation::new(scenario.undisturbed(), 0, plugin_cache, false));
    simulation.is_calm.set(true);
    simulation.start_missing();
    let mut begins: BTreeMap<PartitionId, u64> = BTreeMap::new();
    for stretch in stretches {
        simulation.change(stretch.changes.clone())?;
        for partition in partitions(scenario.partitions) {
            let begin = begins.get(&partition).copied().unwrap_or(0);
            let stop = stretch.ends.get(&partition).copied().unwrap_or(0);
            copy_events(disturbed, simulation.world(), &partition, begin..stop)?;
        }
        begins.clone_from(&stretch.ends);
        simulation.run_until(|| simulation.check_judged())?;
    }
    simulation.run_until(|| simulation.check_finished())?;
    Ok(simulation)
}

/// Copies events to the same places. What a derived stream has twice becomes a record without bytes.
fn copy_events(from: &World, to: &World, partition: &PartitionId, offsets: std::ops::Range<u64>) -> Result<(), String> {
    if offsets.is_empty() {
        return Ok(());
    }
    let repeated = if &*partition.stream == DERIVED { repetitions(from, partition)? } else { Default::default() };
    let log = to.observer().log;
    let mut records = Records { appended_at: i64::MAX / 2, ..Records::default() };
    for (event, offset) in read_events(from, partition, offsets.start).iter().zip(offsets) {
        records.push(if repeated.contains(&offset) { b"" } else { event });
    }
    let batches = vec![(partition.partition, records)];
    let appended = log.append(&partition.stream, Topic::Events, batches, Durability::Synced);
    appended.map(drop).map_err(|error| error.to_string())
}
