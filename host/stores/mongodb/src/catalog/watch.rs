//! The thread that notices changes: by change streams where the server has them, and by polling elsewhere.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::mongodb::bson::{Bson, doc};
use assay_engine::panics::{self, Heartbeat};
use assay_engine::ports::StoreError;
use assay_engine::ports::log::WakeSignal;
use futures_util::StreamExt as _;

use super::super::database::Database;
use super::commits::{COMMITS, Commits};
use super::submissions::{SUBMISSIONS, Submissions};

/// The interval of polling without change streams.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The time after which change streams are tried again: the server may have become a replica set, or be back.
const STREAM_RETRY_INTERVAL: Duration = Duration::from_secs(60);
/// The longest wait for a change stream before the thread polls anyway.
const STREAM_TIMEOUT: Duration = Duration::from_millis(500);

/// Notifies subscribers when something is committed or submitted. Its thread starts with the first subscriber and ends
/// when this is dropped.
pub(super) struct CatalogWatch {
    source: Arc<ChangeSource>,
    signals: Arc<ChangeSignals>,
}

#[derive(Default)]
struct ChangeSignals {
    all: Mutex<Vec<Arc<WakeSignal>>>,
    is_closed: AtomicBool,
    /// Wakes the thread when the watch is dropped.
    wake: WakeSignal,
}

impl ChangeSignals {
    fn notify(&self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|wake| wake.notify());
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }
}

/// The collections in which the thread looks for changes.
struct ChangeSource {
    database: Arc<Database>,
    commits: Arc<Commits>,
    submissions: Arc<Submissions>,
}

/// The state at the last poll.
struct SeenState {
    version: u64,
    /// The newest submission that no process has claimed.
    unclaimed: Option<Bson>,
}

impl CatalogWatch {
    pub(super) fn new(database: Arc<Database>, commits: Arc<Commits>, submissions: Arc<Submissions>) -> Self {
        Self { source: Arc::new(ChangeSource { database, commits, submissions }), signals: Arc::default() }
    }

    /// Adds a signal. It is notified once the catalog is at another version than `version`, and after each change.
    pub(super) fn subscribe(&self, wake: Arc<WakeSignal>, version: u64) {
        let mut all = self.signals.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(wake);
        if all.len() > 1 {
            return;
        }
        let (source, signals) = (self.source.clone(), self.signals.clone());
        let (mut seen, closing) = (SeenState { version, unclaimed: None }, signals.clone());
        let watch = move |heartbeat: &Heartbeat| source.watch(&signals, &mut seen, heartbeat);
        let started = panics::spawn("catalog-watch", move || closing.is_closed(), watch);
        if let Err(error) = started {
            tracing::error!(%error, "the catalog's watcher does not start: others' changes are seen later");
        }
    }

    /// Notifies all subscribers: this process changed something.
    pub(super) fn notify(&self) {
        self.signals.notify();
    }
}

impl Drop for CatalogWatch {
    fn drop(&mut self) {
        self.signals.is_closed.store(true, Ordering::Release);
        self.signals.wake.notify();
    }
}

impl ChangeSource {
    fn watch(&self, signals: &ChangeSignals, seen: &mut SeenState, heartbeat: &Heartbeat) {
        while !signals.is_closed() {
            if let Err(error) = self.follow_change_stream(signals, seen) {
                tracing::debug!(%error, "there is no change stream; asking for changes instead");
            }
            let until = Instant::now() + STREAM_RETRY_INTERVAL;
            while !signals.is_closed() && Instant::now() < until {
                // Callers that need the server report its failures. The change is seen once it answers again.
                if self.poll_changes(seen).unwrap_or(false) {
                    signals.notify();
                }
                heartbeat.mark_alive();
                signals.wake.wait(POLL_INTERVAL);
            }
        }
    }

    /// Returns whether something changed since the last poll.
    fn poll_changes(&self, seen: &mut SeenState) -> Result<bool, StoreError> {
        let version = self.commits.latest()?;
        let unclaimed = self.submissions.find_newest_unclaimed()?;
        let is_new = version != seen.version || (unclaimed.is_some() && unclaimed != seen.unclaimed);
        *seen = SeenState { version, unclaimed };
        Ok(is_new)
    }

    /// Notifies subscribers whenever a change stream reports something. Returns when a stream ends.
    fn follow_change_stream(&self, signals: &ChangeSignals, seen: &mut SeenState) -> Result<(), StoreError> {
        let doing = "watching for changes";
        // Claims and answers update only the status of a submission; they wake nobody.
        let submitted = doc! { "$match": { "$or": [
            { "operationType": { "$in": ["insert", "replace"] } },
            { "operationType": "update", "updateDescription.updatedFields.status": { "$exists": false } },
        ] } };
        let commits = self.database.collection(COMMITS);
        let submissions = self.database.collection(SUBMISSIONS);
        let commits = self.database.call(doing, commits.watch())?;
        let submissions = self.database.call(doing, submissions.watch().pipeline([submitted]))?;
        let mut changes = futures_util::stream::select(commits, submissions);
        // A change between the last poll and the opening of the streams is in neither.
        if self.poll_changes(seen)? {
            signals.notify();
        }
        while !signals.is_closed() {
            let next = async { Ok(tokio::time::timeout(STREAM_TIMEOUT, changes.next()).await) };
            match self.database.call(doing, next)? {
                Ok(Some(Ok(_))) => {
                    signals.notify();
                    // Keeps `seen` current, so that polling after the end of a stream does not notify again.
                    self.poll_changes(seen)?;
                }
                Ok(Some(Err(error))) => return Err(self.database.failed(doing, &error)),
                Ok(None) => return Ok(()),
                // The streams are only for speed: this poll finds every change that they miss.
                Err(_) if self.poll_changes(seen)? => signals.notify(),
                Err(_) => {}
            }
        }
        Ok(())
    }
}
