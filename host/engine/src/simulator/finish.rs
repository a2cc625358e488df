//! Running until something is true of everything: all events judged, all processes at the same version of the catalog, all
//! sinks done.

use super::definitions::{DERIVED, SOURCE};
use super::driver::Simulation;
use super::logs::{end, partition, partitions, read_judged};
use crate::health::HealthComponent;
use crate::merge_position::derived_up_to;
use crate::ports::PartitionId;
use crate::ports::log::Topic;

/// How often is looked whether it is true, in steps.
const CHECK_INTERVAL: u64 = 50;
/// After so many steps nothing goes wrong any more until it is true.
const MAX_STIRRED_STEPS: u64 = 6_000;
/// After so many further steps something is stuck.
const MAX_CALM_STEPS: u64 = 60_000;

impl Simulation {
    /// Runs until something is true; what is not true yet is told if it never becomes so.
    pub(super) fn run_until(&self, is_reached: impl Fn() -> Result<(), String>) -> Result<(), String> {
        let mut missing = String::new();
        for step in 0..MAX_STIRRED_STEPS + MAX_CALM_STEPS {
            if step == MAX_STIRRED_STEPS {
                self.calm_down();
            }
            if self.alive().is_empty() && (self.is_calm.get() || step % 64 == 0) {
                self.start_missing();
            }
            self.step();
            if let Some(failure) = self.take_failure() {
                return Err(failure);
            }
            if step % CHECK_INTERVAL == 0 {
                match is_reached() {
                    Ok(()) => return Ok(()),
                    Err(what) => missing = what,
                }
            }
        }
        Err(format!("stuck: {missing}"))
    }

    /// Every event is in the log, and judged; also those of the derived stream.
    pub(super) fn check_judged(&self) -> Result<(), String> {
        if !self.producer.borrow().is_done() {
            return Err("events are not in the log yet".to_owned());
        }
        let count = self.scenario.partitions;
        if self.settings.derives {
            let state = self.world().observer().state;
            for index in 0..count {
                let source = partition(SOURCE, index);
                let next = derived_up_to(&*state, DERIVED, count, source.partition).unwrap_or_default().0;
                expect_at_end(&format!("derived of {source}"), next, end(self.world(), &source, Topic::Events))?;
            }
        }
        for partition in partitions(count) {
            let next = self.judged(&partition)?;
            expect_at_end(&format!("{partition}: judged"), next, end(self.world(), &partition, Topic::Events))?;
        }
        self.check_owners()
    }

    /// Each owner knows that all events of its partitions are judged.
    fn check_owners(&self) -> Result<(), String> {
        for process in self.alive() {
            for partition in partitions(self.scenario.partitions) {
                if process.is_owner(&partition)
                    && process.engine.status().unscored(&partition).is_none_or(|left| left.events > 0)
                {
                    let readiness = process.engine.status().readiness();
                    let scoring = HealthComponent::Scoring(partition.clone());
                    let parts = readiness.parts.iter().filter(|part| part.component == scoring);
                    let state: Vec<&str> = parts.map(|part| part.message.as_str()).collect();
                    return Err(format!("process {}: {partition} is not judged to its end: {state:?}", process.id.0));
                }
            }
        }
        Ok(())
    }

    fn judged(&self, partition: &PartitionId) -> Result<u64, String> {
        read_judged(self.world(), partition)
    }

    /// Every process goes by the catalog's version.
    pub(super) fn check_version(&self, version: u64) -> Result<(), String> {
        for process in self.alive() {
            let has = process.engine.catalog().version_in_effect();
            expect_at_end(&format!("process {}: version", process.id.0), has, version)?;
        }
        Ok(())
    }

    /// Everything is judged, saved, and in all stores.
    pub(super) fn check_finished(&self) -> Result<(), String> {
        self.check_judged()?;
        let (world, ports) = (self.world(), self.world().observer());
        let offset = |position: Result<assay_core::names::Offset, crate::ports::StoreError>| {
            position.map(|offset| offset.0).map_err(|error| error.to_string())
        };
        for partition in partitions(self.scenario.partitions) {
            let (events, verdicts) = (end(world, &partition, Topic::Events), end(world, &partition, Topic::Verdicts));
            let checkpoint = ports.state.checkpoint(&partition).map_err(|error| error.to_string())?;
            let mut positions = vec![
                ("checkpoint", checkpoint.unwrap_or_default().events.0, events),
                ("archived events", offset(ports.archive.events_position(&partition))?, events),
                ("archived verdicts", offset(ports.archive.verdicts_position(&partition))?, verdicts),
                ("profiles", offset(ports.profiles.position(&partition))?, verdicts),
                ("graph", offset(ports.graph.position(&partition))?, verdicts),
                ("dead letters", offset(ports.dead_letters.position(&partition))?, verdicts),
            ];
            if let Some(series) = &ports.series {
                if &*partition.stream == SOURCE {
                    positions.push(("series of events", offset(series.events_position(&partition))?, events));
                }
                positions.push(("series of verdicts", offset(series.verdicts_position(&partition))?, verdicts));
            }
            if let Some(outbox) = &ports.outbox {
                positions.push(("outbox", offset(outbox.position(&partition))?, verdicts));
            }
            for (what, at, end) in positions {
                expect_at_end(&format!("{partition}: {what}"), at, end)?;
            }
        }
        Ok(())
    }
}

fn expect_at_end(what: &str, at: u64, end: u64) -> Result<(), String> {
    if at >= end { Ok(()) } else { Err(format!("{what}: {at} of {end}")) }
}
