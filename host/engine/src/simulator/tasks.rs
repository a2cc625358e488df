//! The parts of a process that run by themselves, each one step at a time, and when the next step of each is due.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::handle::Engine;
use crate::panics::catch;
use crate::ports::log::WakeSignal;
use crate::retention::RetentionMonitor;
use crate::sinks::{DERIVE, SinkStep, SinkTask};
use crate::worker::{SaverStep, Step, SteppedSaver, SteppedWorker};

/// How often the catalog's version is asked for when no signal comes.
const CATALOG_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The wait after the catalog could not be read.
const CATALOG_RETRY_DELAY: Duration = Duration::from_millis(50);

/// How often retention looks.
const RETENTION_INTERVAL: Duration = Duration::from_millis(100);
/// A saver is woken by checkpoints only, and a sink that has stopped by nothing.
const MAX_IDLE: Duration = Duration::from_secs(1 << 20);

/// A part of a process.
pub(super) enum Part {
    Worker(Box<SteppedWorker>),
    Saver(SteppedSaver),
    Sink(Box<dyn SinkTask>),
    /// With the signal that tells of changes.
    Watcher(Arc<WakeSignal>),
    Retention(Box<RetentionMonitor>),
}

/// When a step is due.
#[derive(Clone, Copy)]
enum Due {
    Now,
    /// At this time, or when a signal comes.
    Woken(Instant),
    /// At this time.
    At(Instant),
}

/// A part, and when its next step is due.
pub(super) struct Task {
    part: Part,
    due: Due,
}

impl Task {
    pub(super) fn new(part: Part, now: Instant) -> Self {
        Self { part, due: Due::At(now) }
    }

    /// Whether it is needed for a change of the plan or a handover to be answered.
    pub(super) fn is_of_worker(&self) -> bool {
        matches!(self.part, Part::Worker(_) | Part::Saver(_))
    }

    /// Whether it writes derived streams.
    pub(super) fn is_derive(&self) -> bool {
        matches!(&self.part, Part::Sink(sink) if sink.name() == DERIVE)
    }

    /// Whether its next step is due.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        if let (Part::Saver(saver), Due::Woken(_)) = (&self.part, self.due)
            && saver.has_work()
        {
            self.due = Due::Now;
        }
        if let Due::Woken(_) = self.due
            && self.take_notification()
        {
            self.due = Due::Now;
        }
        match self.due {
            Due::Now => true,
            Due::Woken(at) | Due::At(at) => at <= now,
        }
    }

    fn take_notification(&mut self) -> bool {
        match &mut self.part {
            Part::Worker(worker) => {
                let is_woken = worker.wake().wait(Duration::ZERO);
                if is_woken {
                    worker.note_woken();
                }
                is_woken
            }
            Part::Saver(_) | Part::Retention(_) => false,
            Part::Sink(sink) => sink.wake().wait(Duration::ZERO),
            Part::Watcher(wake) => wake.wait(Duration::ZERO),
        }
    }

    /// When its next step is due if no signal comes; none: only by a signal.
    pub(super) fn due_at(&self) -> Option<Instant> {
        match (&self.part, self.due) {
            (_, Due::Now) | (Part::Saver(_), Due::Woken(_)) => None,
            (_, Due::Woken(at) | Due::At(at)) => Some(at),
        }
    }

    /// Does one step. A panic is an error here: nothing in a simulation makes the engine panic on purpose.
    pub(super) fn step(&mut self, engine: &Engine, now: Instant) -> Result<(), String> {
        let stepped = catch(|| match &mut self.part {
            Part::Worker(worker) => match worker.step() {
                Step::Busy => Due::Now,
                Step::IdleUntil(at) => Due::Woken(at),
            },
            Part::Saver(saver) => match saver.step() {
                SaverStep::Busy => Due::Now,
                SaverStep::Idle | SaverStep::Over => Due::Woken(now + MAX_IDLE),
                SaverStep::RetryAt(at) => Due::At(at),
            },
            Part::Sink(sink) => match sink.step() {
                SinkStep::Busy => Due::Now,
                SinkStep::Idle(at_most) => Due::Woken(now + at_most),
                SinkStep::RetryAfter(delay) => Due::At(now + delay),
                SinkStep::Over => Due::At(now + MAX_IDLE),
            },
            Part::Retention(monitor) => {
                monitor.check_retention();
                Due::At(now + RETENTION_INTERVAL)
            }
            Part::Watcher(_) => match engine.catalog().refresh() {
                Ok(()) => Due::Woken(now + CATALOG_POLL_INTERVAL),
                Err(_) => Due::At(now + CATALOG_RETRY_DELAY),
            },
        });
        self.due = stepped.map_err(|panicked| panicked.to_string())?;
        Ok(())
    }
}
