//! How a worker opens partitions: some at once, each as a task of its own, because most of the time goes by with waiting
//! for stores and the log. A task returns the partition when it is open, or has to wait, or has failed; the worker goes on
//! with others meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::owned_partition::{Environment, OwnedPartition};
use super::{Worker, health_part};
use crate::panics::{Panicked, catch};
use crate::partition::Instances;
use crate::partition::processor::{Input, PartitionMemory, PlanVersion, ReopenReason};
use crate::plan::Plan;
use crate::ports::log::WakeSignal;
use crate::ports::{PartitionId, StoreError};
use crate::shared::{MAX_RETRY_DELAY, MIN_RETRY_DELAY, Shared, log_stopped};

/// How many partitions a worker opens at once.
const MAX_CONCURRENT_OPENINGS: usize = 16;
/// After which time recovery looks again for records that the log has but cannot give yet, if it is not woken.
const LOG_RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// Runs a task somewhere: on a thread, or at once.
pub(super) type Spawn = Box<dyn FnMut(OpeningTask) + Send>;

/// A partition that is to be opened.
pub(super) struct Opening {
    partition: PartitionId,
    /// The number of its assignment: a later one makes this one void.
    assignment: u64,
    due: Instant,
    /// How long to wait should it fail.
    delay: Duration,
    memory: PartitionMemory,
    /// The version of the plan that it was tried with last.
    version: u64,
    /// It has begun, and waits for the log.
    begun: Option<Box<(OwnedPartition, Instances)>>,
}

/// How an opening goes on.
enum Outcome {
    Open(Box<OwnedPartition>),
    /// The log has to give or to take something first.
    Waiting,
    Failed(StoreError),
}

impl Opening {
    pub(super) fn new(partition: PartitionId, assignment: u64, now: Instant) -> Self {
        let memory = PartitionMemory::default();
        Self { partition, assignment, due: now, delay: MIN_RETRY_DELAY, memory, version: 0, begun: None }
    }

    /// It failed: again after a while, longer each time.
    fn put_off(&mut self, now: Instant) {
        self.due = now + self.delay;
        self.delay = (self.delay * 2).min(MAX_RETRY_DELAY);
    }

    /// Opens the partition as far as that is possible without waiting for the log.
    fn proceed(&mut self, plan: &Plan, shared: &Arc<Shared>, wake: &Arc<WakeSignal>) -> Outcome {
        let is_new = self.begun.is_none();
        let begun = match self.begun.take().map_or_else(|| self.begin(plan, shared), Ok) {
            Ok(begun) => begun,
            Err(error) => return Outcome::Failed(error),
        };
        let (owned, instances) = &mut **self.begun.insert(begun);
        let mut environment = Environment { shared, wake, instances, saver: None };
        let fed = if is_new {
            owned.feed("opening", Input::Open, &mut environment)
        } else {
            owned.go_on_opening(&mut environment)
        };
        let (is_open, reopen) = (owned.status().is_open, owned.status().reopen.take());
        let failed = fed.err().or_else(|| reopen.map(|reason| self.failure_of(reason)));
        match (failed, is_open) {
            (Some(error), _) => Outcome::Failed(error),
            (None, false) => Outcome::Waiting,
            (None, true) => match self.begun.take() {
                Some(begun) => Outcome::Open(Box::new(begun.0)),
                None => Outcome::Waiting,
            },
        }
    }

    fn begin(&mut self, plan: &Plan, shared: &Arc<Shared>) -> Result<Box<(OwnedPartition, Instances)>, StoreError> {
        let stream = plan.streams.get(&*self.partition.stream).cloned();
        // The catalog was changed by another process, and this one has not heard of it yet.
        let stream = stream.ok_or_else(|| StoreError::Unavailable {
            store: "catalog",
            message: format!("it does not know the stream '{}' yet", self.partition.stream),
        })?;
        let target = PlanVersion { plan: stream, version: plan.snapshot.version };
        let owned = OwnedPartition::new(&self.partition, target, self.memory.clone(), self.delay, shared)?;
        Ok(Box::new((owned, Instances::interruptible(shared.stopping()))))
    }

