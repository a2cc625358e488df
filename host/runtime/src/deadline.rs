//! Deadlines of calls: a thread that advances the engine's epoch, and the clock of one call.
//!
//! Guests check the epoch at loop heads and function entries. When their epoch has passed, the host checks the CPU time
//! of the thread and not the wall clock, so that a busy machine does not cause a guest to be stopped. The host also
//! checks the interrupt.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{Engine, UpdateDeadline};

use crate::interrupt::Interrupt;

/// The length of an epoch, which is the precision of deadlines. At 2 ms the thread takes about 0.2% of a core.
const TICK: Duration = Duration::from_millis(2);
/// The most epochs between two checks of a call's interrupt: about 10 ms.
const MAX_TICKS_BETWEEN_CHECKS: u64 = 5;

/// The thread that advances the epoch until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub(crate) fn start(engine: Engine) -> std::io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let thread = std::thread::Builder::new().name("assay-epochs".to_owned()).spawn(move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                engine.increment_epoch();
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        // Dropping the sender ends the thread's wait at once.
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // The thread does nothing that can panic, and a failed join could not be handled here.
            let _ = thread.join();
        }
    }
}

/// The clock of the current call of a store.
#[derive(Debug, Default)]
pub(crate) struct CallClock {
    started: Duration,
    budget: Duration,
}

impl CallClock {
    /// Starts the clock of a call with `budget` of CPU time.
    pub(crate) fn start(budget: Duration) -> Self {
        Self { started: thread_cpu_time(), budget }
    }

    /// The number of epochs before the first check.
    pub(crate) fn ticks(&self) -> u64 {
        ticks(self.budget).min(MAX_TICKS_BETWEEN_CHECKS)
    }

    /// The CPU time that the call has used so far.
    pub(crate) fn used(&self) -> Duration {
        thread_cpu_time().saturating_sub(self.started)
    }

    /// Decides if a guest whose epoch has passed may continue.
    pub(crate) fn check_deadline(&self, interrupt: &Interrupt) -> wasmtime::Result<UpdateDeadline> {
        if interrupt.is_raised() {
            return Err(wasmtime::Error::new(Interrupted));
        }
        match self.budget.checked_sub(self.used()) {
            Some(left) if !left.is_zero() => Ok(UpdateDeadline::Continue(ticks(left).min(MAX_TICKS_BETWEEN_CHECKS))),
            _ => Err(wasmtime::Error::new(DeadlinePassed(self.budget))),
        }
    }
}

/// The interrupt of the call was raised.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the call was interrupted")]
pub(crate) struct Interrupted;

/// A call used up its budget.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the deadline of {} ms has passed", .0.as_millis())]
pub(crate) struct DeadlinePassed(pub(crate) Duration);

/// The number of epochs that cover a span of time, and one more for the epoch that has already begun.
fn ticks(span: Duration) -> u64 {
    let ticks = span.as_nanos().div_ceil(TICK.as_nanos()) + 1;
    u64::try_from(ticks).unwrap_or(u64::MAX >> 1)
}

/// The CPU time of this thread, without the time in which it waited.
#[cfg(unix)]
pub fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}

/// The wall time, on systems where the CPU time of a thread is not available.
#[cfg(not(unix))]
pub fn thread_cpu_time() -> Duration {
    thread_local!(static START: std::time::Instant = std::time::Instant::now());
    START.with(std::time::Instant::elapsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_continues_until_its_budget_or_an_interrupt_ends_it() {
        let (interrupt, clock) = (Interrupt::default(), CallClock::start(Duration::from_secs(60)));
        assert!(matches!(clock.check_deadline(&interrupt), Ok(UpdateDeadline::Continue(_))));
        let passed = CallClock::start(Duration::ZERO).check_deadline(&interrupt);
        assert!(passed.is_err_and(|error| error.is::<DeadlinePassed>()));
        interrupt.raise();
        assert!(clock.check_deadline(&interrupt).is_err_and(|error| error.is::<Interrupted>()));
        assert_eq!(clock.ticks(), MAX_TICKS_BETWEEN_CHECKS, "the interrupt is checked soon, even in a long call");
    }

    #[test]
    fn ticks_cover_the_span() {
        assert_eq!(ticks(Duration::from_millis(1)), 2);
        assert_eq!(ticks(Duration::from_millis(10)), 6);
        assert_eq!(ticks(Duration::MAX), u64::MAX >> 1);
    }
}
