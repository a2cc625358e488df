//! Writes a worker's checkpoints, one after the other, so that scoring goes on meanwhile. A queue that is stepped: by a
//! thread of its own, or by whoever simulates one.
//!
//! The queue is bounded by its users: a partition has one checkpoint under way at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};

use crate::panics::{self, Heartbeat};
use crate::partition::Barrier;
use crate::ports::log::WakeSignal;
use crate::ports::state::Checkpoint;
use crate::ports::{PartitionId, StoreError};
use crate::probe::ProbePoint;
use crate::shared::{MAX_RETRY_DELAY, MIN_RETRY_DELAY, Shared};

/// A checkpoint whose saving has panicked so often is tried again.
const MAX_PANICS: u32 = 2;
/// How long a thread that waits to try again sleeps at most before it sees that it has to stop.
const MAX_STOP_DELAY: Duration = Duration::from_millis(100);

/// A checkpoint to be saved.
pub(super) struct CheckpointJob {
    pub(super) partition: PartitionId,
    pub(super) checkpoint: Checkpoint,
    pub(super) barrier: Barrier,
    pub(super) progress: Arc<CheckpointProgress>,
}

/// How far a partition's checkpoints are saved, and how long that takes.
#[derive(Default)]
pub(super) struct CheckpointProgress {
    barrier: AtomicU64,
    /// How long the last one took, in microseconds.
    took: AtomicU64,
    /// A checkpoint was given up: those after it lack what it has.
    has_failed: AtomicBool,
}

impl CheckpointProgress {
    /// The number of the last barrier that is durable.
    pub(super) fn barrier(&self) -> u64 {
        self.barrier.load(Ordering::SeqCst)
    }

    /// How long to wait from one checkpoint to the next: as the config says, but longer, up to ten times, while saving
    /// would take more than a twentieth of the time. The more rarely, the fewer times a busy entity is written.
    pub(super) fn checkpoint_interval(&self, every: Duration) -> Duration {
        let took = Duration::from_micros(self.took.load(Ordering::SeqCst));
        every.max((took * 20).min(every * 10))
    }

    /// Whether a checkpoint was given up: the partition must be opened anew.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::SeqCst)
    }

    /// A barrier is durable.
    pub(super) fn note(&self, barrier: u64, took: Duration) {
        self.took.store(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
        self.barrier.fetch_max(barrier, Ordering::SeqCst);
    }
}

/// Saves a checkpoint. Buckets are written before, so that none says more than the rows that others read.
pub(super) fn save(
    partition: &PartitionId,
    checkpoint: &Checkpoint,
    barrier: &Barrier,
    shared: &Shared,
) -> Result<(), StoreError> {
    if let Some(buckets) = shared.ports.buckets.as_ref().filter(|_| !barrier.buckets.is_empty()) {
        buckets.write(partition, checkpoint.events, &barrier.buckets)?;
    }
    shared.ports.state.save(partition, checkpoint, &barrier.rows)
}

/// What the saver did in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SaverStep {
    /// There is nothing to save.
    Idle,
    /// It is done with a checkpoint.
    Busy,
    /// The store failed: it is tried again at this time.
    RetryAt(Instant),
    /// There is nothing to save, and there will be nothing any more.
    Over,
}

/// The checkpoints of a worker that are to be saved.
pub(crate) struct SaverQueue {
    inbox: Receiver<CheckpointJob>,
    current: Option<Attempt>,
    shared: Arc<Shared>,
    /// Notified when a checkpoint is saved or given up.
    wake: Arc<WakeSignal>,
}

/// The checkpoint in hand.
struct Attempt {
    job: CheckpointJob,
    /// Attempts that have not returned: they have panicked.
    panics: u32,
    delay: Duration,
    due: Instant,
}

impl SaverQueue {
    /// An empty queue, and where checkpoints are handed in. The signal comes when one is done.
    pub(super) fn new(shared: Arc<Shared>, wake: Arc<WakeSignal>) -> (Sender<CheckpointJob>, Self) {
        let (jobs, inbox) = unbounded();
        (jobs, Self { inbox, current: None, shared, wake })
    }