    fn failure_of(&mut self, reason: ReopenReason) -> StoreError {
        match reason {
            ReopenReason::CannotOpen(error)
            | ReopenReason::AppendFailed(error)
            | ReopenReason::CheckpointFailed(error) => error,
            ReopenReason::Panicked { panicked, is_narrowed, .. } => {
                if is_narrowed {
                    self.delay = MIN_RETRY_DELAY;
                }
                self.broken(&panicked)
            }
            ReopenReason::Displaced => {
                let message = "another process appends verdicts of this partition".to_owned();
                StoreError::Unavailable { store: "log", message }
            }
            // Only a stop of the engine interrupts calls here.
            ReopenReason::Interrupted => log_stopped(),
            ReopenReason::Halted(halt) => self.broken(&halt),
        }
    }

    fn broken(&self, error: &dyn std::fmt::Display) -> StoreError {
        StoreError::Broken { store: "engine", message: format!("{}: {error}", self.partition) }
    }
}

/// One attempt to open a partition. It comes back to its worker in any case, also if it is never run.
pub(super) struct OpeningTask {
    opening: Option<Opening>,
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    wake: Arc<WakeSignal>,
    finished: Sender<(Opening, Outcome)>,
}

impl OpeningTask {
    /// Runs it.
    pub(super) fn run(mut self) {
        let Some(mut opening) = self.opening.take() else { return };
        let proceeded = catch(|| opening.proceed(&self.plan, &self.shared, &self.wake));
        let outcome = proceeded.unwrap_or_else(|panicked: Panicked| {
            let message = format!("opening {}: {panicked}", opening.partition);
            Outcome::Failed(StoreError::Broken { store: "engine", message })
        });
        self.finish(opening, outcome);
    }

    fn finish(&self, opening: Opening, outcome: Outcome) {
        let _ = self.finished.send((opening, outcome));
        self.wake.notify();
    }
}

impl Drop for OpeningTask {
    fn drop(&mut self) {
        if let Some(opening) = self.opening.take() {
            let message = format!("{} could not be opened: no thread", opening.partition);
            self.finish(opening, Outcome::Failed(StoreError::Unavailable { store: "engine", message }));
        }
    }
}

/// The partitions of a worker that are to be opened.
pub(super) struct Openings {
    waiting: Vec<Opening>,
    running: usize,
    finished: Receiver<(Opening, Outcome)>,
    to_finished: Sender<(Opening, Outcome)>,
    spawn: Spawn,
}

impl Openings {
    pub(super) fn new(spawn: Spawn) -> Self {
        let (to_finished, finished) = unbounded();
        Self { waiting: Vec::new(), running: 0, finished, to_finished, spawn }
    }

    pub(super) fn add(&mut self, opening: Opening) {
        self.waiting.push(opening);
    }

    pub(super) fn remove(&mut self, partition: &PartitionId) {
        self.waiting.retain(|opening| opening.partition != *partition);
    }

    /// Begins with all partitions that are assigned; what is known of some is kept.
    pub(super) fn restart(&mut self, assigned: &BTreeMap<PartitionId, u64>, now: Instant) {
        let mut known: BTreeMap<PartitionId, Opening> =
            self.waiting.drain(..).map(|opening| (opening.partition.clone(), opening)).collect();
        for (partition, assignment) in assigned {
            let opening = known.remove(partition);
            let mut opening = opening.unwrap_or_else(|| Opening::new(partition.clone(), *assignment, now));
            opening.assignment = *assignment;
            self.waiting.push(opening);
        }
    }

    /// The catalog has changed: what rules could not score is tried again.
    pub(super) fn clear_halts(&mut self) {
        self.waiting.iter_mut().for_each(|opening| opening.memory.clear_halt());
    }

    /// The log has news: those that wait for it go on.
    pub(super) fn wake(&mut self, now: Instant) {
        self.waiting.iter_mut().filter(|opening| opening.begun.is_some()).for_each(|opening| opening.due = now);
    }

    /// When the next one can be begun; none: nothing is waiting, or as many are being opened as may be.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let is_free = self.running < MAX_CONCURRENT_OPENINGS;
        self.waiting.iter().map(|opening| opening.due).min().filter(|_| is_free)
    }

    /// Waits until no task runs any more. The engine must be stopping.
    pub(super) fn wait_until_over(&mut self) {
        self.waiting.clear();
        while self.running > 0 && self.finished.recv().is_ok() {
            self.running -= 1;
        }
    }

    fn take_due(&mut self, now: Instant) -> Option<Opening> {
        if self.running >= MAX_CONCURRENT_OPENINGS {
            return None;
        }
        let due = self.waiting.iter().position(|opening| opening.due <= now)?;
        Some(self.waiting.remove(due))
    }
}

