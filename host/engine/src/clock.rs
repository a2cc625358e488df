//! Time as the engine sees it: real, or moved by hand where a simulation drives it. It says when something is due and how
//! long it took; a fold never depends on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};

use crate::ports::log::WakeSignal;

/// Milliseconds since 1970-01-01T00:00:00Z.
pub fn now_ms() -> i64 {
    // A clock before 1970 is not worth an error; a clock past the year 292 million neither.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// The clock of workers and of what writes their checkpoints. Clones are the same clock.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<SimulatedTime>>);

#[derive(Debug)]
struct SimulatedTime {
    /// A monotonic time has no zero of its own.
    start: Instant,
    start_ms: i64,
    elapsed_ns: AtomicU64,
    /// Called again and again while somebody waits: it lets others go on, and moves the clock.
    run_others: fn(),
}

impl Clock {
    /// The real one.
    pub const fn real() -> Self {
        Self(None)
    }

    /// A clock that stands still until it is advanced. It begins at a time in ms since 1970. While somebody waits by it,
    /// `run_others` is called again and again, which has to advance it.
    pub fn simulated(start_ms: i64, run_others: fn()) -> Self {
        let time = SimulatedTime { start: Instant::now(), start_ms, elapsed_ns: AtomicU64::new(0), run_others };
        Self(Some(Arc::new(time)))
    }

    /// Moves a simulated clock on. The real one cannot be moved.
    pub fn advance(&self, by: Duration) {
        if let Some(time) = &self.0 {
            time.elapsed_ns.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::SeqCst);
        }
    }

    /// Monotonic time.
    pub fn now(&self) -> Instant {
        match &self.0 {
            None => Instant::now(),
            Some(time) => time.start + time.elapsed(),
        }
    }

    /// Waits for a signal, at most so long. Returns whether there was one.
    pub(crate) fn wait(&self, wake: &WakeSignal, at_most: Duration) -> bool {
        let Some(time) = &self.0 else { return wake.wait(at_most) };
        let deadline = self.now() + at_most;
        while !wake.wait(Duration::ZERO) {
            if self.now() >= deadline {
                return false;
            }
            (time.run_others)();
        }
        true
    }

    /// Waits for a message until a deadline.
    pub(crate) fn receive<T>(&self, inbox: &Receiver<T>, deadline: Instant) -> Result<T, RecvTimeoutError> {
        let Some(time) = &self.0 else { return inbox.recv_deadline(deadline) };
        loop {
            match inbox.try_recv() {
                Ok(message) => return Ok(message),
                Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
                Err(TryRecvError::Empty) if self.now() >= deadline => return Err(RecvTimeoutError::Timeout),
                Err(TryRecvError::Empty) => (time.run_others)(),
            }
        }
    }

    /// How much CPU time this thread has taken; with a simulated clock all time is the thread's.
    pub(crate) fn thread_cpu_time(&self) -> Duration {
        match &self.0 {
            None => assay_runtime::thread_cpu_time(),
            Some(time) => time.elapsed(),
        }
    }

    /// Wall time, ms since 1970.
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            None => now_ms(),
            Some(time) => time.start_ms + i64::try_from(time.elapsed().as_millis()).unwrap_or(i64::MAX),
        }
    }
}

impl SimulatedTime {
    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.elapsed_ns.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_clock_moves_only_when_it_is_advanced() {
        let clock = Clock::simulated(1_000, || {});
        let (same, start) = (clock.clone(), clock.now());
        assert_eq!((clock.now(), clock.now_ms()), (start, 1_000));
        same.advance(Duration::from_millis(250));
        assert_eq!((clock.now() - start, clock.now_ms()), (Duration::from_millis(250), 1_250));
    }
}
