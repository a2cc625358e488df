//! The thread that rings the bells: at once by change streams where the server has them, and by asking, for the rest.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::mongodb::bson::{Bson, doc};
use assay_engine::panics::{self, Heartbeat};
use assay_engine::ports::StoreError;
use assay_engine::ports::log::Bell;
use futures_util::StreamExt as _;

use super::super::database::Database;
use super::commits::{COMMITS, Commits};
use super::submissions::{SUBMISSIONS, Submissions};

/// How often to ask.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// After so long, a server that had no change streams is tried again: it may have become a replica set.
const TRY_STREAM_EVERY: Duration = Duration::from_secs(60);
/// How long to wait for a change stream before looking for oneself.
const PATIENCE: Duration = Duration::from_millis(500);

/// Rings bells when something is committed or submitted. Its thread begins with the first bell and ends when this is
/// dropped.
pub(super) struct Watch {
    eyes: Arc<Eyes>,
    bells: Arc<Bells>,
}

#[derive(Default)]
struct Bells {
    all: Mutex<Vec<Arc<Bell>>>,
    is_over: AtomicBool,
    /// Wakes the thread.
    wake: Bell,
}

impl Bells {
    fn ring(&self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|bell| bell.ring());
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }
}

/// What the thread looks at.
struct Eyes {
    database: Arc<Database>,
    commits: Arc<Commits>,
    submissions: Arc<Submissions>,
}

/// What it saw.
struct Seen {
    version: u64,
    /// The newest submission that nobody has taken.
    waiting: Option<Bson>,
}

impl Watch {
    pub(super) fn new(database: Arc<Database>, commits: Arc<Commits>, submissions: Arc<Submissions>) -> Self {
        Self { eyes: Arc::new(Eyes { database, commits, submissions }), bells: Arc::default() }
    }

    /// Adds a bell, which rings when the catalog is at another version than this one.
    pub(super) fn add(&self, bell: Arc<Bell>, version: u64) {
        let mut all = self.bells.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(bell);
        if all.len() > 1 {
            return;
        }
        let (eyes, bells) = (self.eyes.clone(), self.bells.clone());
        let (mut seen, over) = (Seen { version, waiting: None }, bells.clone());
        let watch = move |heartbeat: &Heartbeat| eyes.watch(&bells, &mut seen, heartbeat);
        let started = panics::spawn("catalog-watch", move || over.is_over(), watch);
        if let Err(error) = started {
            tracing::error!(%error, "the catalog's watcher does not start: others' changes are seen later");
        }
    }

    /// Rings all bells: this process changed something.
    pub(super) fn ring(&self) {
        self.bells.ring();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.bells.is_over.store(true, Ordering::Release);
        self.bells.wake.ring();
    }
}

impl Eyes {
    fn watch(&self, bells: &Bells, seen: &mut Seen, heartbeat: &Heartbeat) {
        while !bells.is_over() {
            if let Err(error) = self.follow(bells, seen) {
                tracing::debug!(%error, "there is no change stream; asking for changes instead");
            }
            let until = Instant::now() + TRY_STREAM_EVERY;
            while !bells.is_over() && Instant::now() < until {
                // A server that does not answer is for those to report who need it; a change is seen afterwards.
                if self.look(seen).unwrap_or(false) {
                    bells.ring();
                }
                heartbeat.beat();
                bells.wake.wait(ASK_EVERY);
            }
        }
    }

    /// Whether there is something new. What was seen before does not count again.
    fn look(&self, seen: &mut Seen) -> Result<bool, StoreError> {
        let version = self.commits.latest()?;
        let waiting = self.submissions.newest_waiting()?;
        let is_new = version != seen.version || (waiting.is_some() && waiting != seen.waiting);
        *seen = Seen { version, waiting };
        Ok(is_new)
    }

    /// Rings whenever a change stream tells of something. Returns when it ends.
    fn follow(&self, bells: &Bells, seen: &mut Seen) -> Result<(), StoreError> {
        let doing = "watching for changes";
        // Answers to submissions are no news.
        let put_there = doc! { "$match": { "$or": [
            { "operationType": { "$in": ["insert", "replace"] } },
            { "operationType": "update", "updateDescription.updatedFields.status": { "$exists": false } },
        ] } };
        let commits = self.database.collection(COMMITS);
        let submissions = self.database.collection(SUBMISSIONS);
        let commits = self.database.call(doing, commits.watch())?;
        let submissions = self.database.call(doing, submissions.watch().pipeline([put_there]))?;
        let mut news = futures_util::stream::select(commits, submissions);
        // What came before the streams were open.
        if self.look(seen)? {
            bells.ring();
        }
        while !bells.is_over() {
            let next = async { Ok(tokio::time::timeout(PATIENCE, news.next()).await) };
            match self.database.call(doing, next)? {
                Ok(Some(Ok(_))) => {
                    bells.ring();
                    // What is asked for later, should a stream end, is compared with this.
                    self.look(seen)?;
                }
                Ok(Some(Err(error))) => return Err(self.database.failed(doing, &error)),
                Ok(None) => return Ok(()),
                // Streams make it fast; that nothing is missed does not depend on them.
                Err(_) if self.look(seen)? => bells.ring(),
                Err(_) => {}
            }
        }
        Ok(())
    }
}
