//! The driver: draws which part of which process does its next step, lets writes and signals arrive, and moves the clock.
//!
//! Where production code waits, the clock calls `run_others`, which finds the simulation of this thread and steps the parts
//! that the wait can be for.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::definitions::{DERIVED, SOURCE};
use super::logs::{end, partition};
use super::process::{Notices, ProcessSettings, SimulatedProcess};
use super::producer::Producer;
use super::scenario::Scenario;
use crate::clock::Clock;
use crate::memory::{ProcessId, Random, World};
use crate::metrics::Metrics;
use crate::plan::PluginCache;
use crate::ports::log::Topic;

/// When simulated time begins, ms since 1970: later than the time of any event.
const START_MS: i64 = 1_800_000_000_000;
/// How long a step takes at most.
const MAX_STEP_TIME_US: u64 = 400;
/// How far the clock moves while somebody waits and others go on.
const WAIT_STEP: Duration = Duration::from_millis(1);
/// The wait until something happens if nothing is due.
const MAX_IDLE_STEP: Duration = Duration::from_millis(20);

/// How often each thing happened.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) steps: u64,
    pub(super) crashes: u64,
    pub(super) power_cuts: u64,
    pub(super) handovers: u64,
    pub(super) expired_sessions: u64,
    pub(super) outages: u64,
    pub(super) changes: u64,
}

/// A run: the world, the processes in it, and what was drawn.
pub(super) struct Simulation {
    pub(super) scenario: Scenario,
    pub(super) settings: ProcessSettings,
    pub(super) random: RefCell<Random>,
    pub(super) processes: RefCell<Vec<Rc<SimulatedProcess>>>,
    /// Processes that have crashed, and whose sessions have not expired.
    pub(super) crashed: RefCell<Vec<ProcessId>>,
    pub(super) producer: RefCell<Producer>,
    pub(super) counts: RefCell<Counts>,
    /// The first thing that went wrong in a step.
    pub(super) failure: RefCell<Option<String>>,
    /// Whether nothing goes wrong from now on.
    pub(super) is_calm: Cell<bool>,
    /// Ends of the partitions of the source, before and after which events of the derived stream need not be in order.
    pub(super) order_barriers: RefCell<Vec<Vec<u64>>>,
    pub(super) trace: Cell<u64>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Simulation>>> = const { RefCell::new(None) };
}

/// The simulation of this thread, for as long as this lives.
pub(super) struct Running(Rc<Simulation>);

impl Running {
    pub(super) fn begin(simulation: Simulation) -> Self {
        let simulation = Rc::new(simulation);
        CURRENT.with(|current| *current.borrow_mut() = Some(simulation.clone()));
        Self(simulation)
    }
}

impl std::ops::Deref for Running {
    type Target = Simulation;

    fn deref(&self) -> &Simulation {
        &self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        CURRENT.with(|current| current.borrow_mut().take());
        self.0.processes.borrow().iter().for_each(|process| process.stop());
        self.0.processes.borrow_mut().clear();
    }
}

/// Lets what others wait for go on.
fn run_others() {
    if let Some(simulation) = CURRENT.with(|current| current.borrow().clone()) {
        simulation.run_while_waiting();
    }
}

impl Simulation {
    pub(super) fn new(scenario: Scenario, seed: u64, plugin_cache: Arc<PluginCache>, derives: bool) -> Self {
        let world = World::new(seed, crate::memory::FaultRates::NONE);
        let clock = Clock::simulated(START_MS, run_others);
        let notices: Notices = Arc::new(Mutex::new(VecDeque::new()));
        let metrics = Arc::new(Metrics::new());
        Self {
            scenario,
            settings: ProcessSettings { world, clock, notices, plugin_cache, metrics, derives },
            random: RefCell::new(Random::new(seed ^ 0x5eed)),
            processes: RefCell::default(),
            crashed: RefCell::default(),
            producer: RefCell::default(),
            counts: RefCell::default(),
            failure: RefCell::default(),
            is_calm: Cell::new(false),
            order_barriers: RefCell::default(),
            trace: Cell::new(0),
        }
    }

    pub(super) fn world(&self) -> &World {
        &self.settings.world
    }

    pub(super) fn below(&self, bound: u64) -> u64 {
        self.random.borrow_mut().below(bound)
    }

    pub(super) fn index(&self, len: usize) -> usize {
        self.random.borrow_mut().index(len)
    }

    /// All processes that have not crashed.
    pub(super) fn alive(&self) -> Vec<Rc<SimulatedProcess>> {
        self.processes.borrow().iter().filter(|process| process.is_alive()).cloned().collect()
    }

    /// Notes what was done, so that two runs of a seed can be compared.
    pub(super) fn note(&self, what: u64) {
        let mixed = (self.trace.get() ^ what).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.trace.set(mixed ^ (mixed >> 29));
    }

