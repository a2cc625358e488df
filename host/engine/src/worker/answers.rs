//! Waiting for workers that were asked something: a worker whose guest is in a long call is interrupted.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::{Request, WorkerAddress};

/// How long workers have to answer by themselves. Turns are shorter, but for calls that never end; what an interrupt
/// stops has to be done again.
pub(super) const INTERRUPT_AFTER: Duration = Duration::from_millis(100);

/// Answers that are still to come.
#[derive(Default)]
pub(crate) struct Answers {
    awaited: Vec<(WorkerAddress, Receiver<()>)>,
}

impl Answers {
    /// Asks a worker something that it answers when it is done.
    pub(crate) fn request(&mut self, worker: &WorkerAddress, request: impl FnOnce(Sender<()>) -> Request) {
        let (done, answer) = bounded(1);
        worker.send(request(done));
        self.awaited.push((worker.clone(), answer));
    }

    /// Waits until all have answered or ended; false: some have not by the deadline.
    pub(crate) fn wait(mut self, deadline: Instant) -> bool {
        while let Some((_, answer)) = self.awaited.last() {
            match answer.recv_deadline(deadline.min(Instant::now() + INTERRUPT_AFTER)) {
                Ok(()) | Err(RecvTimeoutError::Disconnected) => drop(self.awaited.pop()),
                Err(RecvTimeoutError::Timeout) if Instant::now() >= deadline => return false,
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
