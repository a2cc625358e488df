//! Deadlines: a thread that advances the engine's epoch, and the clock of one call.
//!
//! Guests look at the epoch at loop heads and function entries. When theirs has passed, the host looks at the CPU time
//! of the thread, not at the wall clock: a guest is stopped for what it used, not for how busy the machine was. It also
//! looks whether somebody wants the call to stop.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{Engine, UpdateDeadline};

use crate::interrupt::Interrupt;

/// The length of an epoch: deadlines are this exact. At 2 ms the thread takes about 0.2% of a core.
const TICK: Duration = Duration::from_millis(2);
/// The most epochs that pass before a call looks at its interrupt: about 10 ms.
const MAX_TICKS_UNSEEN: u64 = 5;

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
            // The thread has nothing that can panic, and a failed join would change nothing here.
            let _ = thread.join();
        }
    }
}

/// The clock of the call that a store is in.
#[derive(Debug, Default)]
pub(crate) struct CallClock {
    started: Duration,
    budget: Duration,
}

impl CallClock {
    /// Starts a call that may take `budget` of CPU time.
    pub(crate) fn start(budget: Duration) -> Self {
        Self { started: thread_cpu_time(), budget }
    }

    /// The epochs after which to look at the clock first.
    pub(crate) fn ticks(&self) -> u64 {
        ticks(self.budget).min(MAX_TICKS_UNSEEN)
    }

    /// The CPU time that the call has used so far.
    pub(crate) fn used(&self) -> Duration {
        thread_cpu_time().saturating_sub(self.started)
    }

    /// What to do with a guest whose epoch has passed.
    pub(crate) fn judge(&self, interrupt: &Interrupt) -> wasmtime::Result<UpdateDeadline> {
        if interrupt.is_raised() {
            return Err(wasmtime::Error::new(Interrupted));
        }
        match self.budget.checked_sub(self.used()) {
            Some(left) if !left.is_zero() => Ok(UpdateDeadline::Continue(ticks(left).min(MAX_TICKS_UNSEEN))),
            _ => Err(wasmtime::Error::new(DeadlinePassed(self.budget))),
        }
    }
}

/// Somebody wanted the call to stop.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the call was interrupted")]
pub(crate) struct Interrupted;

/// A call used up its budget.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the deadline of {} ms has passed", .0.as_millis())]
pub(crate) struct DeadlinePassed(pub(crate) Duration);

/// Epochs that cover a span of time, and one for the epoch that has already begun.
fn ticks(span: Duration) -> u64 {
    let ticks = span.as_nanos().div_ceil(TICK.as_nanos()) + 1;
    u64::try_from(ticks).unwrap_or(u64::MAX >> 1)
}

/// CPU time of this thread: what it has worked, not what it has waited.
#[cfg(unix)]
pub fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}

/// Wall time, where the CPU time of a thread is not to be had.
#[cfg(not(unix))]
pub fn thread_cpu_time() -> Duration {
    thread_local!(static START: std::time::Instant = std::time::Instant::now());
    START.with(std::time::Instant::elapsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_goes_on_while_it_has_budget() {
        let (interrupt, clock) = (Interrupt::default(), CallClock::start(Duration::from_secs(60)));
        assert!(matches!(clock.judge(&interrupt), Ok(UpdateDeadline::Continue(_))));
        let passed = CallClock::start(Duration::ZERO).judge(&interrupt);
        assert!(passed.is_err_and(|error| error.is::<DeadlinePassed>()));
        interrupt.raise();
        assert!(clock.judge(&interrupt).is_err_and(|error| error.is::<Interrupted>()));
        assert_eq!(clock.ticks(), MAX_TICKS_UNSEEN, "an interrupt is seen soon, however long the call may take");
    }

    #[test]
    fn ticks_cover_the_span() {
        assert_eq!(ticks(Duration::from_millis(1)), 2);
        assert_eq!(ticks(Duration::from_millis(10)), 6);
        assert_eq!(ticks(Duration::MAX), u64::MAX >> 1);
    }
}
