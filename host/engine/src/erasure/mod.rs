//! Deleting the data of one entity. A thread carries deletions out, one after the other, and goes on after a restart
//! with those that are not done.

mod deletion;
mod presence;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};

use crate::panics::Heartbeat;
use crate::ports::StoreError;
use crate::ports::erasure::{EraseStep, Erased, PendingErasure};
use crate::ports::log::WakeSignal;
use crate::probe::ProbePoint;
use crate::problem::ReadError;
use crate::service::Service;
use crate::shared::{MIN_RETRY_DELAY, Shared};
use crate::sinks::{DeletionRole, SINKS};
use crate::worker::Ownership;
use deletion::Deletion;

/// The longest wait of a caller for its deletion, which goes on in any case.
const DELETION_TIMEOUT: Duration = Duration::from_secs(600);
/// The longest sleep of the thread.
const MAX_IDLE_WAIT: Duration = Duration::from_secs(60);

/// Deletes the data of entities.
pub struct ErasureService {
    shared: Arc<Shared>,
    ownership: Arc<Ownership>,
    waiters: DeletionWaiters,
    /// The thread that carries deletions out; none if the stores cannot delete.
    thread: Mutex<Option<Service>>,
}

/// The callers that wait for a deletion, by its number.
#[derive(Default)]
struct DeletionWaiters(Mutex<HashMap<u64, Sender<Erased>>>);

impl DeletionWaiters {
    /// Begins a deletion and notes its caller, before the deletion can be done.
    fn begin(&self, done: Sender<Erased>, begin: impl FnOnce() -> Result<u64, StoreError>) -> Result<(), StoreError> {
        // Each change is a single one.
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(begin()?, done);
        Ok(())
    }

    fn notify(&self, id: u64, erased: Erased) {
        let done = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        // A caller that no longer waits needs no answer.
        let _ = done.map(|done| done.send(erased));
    }

    /// Ends the wait of all callers without a result.
    fn give_up(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn run(service: &Weak<ErasureService>, wake: &WakeSignal, heartbeat: &Heartbeat) {
    let mut delay = MIN_RETRY_DELAY;
    loop {
        let Some(service) = service.upgrade() else { return };
        let shared = service.shared.clone();
        shared.config.probe.call(ProbePoint::Round);
        let done = service.carry_out_deletions();
        heartbeat.mark_alive();
        match done {
            Ok(()) => {
                delay = MIN_RETRY_DELAY;
                drop(service);
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

impl ErasureService {
    /// The service without its thread.
    pub(crate) fn new(shared: Arc<Shared>, ownership: Arc<Ownership>) -> Arc<Self> {
        Arc::new(Self { shared, ownership, waiters: DeletionWaiters::default(), thread: Mutex::default() })
    }

    /// Starts the thread that carries deletions out, if the stores can delete.
    pub(crate) fn start_thread(self: &Arc<Self>) -> std::io::Result<()> {
        if self.shared.ports.erasure.is_none() {
            return Ok(());
        }
        let wake = Arc::new(WakeSignal::default());
        // The service holds the thread, not the other way round.
        let (service, own_wake) = (Arc::downgrade(self), wake.clone());
        let over = service.clone();
        let is_over = move || over.upgrade().is_none_or(|service| service.shared.is_stopping());
        let work = move |heartbeat: &Heartbeat| run(&service, &own_wake, heartbeat);
        *self.lock_thread() = Some(Service::start("eraser", wake, is_over, work)?);
        Ok(())
    }

    /// Waits until the thread has ended, and ends the wait of all callers. The engine must be stopping, and its workers
    /// must still answer.
    pub(crate) fn join(&self) {
        if let Some(thread) = self.lock_thread().take() {
            thread.join();
        }
        self.waiters.give_up();
    }

    fn lock_thread(&self) -> MutexGuard<'_, Option<Service>> {
        // It is put there and taken whole.
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Deletes all data of an entity: its events that are in the log now with their outcomes, and its state. Later events
    /// begin with an empty state. Blocks until it is done. A deletion that was begun is carried out in any case, also
    /// after a crash. Begins nothing if it is certain that nothing of the entity is stored.
    ///
    /// # Errors
    /// The stream is unknown, these stores cannot delete, or it is not done in time.
    pub fn erase(&self, stream: &str, key: &str, author: &str) -> Result<Erased, ReadError> {
        let (shared, plan) = (&self.shared, self.shared.plan());
        let key = &plan.canonical_key(stream, key);
        let partition = shared.partition_of(stream, key);
        let partition = partition.ok_or_else(|| ReadError::NotFound(plan.describe_unknown_stream(stream)))?;
        let Some(erasure) = &shared.ports.erasure else {
            let message = "one entity's data can be deleted from a data folder only; docs/operations.md says what to \
                           delete on servers";
            return Err(ReadError::Unsupported(message.to_owned()));
        };
        for sink in SINKS.iter().filter(|sink| sink.deletion == DeletionRole::Required) {
            let sink = sink.name;
            if !shared.config.runs_sink(sink) {
                let message = format!("the sink '{sink}' does not run here, so it is not known what to delete");
                return Err(ReadError::Unsupported(message));
            }
        }
        if !self.may_hold_entity(&**erasure, &partition, key)? {
            return Ok(Erased::default());
        }
        let (done, erased) = bounded(1);
        self.waiters.begin(done, || erasure.begin(&partition, key, author))?;
        if let Some(thread) = &*self.lock_thread() {
            thread.notify();
        }
        let waited = erased.recv_timeout(DELETION_TIMEOUT);
        waited.map_err(|_| {
            let message = "the deletion is not done yet; it goes on, also after a restart".to_owned();
            StoreError::Unavailable { store: "engine", message }.into()
        })
    }

    /// Carries out the pending deletions. One that fails does not hold up the others.
    fn carry_out_deletions(&self) -> Result<(), StoreError> {
        let Some(erasure) = self.shared.ports.erasure.clone() else { return Ok(()) };
        let mut failed = None;
        for erasing in erasure.pending()? {
            if self.shared.is_stopping() {
                break;
            }
            match Deletion::new(self, &*erasure, &erasing).carry_out() {
                Ok(erased) => {
                    log_deletion(&erasing, erased);
                    self.waiters.notify(erasing.id, erased);
                }
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

/// Logs what a deletion has deleted. One that was gone on with may have deleted everything before.
fn log_deletion(erasing: &PendingErasure, erased: Erased) {
    let (stream, sha256, by) = (&*erasing.partition.stream, &erasing.digest, &erasing.author);
    if erased == Erased::default() && matches!(erasing.step, EraseStep::EndLifetime { .. }) {
        tracing::info!(
            stream,
            sha256,
            by,
            "an entity was to be deleted, and no event, verdict or profile of it was there"
        );
        return;
    }
    let Erased { events, verdicts, dead_letters, edges, profiles } = erased;
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
}
