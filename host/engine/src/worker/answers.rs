//! Waiting for workers that were asked something: a worker whose guest is in a long call is interrupted.

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::{Request, WorkerAddress};
use crate::clock::Clock;

/// How long workers have to answer by themselves. Turns are shorter, but for calls that never end; what an interrupt
/// stops has to be done again.
pub(super) const INTERRUPT_AFTER: Duration = Duration::from_millis(100);

/// Answers that are still to come.
pub(crate) struct Answers {
    clock: Clock,
    awaited: Vec<(WorkerAddress, Receiver<()>)>,
}

impl Answers {
    /// No answers yet; how long they are waited for is told by this clock.
    pub(crate) fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), awaited: Vec::new() }
    }

    /// Asks a worker something that it answers when it is done.
    pub(crate) fn request(&mut self, worker: &WorkerAddress, request: impl FnOnce(Sender<()>) -> Request) {
        let (done, answer) = bounded(1);
        worker.send(request(done));
        self.awaited.push((worker.clone(), answer));
    }

    /// Waits until all have answered or ended, at most so long; false: some have not by then.
    pub(crate) fn wait(mut self, at_most: Duration) -> bool {
        let deadline = self.clock.now() + at_most;
        while let Some((_, answer)) = self.awaited.last() {
            let until = deadline.min(self.clock.now() + INTERRUPT_AFTER);
            match self.clock.receive(answer, until) {
                Ok(()) | Err(RecvTimeoutError::Disconnected) => drop(self.awaited.pop()),
                Err(RecvTimeoutError::Timeout) if self.clock.now() >= deadline => return false,
                Err(RecvTimeoutError::Timeout) => {
                    // One that has heard it waits for a store perhaps, and no call is in its way. One that has not may
                    // forget the interrupt when it hears something else, so it is repeated.
                    let silent = self.awaited.iter().filter(|(worker, _)| !worker.has_heard());
                    silent.for_each(|(worker, _)| worker.interrupt());
                }
            }
        }
        true
    }
}
