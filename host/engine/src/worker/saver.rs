//! The saver: a worker's companion that writes checkpoints, so that scoring goes on meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::panics::{self, Heartbeat};
use crate::partition::Barrier;
use crate::ports::log::Bell;
use crate::ports::state::Checkpoint;
use crate::ports::{StoreError, StreamPartition};
use crate::probe::Probed;
use crate::shared::{FIRST_DELAY, Shared};

/// A checkpoint to be saved.
pub(super) struct Save {
    pub(super) of: StreamPartition,
    pub(super) checkpoint: Checkpoint,
    pub(super) barrier: Barrier,
    pub(super) saved: Arc<Saved>,
}

/// How far a partition's checkpoints are saved, and what that costs.
#[derive(Default)]
pub(super) struct Saved {
    barrier: AtomicU64,
    /// How long the last one took, in microseconds.
    took: AtomicU64,
    /// A checkpoint was given up: those after it lack what it has.
    has_failed: AtomicBool,
}

impl Saved {
    /// The number of the last barrier that is durable.
    pub(super) fn barrier(&self) -> u64 {
        self.barrier.load(Ordering::SeqCst)
    }

    /// How long to wait from one checkpoint to the next: as the config says, but longer, up to ten times, while saving
    /// would take more than a twentieth of the time. The more rarely, the fewer times a busy entity is written.
    pub(super) fn pause(&self, every: Duration) -> Duration {
        let took = Duration::from_micros(self.took.load(Ordering::SeqCst));
        every.max((took * 20).min(every * 10))
    }

    /// Whether a checkpoint was given up: the partition must be opened anew.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::SeqCst)
    }

    fn note(&self, barrier: u64, took: Duration) {
        self.took.store(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
        self.barrier.fetch_max(barrier, Ordering::SeqCst);
    }
}

/// Saves a checkpoint. Buckets are written before, so that none says more than the rows that others read.
pub(super) fn save(
    of: &StreamPartition,
    checkpoint: &Checkpoint,
    barrier: &Barrier,
    shared: &Shared,
) -> Result<(), StoreError> {
    if let Some(buckets) = shared.ports.buckets.as_ref().filter(|_| !barrier.buckets.is_empty()) {
        buckets.write(of, checkpoint.events, &barrier.buckets)?;
    }
    shared.ports.state.save(of, checkpoint, &barrier.rows)
}

/// A checkpoint whose saving has panicked so often is tried again.
const MAX_PANICS: u32 = 2;

enum Order {
    Save(Save),
    /// Answer when everything before is saved.
    Flush(Sender<()>),
}

/// Writes a worker's checkpoints, one after the other.
pub(super) struct Saver {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Saver {
    pub(super) fn start(name: String, shared: Arc<Shared>) -> std::io::Result<Self> {
        // Few may wait: a worker that finds the queue full leaves its checkpoint for later.
        let (orders, inbox) = bounded(64);
        let (stopping, mut current) = (shared.clone(), None);
        let thread = panics::spawn(
            name,
            move || stopping.is_stopping(),
            move |heartbeat| {
                run(&inbox, &mut current, &shared, heartbeat);
            },
        )?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    /// Whether a checkpoint would be taken now.
    pub(super) fn is_free(&self) -> bool {
        self.orders.as_ref().is_some_and(|orders| !orders.is_full())
    }

    /// Hands over a checkpoint; waits while the queue is full.
    pub(super) fn save(&self, save: Save) {
        if let Some(orders) = &self.orders {
            // The saver ends only after this side has.
            let _ = orders.send(Order::Save(save));
        }
    }

    /// Waits until everything handed over is saved, or the engine stops with a state store that fails.
    pub(super) fn flush(&self) {
        if let Some(orders) = &self.orders {
            let (done, wait) = bounded(1);
            let _ = orders.send(Order::Flush(done));
            let _ = wait.recv();
        }
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The checkpoint that is being saved, and how often that has panicked.
type Current = Option<(Save, u32)>;

fn run(inbox: &Receiver<Order>, current: &mut Current, shared: &Shared, heartbeat: &Heartbeat) {
    if let Some((save, panics)) = current {
        // It panicked a moment ago. What it has is in no other checkpoint of its partition.
        *panics += 1;
        if *panics > MAX_PANICS {
            tracing::error!(partition = %save.of, "a checkpoint is given up: its partition is opened anew");
            save.saved.has_failed.store(true, Ordering::SeqCst);
            *current = None;
        }
    }
    finish(current, shared);
    heartbeat.beat();
    for order in inbox {
        match order {
            Order::Save(save) => *current = Some((save, 0)),
            Order::Flush(done) => drop(done.send(())),
        }
        finish(current, shared);
        heartbeat.beat();
    }
}

/// Saves the checkpoint in hand, if there is one.
fn finish(current: &mut Current, shared: &Shared) {
    if let Some((save, _)) = current.as_ref().filter(|(save, _)| !save.saved.has_failed()) {
        shared.config.probe.look(Probed::Round);
        write(save, shared);
    }
    *current = None;
}

/// Tries until it succeeds. When the engine stops, one failure is enough: the log still has all events.
fn write(save: &Save, shared: &Shared) {
    let bell = Bell::default();
    let mut delay = FIRST_DELAY;
    loop {
        let started = Instant::now();
        match self::save(&save.of, &save.checkpoint, &save.barrier, shared) {
            Ok(()) => {
                shared.metrics.checkpoint_time.observe(started.elapsed().as_secs_f64());
                save.saved.note(save.barrier.epoch, started.elapsed());
                shared.ports.membership.saved(&save.of, save.checkpoint.events);
                return;
            }
            Err(error) => {
                tracing::warn!(partition = %save.of, %error, "a checkpoint cannot be saved; trying again");
                if !shared.back_off(&mut delay, &bell) {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_done_more_rarely() {
        let (saved, every) = (Saved::default(), Duration::from_secs(1));
        let pause_after = |ms| {
            saved.note(1, Duration::from_millis(ms));
            saved.pause(every).as_millis()
        };
        assert_eq!([0, 50, 100, 700].map(pause_after), [1_000, 1_000, 2_000, 10_000]);
    }
}