    /// Saves a checkpoint if there is one to save now. A store that fails is tried again until it succeeds; when the
    /// engine stops, one failure is enough: the log still has all events.
    pub(crate) fn step(&mut self) -> SaverStep {
        if self.current.is_none() {
            match self.inbox.try_recv() {
                Ok(job) => self.take(job),
                Err(TryRecvError::Empty) => return SaverStep::Idle,
                Err(TryRecvError::Disconnected) => return SaverStep::Over,
            }
        }
        let (shared, clock) = (&self.shared, &self.shared.config.clock);
        let Some(attempt) = &mut self.current else { return SaverStep::Idle };
        let (job, now) = (&attempt.job, clock.now());
        if now < attempt.due && !shared.is_stopping() {
            return SaverStep::RetryAt(attempt.due);
        }
        if attempt.panics > MAX_PANICS {
            // It is in no other checkpoint of its partition.
            tracing::error!(partition = %job.partition, "a checkpoint is given up: its partition is opened anew");
            job.progress.has_failed.store(true, Ordering::SeqCst);
        }
        if job.progress.has_failed() {
            return self.finish_current();
        }
        attempt.panics += 1;
        shared.config.probe.call(ProbePoint::Round);
        let saved = save(&job.partition, &job.checkpoint, &job.barrier, shared);
        attempt.panics -= 1;
        match saved {
            Ok(()) => {
                let took = clock.now().saturating_duration_since(now);
                shared.metrics.checkpoint_time.observe(took.as_secs_f64());
                job.progress.note(job.barrier.epoch, took);
                shared.ports.membership.commit(&job.partition, job.checkpoint.events);
                self.finish_current()
            }
            Err(error) => {
                tracing::warn!(partition = %job.partition, %error, "a checkpoint cannot be saved; trying again");
                if shared.is_stopping() {
                    return self.finish_current();
                }
                attempt.due = clock.now() + attempt.delay;
                attempt.delay = (attempt.delay * 2).min(MAX_RETRY_DELAY);
                SaverStep::RetryAt(attempt.due)
            }
        }
    }

    /// Whether there is a checkpoint to save.
    pub(super) fn has_work(&self) -> bool {
        self.current.is_some() || !self.inbox.is_empty()
    }

    fn take(&mut self, job: CheckpointJob) {
        let due = self.shared.config.clock.now();
        self.current = Some(Attempt { job, panics: 0, delay: MIN_RETRY_DELAY, due });
    }

    fn finish_current(&mut self) -> SaverStep {
        self.current = None;
        self.wake.notify();
        SaverStep::Busy
    }

    /// Waits until there is something to do.
    fn wait(&mut self, step: SaverStep) {
        match step {
            SaverStep::Idle => {
                if let Ok(job) = self.inbox.recv() {
                    self.take(job);
                }
            }
            SaverStep::RetryAt(due) => {
                let left = due.saturating_duration_since(self.shared.config.clock.now());
                std::thread::sleep(left.min(MAX_STOP_DELAY));
            }
            SaverStep::Busy | SaverStep::Over => {}
        }
    }

    /// Starts a thread that does what the queue has to do, and ends when nobody hands in checkpoints any more.
    pub(super) fn start(mut self, name: String) -> std::io::Result<JoinHandle<()>> {
        let stopping = self.shared.clone();
        panics::spawn(name, move || stopping.is_stopping(), move |heartbeat| self.run(heartbeat))
    }

    fn run(&mut self, heartbeat: &Heartbeat) {
        loop {
            let step = self.step();
            heartbeat.mark_alive();
            if step == SaverStep::Over {
                return;
            }
            self.wait(step);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_done_more_rarely() {
        let (progress, every) = (CheckpointProgress::default(), Duration::from_secs(1));
        let interval_after = |ms| {
            progress.note(1, Duration::from_millis(ms));
            progress.checkpoint_interval(every).as_millis()
        };
        assert_eq!([0, 50, 100, 700].map(interval_after), [1_000, 1_000, 2_000, 10_000]);
    }
}
