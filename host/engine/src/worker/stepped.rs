//! A worker whose steps, and those of what writes its checkpoints and opens its partitions, are done by whoever drives a
//! simulation. No thread is started.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::opening::OpeningTask;
use super::saver::SaverQueue;
use super::{SaverStep, Step, Worker, WorkerAddress};
use crate::ports::log::WakeSignal;
use crate::shared::Shared;

/// A worker that is driven step by step.
pub(crate) struct SteppedWorker {
    address: WorkerAddress,
    worker: Worker,
}

/// What writes a stepped worker's checkpoints.
pub(crate) struct SteppedSaver(SaverQueue);

/// Openings that a stepped worker has begun. Clones are the same ones.
#[derive(Clone, Default)]
pub(crate) struct SteppedOpenings(Arc<Mutex<VecDeque<OpeningTask>>>);

impl SteppedWorker {
    /// A worker without partitions, and what works for it.
    pub(crate) fn new(shared: &Arc<Shared>) -> (Self, SteppedSaver, SteppedOpenings) {
        let openings = SteppedOpenings::default();
        let spawned = openings.clone();
        let (address, worker, saver) = Worker::new(shared.clone(), Box::new(move |task| spawned.push(task)));
        let mut stepped = Self { address, worker };
        stepped.restart();
        (stepped, SteppedSaver(saver), openings)
    }

    /// Where it is asked.
    pub(crate) fn address(&self) -> WorkerAddress {
        self.address.clone()
    }

    /// Notified when there may be something to do.
    pub(crate) fn wake(&self) -> &WakeSignal {
        &self.worker.wake
    }

    /// Does what there is to do now.
    pub(crate) fn step(&mut self) -> Step {
        self.worker.step()
    }

    /// A notification has come: what waits for the log is tried again.
    pub(crate) fn note_woken(&mut self) {
        let now = self.worker.now();
        self.worker.openings.wake(now);
    }

    /// Begins anew, as a thread does after a panic.
    pub(crate) fn restart(&mut self) {
        self.worker.reopen_all();
    }
}

impl SteppedSaver {
    /// Whether there is a checkpoint to save.
    pub(crate) fn has_work(&self) -> bool {
        self.0.has_work()
    }

    /// Saves a checkpoint if there is one to save now.
    pub(crate) fn step(&mut self) -> SaverStep {
        self.0.step()
    }
}

impl SteppedOpenings {
    fn push(&self, task: OpeningTask) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(task);
    }

    /// How many have begun and are not over.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Runs one of them.
    pub(crate) fn run(&self, index: usize) {
        let task = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(index);
        if let Some(task) = task {
            task.run();
        }
    }
}
