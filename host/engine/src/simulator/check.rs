//! One seed: the disturbed run, the undisturbed one, and the comparison.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use assay_runtime::{Runtime, RuntimeConfig};

use super::definitions::{SOURCE, draw_change, initial, invalid_rule};
use super::derived_log::{all_repetitions, check_derived, check_derived_order};
use super::disturbance;
use super::driver::{Counts, Running, Simulation};
use super::logs::{check_verdicts_once, end, partition, partitions, read_events};
use super::process::SimulatedProcess;
use super::reference::{Stretch, run_undisturbed};
use super::results::{Deleted, Results};
use super::scenario::{Scenario, SimulationOptions};
use crate::memory::Random;
use crate::plan::PluginCache;
use crate::ports::PartitionId;
use crate::ports::catalog::Change;
use crate::ports::log::Topic;
use crate::problem::ChangeError;

/// How often a change is tried while things go wrong.
const MAX_CHANGE_ATTEMPTS: u32 = 40;
/// The steps between two attempts.
const STEPS_BETWEEN_ATTEMPTS: u32 = 50;

/// A seed that went wrong.
#[derive(Debug, thiserror::Error)]
#[error("seed {seed}: {what}")]
pub struct SimulationError {
    /// The seed.
    pub seed: u64,
    /// What went wrong.
    pub what: String,
}

/// What a run of a seed did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunReport {
    /// Events in the source's log.
    pub events: u64,
    /// Steps of the disturbed run.
    pub steps: u64,
    /// Results that were compared.
    pub results: u64,
    /// How often each kind of disturbance happened, by its name.
    pub disturbances: BTreeMap<&'static str, u64>,
    /// A number that depends on all that was done: two runs of a seed have the same.
    pub trace: u64,
}

/// Runs seeds. What is costly to make is made once.
pub struct Simulator {
    plugin_cache: Arc<PluginCache>,
}

impl Simulator {
    /// A simulator.
    ///
    /// # Errors
    /// The engine of plugins cannot be set up.
    pub fn new() -> Result<Self, String> {
        let runtime = Runtime::new(RuntimeConfig::default()).map_err(|error| error.to_string())?;
        Ok(Self { plugin_cache: PluginCache::new(runtime) })
    }

    /// Runs a seed.
    ///
    /// # Errors
    /// Something is not as in an undisturbed run, got stuck, or panicked.
    pub fn run_seed(&self, seed: u64, options: SimulationOptions) -> Result<RunReport, SimulationError> {
        self.run(seed, options).map_err(|what| SimulationError { seed, what })
    }

    fn run(&self, seed: u64, options: SimulationOptions) -> Result<RunReport, String> {
        let mut random = Random::new(seed);
        let scenario = Scenario::draw(&mut random, options);
        let disturbed = Running::begin(Simulation::new(scenario.clone(), seed, self.plugin_cache.clone(), true));
        let stretches = run_disturbed(&disturbed, &mut random)?;
        let world = disturbed.world().clone();
        disturbed.check_acknowledged()?;
        check_verdicts_once(&world, scenario.partitions)?;
        check_derived(&world, scenario.partitions)?;
        if scenario.is_order_known() {
            check_derived_order(&world, scenario.partitions, &disturbed.order_barriers.borrow())?;
        }
        let deleted = Deleted::read(&world, scenario.partitions)?;
        let found = Results::read(&world, &scenario, &deleted, None)?;
        let report = disturbed.report(found.len());
        drop(disturbed);
        let undisturbed = run_undisturbed(&world, &scenario, &stretches, self.plugin_cache.clone())
            .map_err(|what| format!("the undisturbed run: {what}"))?;
        let repeated = all_repetitions(&world, scenario.partitions)?;
        let expected = Results::read(undisturbed.world(), &scenario, &deleted, Some(&repeated))?;
        found.check(&expected)?;
        Ok(report)
    }
}

fn run_disturbed(simulation: &Simulation, random: &mut Random) -> Result<Vec<Stretch>, String> {
    let scenario = simulation.scenario.clone();
    simulation.is_calm.set(true);
    simulation.start_missing();
    let mut stretches: Vec<Stretch> = Vec::new();
    for (number, events) in scenario.segments.iter().enumerate() {
        let changes = if number == 0 { initial(scenario.partitions) } else { draw_change(random, number) };
        let ends = simulation.change(changes.clone())?;
        if let Some(last) = stretches.last_mut() {
            last.ends = ends;
        }
        simulation.stir_up();
        simulation.make_events(*events);
        let ends = simulation.run_until_still(|| simulation.check_judged())?;
        stretches.push(Stretch { changes, ends });
    }
    simulation.calm_down();
    let ends = simulation.run_until_still(|| simulation.check_finished())?;
    if let Some(last) = stretches.last_mut() {
        last.ends = ends;
    }
    Ok(stretches)
}

