//! A sink as its driver sees it: steps that do not wait, and wishes when to be called again. A thread of its own drives each
//! one; a simulation drives them itself.

use std::sync::Arc;
use std::time::Duration;

use crate::health::HealthComponent;
use crate::metrics::SinkLabel;
use crate::panics::Heartbeat;
use crate::ports::StoreError;
use crate::ports::log::WakeSignal;
use crate::service::Service;
use crate::shared::{MAX_RETRY_DELAY, Shared};

/// The wish of a sink after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SinkStep {
    /// To run again at once.
    Busy,
    /// To wait for its wake signal, at most for this time.
    Idle(Duration),
    /// To run again after a while, also when it is woken before: its store fails.
    RetryAfter(Duration),
    /// Nothing: the engine is stopping.
    Over,
}

/// A sink that is driven step by step.
pub(crate) trait SinkTask: Send {
    /// The store that it feeds, as metrics and logs name it.
    fn name(&self) -> &'static str;

    /// Notified when there may be something to carry.
    fn wake(&self) -> &Arc<WakeSignal>;

    /// Begins from the stored positions: after a panic only these are known to be right.
    fn restart(&mut self);

    /// Does one round.
    fn step(&mut self) -> SinkStep;
}

/// Starts a thread that drives a sink.
pub(super) fn start(mut sink: Box<dyn SinkTask>, shared: &Arc<Shared>) -> std::io::Result<Service> {
    let (name, wake) = (format!("sink-{}", sink.name()), sink.wake().clone());
    let (stopping, shared) = (shared.clone(), shared.clone());
    Service::start(name, wake, move || stopping.is_stopping(), move |heartbeat| run(&mut *sink, &shared, heartbeat))
}

fn run(sink: &mut dyn SinkTask, shared: &Shared, heartbeat: &Heartbeat) {
    sink.restart();
    loop {
        let step = sink.step();
        if !matches!(step, SinkStep::RetryAfter(_)) {
            heartbeat.mark_alive();
        }
        match step {
            SinkStep::Busy => {}
            SinkStep::Idle(at_most) => {
                sink.wake().wait(at_most);
            }
            SinkStep::RetryAfter(mut delay) => {
                shared.back_off(&mut delay, sink.wake());
            }
            SinkStep::Over => return,
        }
    }
}

/// Tells that a sink's store fails. The delay is that of this failure, and becomes that of the next one.
pub(super) fn note_failure(shared: &Shared, name: &'static str, error: &StoreError, delay: &mut Duration) -> SinkStep {
    tracing::warn!(sink = name, %error, "a store fails; trying again");
    shared.metrics.sink_errors.get_or_create(&SinkLabel { sink: name.to_owned() }).inc();
    shared.health.note(&HealthComponent::Sink(name), Some(&error.to_string()));
    let step = SinkStep::RetryAfter(*delay);
    *delay = (*delay * 2).min(MAX_RETRY_DELAY);
    step
}
