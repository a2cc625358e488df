//! Deleting the data of one entity. A thread carries deletions out, one after the other, and goes on after a restart
//! with those that are not done.

mod deletion;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};

use super::{Engine, Inner};
use crate::panics::Heartbeat;
use crate::ports::StoreError;
use crate::ports::erasure::Erased;
use crate::ports::log::WakeSignal;
use crate::probe::ProbePoint;
use crate::problem::ReadError;
use crate::service::Service;
use crate::shared::MIN_RETRY_DELAY;
use crate::sinks::{DeletionRole, SINKS};
use deletion::Deletion;

/// How long a caller waits until a deletion is done. It goes on in any case.
const DELETION_TIMEOUT: Duration = Duration::from_secs(600);
/// How long the thread sleeps at most.
const MAX_IDLE_WAIT: Duration = Duration::from_secs(60);

/// The thread that carries deletions out.
pub(super) struct Eraser(Service);

/// Who waits for a deletion, by its number.
#[derive(Default)]
pub(super) struct DeletionWaiters(Mutex<HashMap<u64, Sender<Erased>>>);

impl DeletionWaiters {
    /// Notes who waits for what is begun. The deletion cannot be done before that.
    fn begin(&self, done: Sender<Erased>, begin: impl FnOnce() -> Result<u64, StoreError>) -> Result<(), StoreError> {
        // Each change is a single one.
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(begin()?, done);
        Ok(())
    }

    fn notify(&self, id: u64, erased: Erased) {
        let done = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        // Who does not wait any more does not want to know.
        let _ = done.map(|done| done.send(erased));
    }

    /// Nobody is told any more.
    pub(super) fn give_up(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Eraser {
    /// Starts it, if the stores can delete.
    pub(super) fn start(engine: &Engine) -> std::io::Result<Option<Self>> {
        if engine.ports().erasure.is_none() {
            return Ok(None);
        }
        let wake = Arc::new(WakeSignal::default());
        // The engine holds the eraser, not the other way round.
        let (inner, own_wake) = (Arc::downgrade(&engine.inner), wake.clone());
        let over = inner.clone();
        let is_over = move || over.upgrade().is_none_or(|inner| inner.shared.is_stopping());
        let work = move |heartbeat: &Heartbeat| run(&inner, &own_wake, heartbeat);
        Service::start("eraser", wake, is_over, work).map(|service| Some(Self(service)))
    }

    /// Waits until the thread has ended. The engine must be stopping.
    pub(super) fn join(self) {
        self.0.join();
    }
}

fn run(inner: &Weak<Inner>, wake: &WakeSignal, heartbeat: &Heartbeat) {
    let mut delay = MIN_RETRY_DELAY;
    loop {
        let Some(engine) = inner.upgrade().map(|inner| Engine { inner }) else { return };
        let shared = engine.inner.shared.clone();
        shared.config.probe.call(ProbePoint::Round);
        let done = engine.carry_out_deletions();
        heartbeat.mark_alive();
        match done {
            Ok(()) => {
                delay = MIN_RETRY_DELAY;
                drop(engine);
                if !shared.is_stopping() {
                    wake.wait(MAX_IDLE_WAIT);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the data of an entity cannot be deleted yet; trying again");
                shared.back_off(&mut delay, wake);
            }
        }
        if shared.is_stopping() {
            return;
        }
    }
}

impl Engine {
    /// Deletes what is held of an entity: its events that are in the log now with all that came of them, and its state.
    /// What comes later begins from nothing. Blocks until it is done. What was begun is carried out in any case, also
    /// after a crash.
    ///
    /// # Errors
    /// The stream is unknown, these stores cannot delete, or it is not done in time.
    pub fn erase(&self, stream: &str, key: &str, author: &str) -> Result<Erased, ReadError> {
        let key = &self.canonical_key(stream, key);
        let partition = self.partition_of(stream, key);
        let partition = partition.ok_or_else(|| ReadError::NotFound(format!("there is no stream '{stream}'")))?;
        let Some(erasure) = &self.ports().erasure else {
            let message = "one entity's data can be deleted from a data folder only; docs/operations.md says what to \
                           delete on servers";
            return Err(ReadError::Unsupported(message.to_owned()));
        };
        for sink in SINKS.iter().filter(|sink| sink.deletion == DeletionRole::Required) {
            let sink = sink.name;
            if !self.inner.shared.config.runs_sink(sink) {
                let message = format!("the sink '{sink}' does not run here, so it is not known what to delete");
                return Err(ReadError::Unsupported(message));
            }
        }
        let (done, erased) = bounded(1);
        self.inner.waiting.begin(done, || erasure.begin(&partition, key, author))?;
        if let Some(eraser) = &*self.inner.eraser.lock().unwrap_or_else(PoisonError::into_inner) {
            eraser.0.notify();
        }
        let waited = erased.recv_timeout(DELETION_TIMEOUT);
        waited.map_err(|_| {
            let message = "the deletion is not done yet; it goes on, also after a restart".to_owned();
            StoreError::Unavailable { store: "engine", message }.into()
        })
    }

    /// Carries out what is to be deleted. What fails does not hold up the rest.
    fn carry_out_deletions(&self) -> Result<(), StoreError> {
        let Some(erasure) = self.ports().erasure.clone() else { return Ok(()) };
        let mut failed = None;
        for erasing in erasure.pending()? {
            if self.inner.shared.is_stopping() {
                break;
            }
            match Deletion::new(self, &*erasure, &erasing).carry_out() {
                Ok(erased) => {
                    let Erased { events, verdicts, dead_letters, edges, profiles } = erased;
                    let (stream, sha256, by) = (&*erasing.partition.stream, &erasing.digest, &erasing.author);
                    tracing::info!(
                        stream,
                        sha256,
                        by,
                        events,
                        verdicts,
                        dead_letters,
                        edges,
                        profiles,
                        "the data of an entity was deleted"
                    );
                    self.inner.waiting.notify(erasing.id, erased);
                }
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }
}
