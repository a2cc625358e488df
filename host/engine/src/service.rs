//! A background loop: a named thread that goes on after panics, and the signal that wakes it.

use std::sync::Arc;
use std::thread::JoinHandle;

use crate::panics::{self, Heartbeat};
use crate::ports::log::WakeSignal;

/// A running background loop. It ends by itself when what it belongs to is over, and is joined after that.
pub(crate) struct Service {
    wake: Arc<WakeSignal>,
    thread: JoinHandle<()>,
}

impl Service {
    /// Starts `work` on a thread of its own, as [`panics::spawn`] does. The work waits on `wake` between its rounds and
    /// returns when `is_over` says so.
    ///
    /// # Errors
    /// The system has no more threads.
    pub(crate) fn start(
        name: impl Into<String>,
        wake: Arc<WakeSignal>,
        is_over: impl Fn() -> bool + Send + 'static,
        work: impl FnMut(&Heartbeat) + Send + 'static,
    ) -> std::io::Result<Self> {
        let thread = panics::spawn(name, is_over, work)?;
        Ok(Self { wake, thread })
    }

    /// Lets the loop do its next round now.
    pub(crate) fn notify(&self) {
        self.wake.notify();
    }

    /// Wakes the loop, and waits until it has ended. It must be over.
    pub(crate) fn join(self) {
        self.wake.notify();
        // A panic was logged and counted where it was caught.
        let _ = self.thread.join();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_service_goes_on_after_a_panic_and_ends_when_it_is_over() {
        let (wake, over, rounds) =
            (Arc::new(WakeSignal::default()), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (own_wake, stop, done) = (wake.clone(), over.clone(), rounds.clone());
        let is_over = move || stop.load(Ordering::SeqCst);
        let stop = over.clone();
        let service = Service::start("service-test", wake, is_over, move |heartbeat| {
            while !stop.load(Ordering::SeqCst) {
                assert!(done.fetch_add(1, Ordering::SeqCst) > 0, "the first round");
                heartbeat.mark_alive();
                own_wake.wait(Duration::from_secs(600));
            }
        })
        .unwrap();
        while rounds.load(Ordering::SeqCst) < 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
        service.notify();
        while rounds.load(Ordering::SeqCst) < 3 {
            std::thread::sleep(Duration::from_millis(1));
        }
        over.store(true, Ordering::SeqCst);
        service.join();
    }
}