impl Worker {
    /// Takes what has been opened, and begins with partitions that are due.
    pub(super) fn open_due(&mut self) {
        while let Ok((opening, outcome)) = self.openings.finished.try_recv() {
            self.openings.running -= 1;
            self.take_outcome(opening, outcome);
        }
        let now = self.now();
        while let Some(mut opening) = self.openings.take_due(now) {
            // Whoever had the partition before may have gone over to these rules already.
            self.switch_plan(self.shared.plan());
            self.openings.running += 1;
            opening.version = self.plan.snapshot.version;
            let task = OpeningTask {
                opening: Some(opening),
                plan: self.plan.clone(),
                shared: self.shared.clone(),
                wake: self.wake.clone(),
                finished: self.openings.to_finished.clone(),
            };
            (self.openings.spawn)(task);
        }
    }

    fn take_outcome(&mut self, mut opening: Opening, outcome: Outcome) {
        let (partition, now) = (opening.partition.clone(), self.now());
        if self.assigned.get(&partition) != Some(&opening.assignment) {
            // It was released meanwhile.
            return self.forget(&partition);
        }
        match outcome {
            Outcome::Open(owned) => self.take_open(*owned),
            Outcome::Waiting => {
                opening.due = now + LOG_RETRY_INTERVAL;
                self.openings.add(opening);
            }
            Outcome::Failed(error) => {
                tracing::warn!(%partition, %error, "a partition cannot be opened; trying again");
                self.shared.health.note(&health_part(&partition), Some(&error.to_string()));
                if let Some(begun) = opening.begun.take() {
                    let (mut owned, _) = *begun;
                    opening.memory = owned.take_memory();
                }
                if opening.version < self.plan.snapshot.version {
                    opening.memory.clear_halt();
                }
                opening.put_off(now);
                self.openings.add(opening);
            }
        }
    }

    /// The plan may have changed while it was opened.
    fn take_open(&mut self, owned: OwnedPartition) {
        let Some(plan) = self.plan.streams.get(&*owned.id().stream).cloned() else {
            return self.forget(&owned.id().clone());
        };
        let target = PlanVersion { plan, version: self.plan.snapshot.version };
        self.owned.push(owned);
        let index = self.owned.len() - 1;
        let fed = self.with_partition(index, |owned, environment| {
            owned.feed("switching the plan", Input::PlanChanged(target), environment)
        });
        if let Err(error) = fed {
            self.note_failure(index, &error);
        }
    }

    /// A partition that has failed is opened anew, from its last checkpoint.
    pub(super) fn reopen(&mut self, mut owned: OwnedPartition, reason: ReopenReason) {
        let (partition, now) = (owned.id().clone(), self.now());
        let Some(assignment) = self.assigned.get(&partition).copied() else {
            return self.forget(&partition);
        };
        let (shared, part) = (&self.shared, health_part(&partition));
        let mut opening = Opening::new(partition.clone(), assignment, now);
        opening.memory = owned.take_memory();
        opening.delay = owned.reopen_delay(&reason, now);
        match &reason {
            ReopenReason::AppendFailed(error) => {
                tracing::warn!(%partition, %error, "verdicts cannot be appended; going back to the last checkpoint");
                shared.health.note(&part, Some(&error.to_string()));
            }
            ReopenReason::Displaced => {
                tracing::warn!(%partition, "another process has appended verdicts; going back to the last checkpoint");
            }
            ReopenReason::CheckpointFailed(error) | ReopenReason::CannotOpen(error) => {
                tracing::warn!(%partition, %error, "a partition goes back to the last checkpoint");
                shared.health.note(&part, Some(&error.to_string()));
            }
            ReopenReason::Panicked { doing, panicked, .. } => {
                shared.health.note(&part, Some(&format!("{doing} {panicked}")));
                // Nobody knows in which of the plugins' instances it was.
                self.instantiate_plugins(&partition.stream);
            }
            ReopenReason::Halted(halt) => self.halts.add(&partition, halt.clone(), shared),
            ReopenReason::Interrupted => {}
        }
        if !matches!(reason, ReopenReason::Interrupted) {
            opening.put_off(now);
        }
        self.openings.add(opening);
    }
}
