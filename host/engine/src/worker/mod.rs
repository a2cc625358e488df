//! A worker: owns some partitions of every stream and scores their events. It drives their processors in steps, which a
//! thread merely repeats; no step waits for a store but for reads. No locks on the way.

mod answers;
mod batch_size;
mod halts;
mod handle;
mod opening;
mod owned_partition;
mod ownership;
mod poll;
mod requests;
mod saver;
mod schedule;
mod stepped;
mod unsaved_events;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_runtime::Interrupt;
use crossbeam_channel::{Receiver, Sender};

use crate::health::HealthComponent;
use crate::metrics::Metrics;
use crate::panics::Heartbeat;
use crate::partition::Instances;
use crate::plan::Plan;
use crate::ports::PartitionId;
use crate::ports::log::WakeSignal;
use crate::probe::ProbePoint;
use crate::shared::Shared;
pub(crate) use answers::Answers;
use halts::Halts;
pub(crate) use handle::{WorkerAddress, WorkerHandle};
use opening::Openings;
use owned_partition::{Environment, OwnedPartition};
pub(crate) use ownership::Ownership;
pub(crate) use requests::{EndLifetime, Request};
use saver::CheckpointJob;
pub(crate) use saver::SaverStep;
pub(crate) use stepped::{SteppedOpenings, SteppedSaver, SteppedWorker};

/// How long a worker sleeps at most when nothing wakes it.
const MAX_IDLE_WAIT: Duration = Duration::from_millis(100);
/// How long a worker that ends waits for verdicts on their way, so that its last checkpoints have them.
const MAX_LAST_ACK_WAIT: Duration = Duration::from_millis(100);

struct Worker {
    shared: Arc<Shared>,
    inbox: Receiver<Request>,
    wake: Arc<WakeSignal>,
    /// Stops calls of `instances`.
    interrupt: Interrupt,
    plan: Arc<Plan>,
    /// All partitions that it has, with the number of their assignment. What is not open or to be opened was lost by a
    /// panic.
    assigned: BTreeMap<PartitionId, u64>,
    assignments: u64,
    owned: Vec<OwnedPartition>,
    openings: Openings,
    halts: Halts,
    instances: Instances,
    /// Where checkpoints are handed in.
    saver: Sender<CheckpointJob>,
    /// Who waits until all partitions have switched to the plan.
    waiting_for_switch: Vec<Sender<()>>,
    /// How many polls have scored something.
    polls: u64,
}

/// What a worker does after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// There may be more to do.
    Busy,
    /// There is nothing to do until a signal comes, or until this time.
    IdleUntil(Instant),
}

impl Worker {
    /// Repeats steps until the engine stops.
    fn run(&mut self, heartbeat: &Heartbeat) {
        self.reopen_all();
        while !self.shared.is_stopping() {
            let step = self.step();
            heartbeat.mark_alive();
            if let Step::IdleUntil(until) = step {
                let now = self.now();
                if self.wake.wait(until.saturating_duration_since(now)) {
                    self.openings.wake(self.now());
                }
            }
        }
        self.save_all();
        self.openings.wait_until_over();
    }

    /// Does what there is to do now.
    fn step(&mut self) -> Step {
        self.shared.config.probe.call(ProbePoint::Round);
        self.answer_requests();
        self.open_due();
        self.take_results();
        let scored = self.poll_partitions();
        self.close_ended();
        self.answer_switched();
        let now = self.now();
        let retries = self.owned.iter().filter_map(|owned| owned.retry_at);
        let next = retries.chain(self.openings.next_due()).min();
        match next.filter(|next| *next <= now) {
            None if scored == 0 => Step::IdleUntil(next.unwrap_or(now + MAX_IDLE_WAIT).min(now + MAX_IDLE_WAIT)),
            _ => Step::Busy,
        }
    }

    fn now(&self) -> Instant {
        self.shared.config.clock.now()
    }

    /// Does something with a partition.
    fn with_partition<T>(
        &mut self,
        index: usize,
        act: impl FnOnce(&mut OwnedPartition, &mut Environment<'_>) -> T,
    ) -> T {
        let (shared, wake, instances) = (&self.shared, &self.wake, &mut self.instances);
        act(&mut self.owned[index], &mut Environment { shared, wake, instances, saver: Some(&self.saver) })
    }

    /// Everything that it has is opened from its checkpoint: at the start that is nothing, and after a panic outside of
    /// partitions nothing else is known to be right.
    fn reopen_all(&mut self) {
        self.owned.clear();
        // Those that are being opened at the moment are of earlier assignments then.
        for assignment in self.assigned.values_mut() {
            self.assignments += 1;
            *assignment = self.assignments;
        }
        let now = self.now();
        self.openings.restart(&self.assigned, now);
        let plan = self.plan.clone();
        self.instances = Instances::bounded(&self.interrupt);
        plan.streams.keys().for_each(|stream| self.instantiate_plugins(stream));
    }

    /// Makes the plugins of a stream anew.
    fn instantiate_plugins(&mut self, stream: &str) {
        let Some(plan) = self.plan.streams.get(stream) else { return };
        if let Err(error) = self.instances.instantiate_plugins(plan) {
            // The plan was made with this very config a moment ago. Its events go to the dead letters.
            tracing::error!(stream, %error, "a plugin refuses to be made ready");
        }
    }

    /// Tells partitions what has been appended and saved meanwhile, and lets them save checkpoints that are due.
    fn take_results(&mut self) {
        for index in 0..self.owned.len() {
            let taken = self.with_partition(index, OwnedPartition::take_results);
            if let Err(error) = taken {
                self.note_failure(index, &error);
            }
        }
    }

    /// Lets go of partitions that are released or have failed. Those that have failed are opened anew, from their last
    /// checkpoints.
    fn close_ended(&mut self) {
        let mut index = 0;
        while index < self.owned.len() {
            let status = self.owned[index].status();
            if status.is_released {
                let owned = self.owned.swap_remove(index);
                self.forget(&owned.id().clone());
            } else if let Some(reason) = status.reopen.take() {
                let owned = self.owned.swap_remove(index);
                self.reopen(owned, reason);
            } else {
                index += 1;
            }
        }
    }

    /// Nothing is said of a partition any more that is another's now.
    fn forget(&mut self, partition: &PartitionId) {
        // If it has come back, another worker of this process tells of it.
        if self.assigned.contains_key(partition) || self.shared.is_owned(partition) {
            return;
        }
        self.shared.health.forget(&health_part(partition));
        self.shared.progress.forget(partition);
        self.halts.remove(partition, &self.shared);
        let label = Metrics::partition(partition);
        self.shared.metrics.lag.remove(&label);
        self.shared.metrics.entities.remove(&label);
    }

    /// Saves what can be saved before it ends; the saver writes it before it ends itself.
    fn save_all(&mut self) {
        let deadline = Instant::now() + MAX_LAST_ACK_WAIT;
        while self.owned.iter().any(OwnedPartition::has_in_flight) && Instant::now() < deadline {
            self.take_results();
            if self.owned.iter().any(OwnedPartition::has_in_flight) {
                self.wake.wait(deadline.saturating_duration_since(Instant::now()));
            }
        }
        for index in 0..self.owned.len() {
            self.with_partition(index, |owned, environment| owned.release(None, environment));
        }
    }
}

/// The component whose state is that of a partition's scoring.
fn health_part(partition: &PartitionId) -> HealthComponent {
    HealthComponent::Scoring(partition.clone())
}