impl Simulation {
    /// Runs until something is true and nothing is under way. Returns where the partitions of events end.
    fn run_until_still(
        &self,
        is_reached: impl Fn() -> Result<(), String>,
    ) -> Result<BTreeMap<PartitionId, u64>, String> {
        loop {
            self.run_until(&is_reached)?;
            let before = self.ends();
            self.world().deliver_all();
            if self.ends() == before && is_reached().is_ok() {
                return Ok(before);
            }
        }
    }

    fn ends(&self) -> BTreeMap<PartitionId, u64> {
        let all = partitions(self.scenario.partitions).into_iter();
        all.map(|partition| {
            let end = end(self.world(), &partition, Topic::Events);
            (partition, end)
        })
        .collect()
    }

    /// Makes a change through some process, again while that fails, and runs until all processes have taken it up. Returns
    /// where the partitions of events ended before it: a power failure between two attempts takes events and verdicts back.
    pub(super) fn change(&self, changes: Vec<Change>) -> Result<BTreeMap<PartitionId, u64>, String> {
        let mut ends = self.ends();
        for attempt in 0..MAX_CHANGE_ATTEMPTS {
            if attempt + 1 == MAX_CHANGE_ATTEMPTS {
                self.calm_down();
            }
            let alive = self.alive();
            if !alive.is_empty() {
                let process: &Rc<SimulatedProcess> = &alive[self.index(alive.len())];
                self.check_refused(process, &changes)?;
                self.counts.borrow_mut().changes += 1;
                match process.engine.catalog().change(changes.clone(), "simulator", None, false) {
                    Ok(applied) => return self.run_until(|| self.check_version(applied.version)).map(|()| ends),
                    Err(ChangeError::Invalid(problems)) => return Err(format!("a change: {problems:?}")),
                    Err(_) => {}
                }
            }
            drop(alive);
            (0..STEPS_BETWEEN_ATTEMPTS).for_each(|_| self.step());
            self.start_missing();
            ends = self.run_until_still(|| self.check_judged())?;
        }
        Err("a change could not be made".to_owned())
    }

    /// Fails if a change that is wrong in part, or a dry run, changes something.
    fn check_refused(&self, process: &SimulatedProcess, changes: &[Change]) -> Result<(), String> {
        let catalog = self.world().observer().catalog;
        let before = catalog.version();
        let wrong = [changes, &[invalid_rule()]].concat();
        if process.engine.catalog().change(wrong, "simulator", None, false).is_ok() {
            return Err("a rule that does not compile was taken".to_owned());
        }
        // It fails if a store does.
        let _ = process.engine.catalog().change(changes.to_vec(), "simulator", None, true);
        if catalog.version() == before {
            Ok(())
        } else {
            Err("a refused change or a dry run has changed something".to_owned())
        }
    }

    /// Nothing that was acknowledged is lost or in another place.
    fn check_acknowledged(&self) -> Result<(), String> {
        let producer = self.producer.borrow();
        let logs: Vec<Vec<Vec<u8>>> = (0..self.scenario.partitions)
            .map(|index| read_events(self.world(), &partition(SOURCE, index), 0))
            .collect();
        let lost = producer.acknowledged.iter().find(|((partition, offset), event)| {
            logs.get(*partition as usize).and_then(|log| log.get(*offset as usize)) != Some(*event)
        });
        lost.map_or(Ok(()), |(place, _)| Err(format!("the event at {place:?} was acknowledged and is not there")))
    }

    fn report(&self, results: usize) -> RunReport {
        let Counts { steps, .. } = *self.counts.borrow();
        let events = (0..self.scenario.partitions)
            .map(|index| end(self.world(), &partition(SOURCE, index), Topic::Events))
            .sum();
        RunReport {
            events,
            steps,
            results: results as u64,
            disturbances: disturbance::named(&self.counts.borrow()),
            trace: self.trace.get(),
        }
    }
}
