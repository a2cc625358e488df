//! Deleting the data of one entity. A thread carries deletions out, one after the other, and goes on after a restart
//! with those that are not done.

mod deletion;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};

use super::{Engine, Inner};
use crate::panics::{self, Heartbeat};
use crate::ports::StoreError;
use crate::ports::erasure::Erased;
use crate::ports::log::Bell;
use crate::probe::Probed;
use crate::problem::ReadError;
use crate::shared::FIRST_DELAY;
use deletion::Deletion;

/// How long a caller waits until a deletion is done. It goes on in any case.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long the thread sleeps at most.
const IDLE: Duration = Duration::from_secs(60);
/// The followers without which it is not known where an entity's data is.
const NEEDED: [&str; 2] = ["archive-events", "archive-verdicts"];

/// The thread that carries deletions out.
pub(super) struct Eraser {
    bell: Arc<Bell>,
    thread: JoinHandle<()>,
}

/// Who waits for a deletion, by its number.
#[derive(Default)]
pub(super) struct Waiting(Mutex<HashMap<u64, Sender<Erased>>>);

impl Waiting {
    /// Notes who waits for what is begun. The deletion cannot be done before that.
    fn begin(&self, done: Sender<Erased>, begin: impl FnOnce() -> Result<u64, StoreError>) -> Result<(), StoreError> {
        // Each change is a single one.
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(begin()?, done);
        Ok(())
    }

    fn tell(&self, id: u64, erased: Erased) {
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
        let bell = Arc::new(Bell::default());
        // The engine holds the eraser, not the other way round.
        let (inner, own_bell) = (Arc::downgrade(&engine.inner), bell.clone());
        let over = inner.clone();
        let is_over = move || over.upgrade().is_none_or(|inner| inner.shared.is_stopping());
        let thread = panics::spawn("eraser", is_over, move |heartbeat| run(&inner, &own_bell, heartbeat))?;
        Ok(Some(Self { bell, thread }))
    }

    /// Waits until the thread has ended. The engine must be stopping.
    pub(super) fn join(self) {
        self.bell.ring();
        let _ = self.thread.join();
    }
}

fn run(inner: &Weak<Inner>, bell: &Bell, heartbeat: &Heartbeat) {
    let mut delay = FIRST_DELAY;
    loop {
        let Some(engine) = inner.upgrade().map(|inner| Engine { inner }) else { return };
        let shared = engine.inner.shared.clone();
        shared.config.probe.look(Probed::Round);
        let done = engine.carry_out_deletions();
        heartbeat.beat();
        match done {
            Ok(()) => {
                delay = FIRST_DELAY;
                drop(engine);
                if !shared.is_stopping() {
                    bell.wait(IDLE);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the data of an entity cannot be deleted yet; trying again");
                shared.back_off(&mut delay, bell);
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
        let of = self.partition_of(stream, key);
        let of = of.ok_or_else(|| ReadError::NotFound(format!("there is no stream '{stream}'")))?;
        let Some(erasure) = &self.ports().erasure else {
            let message = "one entity's data can be deleted from a data folder only; docs/operations.md says what to \
                           delete on servers";
            return Err(ReadError::Unsupported(message.to_owned()));
        };
        for follower in NEEDED {
            if !self.inner.shared.config.follows(follower) {
                let message = format!("the follower '{follower}' does not run here, so it is not known what to delete");
                return Err(ReadError::Unsupported(message));
            }
        }
        let (done, erased) = bounded(1);
        self.inner.waiting.begin(done, || erasure.begin(&of, key, author))?;
        if let Some(eraser) = &*self.inner.eraser.lock().unwrap_or_else(PoisonError::into_inner) {
            eraser.bell.ring();
        }
        let waited = erased.recv_timeout(PATIENCE);
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
                    let (stream, sha256, by) = (&*erasing.of.stream, &erasing.digest, &erasing.author);
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
                    self.inner.waiting.tell(erasing.id, erased);
                }
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }
}
