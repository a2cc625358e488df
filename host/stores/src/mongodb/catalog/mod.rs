//! The catalog: a log of commits, and what holds now in memory. Artifacts, submissions and the readable definitions
//! have collections of their own.

mod artifacts;
mod commits;
mod definitions;
mod now;
mod submissions;
mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use assay_core::names::Digest;
use assay_engine::ports::StoreError;
use assay_engine::ports::catalog::{Catalog, Change, CommitError, Kind, Revision, Snapshot, Submission};
use assay_engine::ports::log::Bell;

use super::database::Database;
use super::error::broken;
use artifacts::Artifacts;
use commits::Commits;
use definitions::Definitions;
use now::Now;
use submissions::Submissions;
use watch::Watch;

/// The catalog on MongoDB.
pub struct MongoCatalog {
    commits: Arc<Commits>,
    definitions: Definitions,
    artifacts: Artifacts,
    submissions: Arc<Submissions>,
    now: Mutex<Now>,
    watch: Watch,
}

impl MongoCatalog {
    pub(super) fn open(database: Arc<Database>) -> Result<Self, StoreError> {
        let commits = Arc::new(Commits::open(database.clone())?);
        let submissions = Arc::new(Submissions::open(database.clone())?);
        let catalog = Self {
            watch: Watch::new(database.clone(), commits.clone(), submissions.clone()),
            definitions: Definitions::new(database.clone()),
            artifacts: Artifacts::open(database)?,
            commits,
            submissions,
            now: Mutex::default(),
        };
        let mut now = catalog.now();
        catalog.refresh(&mut now)?;
        catalog.definitions.project(&now)?;
        drop(now);
        Ok(catalog)
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        // It changes by whole commits that are in the database already.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what others committed.
    fn refresh(&self, now: &mut Now) -> Result<(), StoreError> {
        let latest = self.commits.latest()?;
        if latest < now.version {
            return Err(broken(format!(
                "the catalog was at version {} and is at version {latest}: the database was replaced; start again to \
                 go on with what it holds now",
                now.version
            )));
        }
        while now.version < latest {
            let before = now.version;
            self.commits.after(before)?.into_iter().try_for_each(|commit| now.take_in(commit))?;
            if now.version == before {
                return Err(broken(format!("version {latest} of the catalog is there, but none after {before}")));
            }
        }
        Ok(())
    }

    /// The catalog as it was.
    fn at(&self, version: u64) -> Result<Snapshot, StoreError> {
        let mut then = Now::default();
        while then.version < version {
            let before = then.version;
            let commits = self.commits.after(before)?.into_iter();
            commits.take_while(|commit| commit.version <= version).try_for_each(|commit| then.take_in(commit))?;
            if then.version == before {
                return Err(broken(format!("version {version} of the catalog cannot be read: none is after {before}")));
            }
        }
        Ok(then.snapshot())
    }
}

impl Catalog for MongoCatalog {
    fn snapshot(&self, version: Option<u64>) -> Result<Snapshot, StoreError> {
        let mut now = self.now();
        if version.is_none_or(|version| version > now.version) {
            self.refresh(&mut now)?;
        }
        match version {
            None => Ok(now.snapshot()),
            Some(version) if version == now.version => Ok(now.snapshot()),
            Some(version) if version > now.version => {
                Err(broken(format!("the catalog is at version {}, so there is no version {version}", now.version)))
            }
            Some(version) => {
                drop(now);
                self.at(version)
            }
        }
    }

    fn commit(&self, expected: u64, changes: Vec<Change>, author: &str, at: i64) -> Result<Snapshot, CommitError> {
        let mut now = self.now();
        self.refresh(&mut now)?;
        if now.version != expected {
            return Err(CommitError::Conflict { expected, now: now.version });
        }
        let commit = now.revise(changes, author, at)?;
        if commit.revisions.is_empty() {
            return Ok(now.snapshot());
        }
        if !self.commits.add(&commit)? {
            self.refresh(&mut now)?;
            return Err(CommitError::Conflict { expected, now: now.version });
        }
        now.take_in(commit)?;
        // The commit is made; whoever commits or starts next makes up for this.
        if let Err(error) = self.definitions.project(&now) {
            tracing::warn!(%error, "the readable definitions are behind the catalog");
        }
        let snapshot = now.snapshot();
        drop(now);
        self.watch.ring();
        Ok(snapshot)
    }

    fn revisions(&self, kind: Kind, name: &str) -> Result<Vec<Revision>, StoreError> {
        self.commits.revisions(kind, name)
    }

    fn put_artifact(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        self.artifacts.put(bytes)
    }

    fn artifact(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.artifacts.get(digest)
    }

    fn on_change(&self, bell: Arc<Bell>) {
        let version = self.now().version;
        self.watch.add(bell, version);
    }

    fn version(&self) -> Result<u64, StoreError> {
        self.commits.latest()
    }

    fn take_submissions(&self) -> Result<Vec<Submission>, StoreError> {
        self.submissions.take()
    }

    fn answer_submission(&self, id: &str, outcome: Result<u32, Vec<String>>) -> Result<(), StoreError> {
        self.submissions.answer(id, outcome)
    }
}