    fn note_failure(&self, failure: String) {
        self.failure.borrow_mut().get_or_insert(failure);
    }

    /// Does one step of something, drawn by the seed.
    pub(super) fn step(&self) {
        self.counts.borrow_mut().steps += 1;
        self.hear_notices();
        let disturbances = if self.is_calm.get() { 0 } else { self.scenario.disturbances };
        if self.below(10_000) < disturbances {
            self.disturb();
            return;
        }
        let is_sending = self.below(100) < self.scenario.events_per_100_steps;
        if is_sending {
            self.send_event();
        }
        self.poll_receipts();
        let is_delivering = self.below(3) == 0;
        if is_delivering && self.world().deliver_next() {
            self.note(1);
        } else if !self.step_task(|_| true) && !self.world().deliver_next() && !is_sending {
            self.advance_to_next_due();
        }
        let took = self.below(MAX_STEP_TIME_US);
        self.settings.clock.advance(Duration::from_micros(took));
    }

    /// Lets processes hear what the group has told them, in its order.
    fn hear_notices(&self) {
        loop {
            let notice = self.settings.notices.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some((id, notice)) = notice else { return };
            if let Some(process) = self.alive().into_iter().find(|process| process.id == id) {
                process.hear(notice);
            }
        }
    }

    /// Does one step of a task that is due, or of an opening. Returns false if none is.
    fn step_task(&self, is_wanted: impl Fn(&super::tasks::Task) -> bool) -> bool {
        let now = self.settings.clock.now();
        let mut due = Vec::new();
        for process in self.alive() {
            for index in 0..process.tasks.len() {
                // What is on the stack waits for others.
                let is_due =
                    process.tasks[index].try_borrow_mut().is_ok_and(|mut task| is_wanted(&task) && task.is_due(now));
                if is_due {
                    due.push((process.clone(), index));
                }
            }
            for worker in 0..process.openings.len() {
                if process.openings[worker].len() > 0 {
                    due.push((process.clone(), process.tasks.len() + worker));
                }
            }
        }
        if due.is_empty() {
            return false;
        }
        let (process, index) = due.swap_remove(self.index(due.len()));
        self.note(2 + index as u64 + 64 * u64::from(process.id.0));
        let Some(task) = process.tasks.get(index) else {
            let openings = &process.openings[index - process.tasks.len()];
            openings.run(self.index(openings.len()));
            return true;
        };
        if let Ok(mut task) = task.try_borrow_mut() {
            let before = task.is_derive().then(|| (self.waits_given_up(), self.source_ends()));
            if let Err(panicked) = task.step(&process.engine, now) {
                self.note_failure(format!("process {}: {panicked}", process.id.0));
            }
            if let Some((count, ends)) = before
                && (self.waits_given_up() > count || !self.order_barriers.borrow().is_empty())
            {
                self.add_order_barriers(ends);
            }
        }
        true
    }

    fn waits_given_up(&self) -> u64 {
        self.settings.metrics.derive_waits_given_up.get_or_create(&Metrics::stream(DERIVED)).get()
    }

    /// A step of the merge did perhaps not wait for a partition of the source: one that was given up once is not waited for
    /// until it has events.
    fn add_order_barriers(&self, ends_before: Vec<u64>) {
        let ends = self.source_ends();
        let mut barriers = self.order_barriers.borrow_mut();
        if barriers.last() != Some(&ends) {
            barriers.extend([ends_before, ends]);
        }
    }

    /// The partitions of the source may have fewer events than before.
    pub(super) fn cut_order_barriers(&self) {
        let ends = self.source_ends();
        for before in self.order_barriers.borrow_mut().iter_mut() {
            before.iter_mut().zip(&ends).for_each(|(before, now)| *before = (*before).min(*now));
        }
    }

    fn source_ends(&self) -> Vec<u64> {
        (0..self.scenario.partitions).map(|index| end(self.world(), &partition(SOURCE, index), Topic::Events)).collect()
    }

    fn advance_to_next_due(&self) {
        let now = self.settings.clock.now();
        let processes = self.alive();
        let tasks = processes.iter().flat_map(|process| &process.tasks);
        let next = tasks.filter_map(|task| task.try_borrow().ok()?.due_at()).min();
        let wait = next.map_or(MAX_IDLE_STEP, |next| next.saturating_duration_since(now)).min(MAX_IDLE_STEP);
        self.settings.clock.advance(wait.max(Duration::from_micros(1)));
    }

    /// Somebody waits for a worker or for the log.
    fn run_while_waiting(&self) {
        self.counts.borrow_mut().steps += 1;
        if self.below(2) == 0 || !self.step_task(super::tasks::Task::is_of_worker) {
            self.world().deliver_next();
        }
        self.settings.clock.advance(WAIT_STEP);
    }

    /// The first thing that went wrong in a step, if anything did.
    pub(super) fn take_failure(&self) -> Option<String> {
        self.failure.borrow_mut().take()
    }
}
