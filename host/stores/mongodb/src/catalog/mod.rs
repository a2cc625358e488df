//! The catalog: a log of commits in the database, and the present definitions in memory. Artifacts, submissions and the
//! projection for readers have collections of their own.

mod artifacts;
mod commits;
mod definitions;
mod submissions;
mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use assay_core::names::Digest;
use assay_engine::ports::StoreError;
use assay_engine::ports::catalog::{Catalog, CatalogState, Change, CommitError, Kind, Revision, Snapshot, Submission};
use assay_engine::ports::log::WakeSignal;

use super::database::Database;
use super::error::broken;
use artifacts::Artifacts;
use commits::{Commit, Commits};
use definitions::Definitions;
use submissions::Submissions;
use watch::CatalogWatch;

/// The catalog on MongoDB.
pub struct MongoCatalog {
    commits: Arc<Commits>,
    definitions: Definitions,
    artifacts: Artifacts,
    submissions: Arc<Submissions>,
    state: Mutex<CatalogState>,
    watch: CatalogWatch,
}

impl MongoCatalog {
    pub(super) fn open(database: Arc<Database>) -> Result<Self, StoreError> {
        let commits = Arc::new(Commits::open(database.clone())?);
        let submissions = Arc::new(Submissions::open(database.clone())?);
        let catalog = Self {
            watch: CatalogWatch::new(database.clone(), commits.clone(), submissions.clone()),
            definitions: Definitions::new(database.clone()),
            artifacts: Artifacts::open(database)?,
            commits,
            submissions,
            state: Mutex::default(),
        };
        let mut state = catalog.state();
        catalog.refresh(&mut state)?;
        catalog.definitions.project(&state)?;
        drop(state);
        Ok(catalog)
    }

    fn state(&self) -> MutexGuard<'_, CatalogState> {
        // A poisoned lock is safe: the state changes by whole commits, after each is in the database.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies the commits of other processes.
    ///
    /// # Errors
    /// The store fails, or its latest version is older than the one in memory: the database was replaced.
    fn refresh(&self, state: &mut CatalogState) -> Result<(), StoreError> {
        let latest = self.commits.latest()?;
        if latest < state.version() {
            return Err(broken(format!(
                "the catalog was at version {} and is at version {latest}: the database was replaced; start again to \
                 go on with what it holds now",
                state.version()
            )));
        }
        while state.version() < latest {
            let before = state.version();
            self.commits.read_after(before)?.into_iter().try_for_each(|commit| apply_commit(state, commit))?;
            if state.version() == before {
                return Err(broken(format!("version {latest} of the catalog is there, but none after {before}")));
            }
        }
        Ok(())
    }

    /// Rebuilds the catalog of an older version from the commits.
    fn read_version(&self, version: u64) -> Result<Snapshot, StoreError> {
        let mut state = CatalogState::default();
        while state.version() < version {
            let before = state.version();
            let commits = self.commits.read_after(before)?.into_iter();
            commits
                .take_while(|commit| commit.version <= version)
                .try_for_each(|commit| apply_commit(&mut state, commit))?;
            if state.version() == before {
                return Err(broken(format!("version {version} of the catalog cannot be read: none is after {before}")));
            }
        }
        Ok(state.snapshot())
    }
}

/// Applies the next commit.
///
/// # Errors
/// A commit is missing before it.
fn apply_commit(state: &mut CatalogState, commit: Commit) -> Result<(), StoreError> {
    if commit.version != state.version() + 1 {
        return Err(broken(format!(
            "the collection 'commits' has version {} behind version {}: what is between was deleted; restore it from a \
             backup",
            commit.version,
            state.version()
        )));
    }
    state.advance(commit.version, commit.revisions);
    Ok(())
}

impl Catalog for MongoCatalog {
    fn snapshot(&self, version: Option<u64>) -> Result<Snapshot, StoreError> {
        let mut state = self.state();
        if version.is_none_or(|version| version > state.version()) {
            self.refresh(&mut state)?;
        }
        match version {
            None => Ok(state.snapshot()),
            Some(version) if version == state.version() => Ok(state.snapshot()),
            Some(version) if version > state.version() => {
                Err(broken(format!("the catalog is at version {}, so there is no version {version}", state.version())))
            }
            Some(version) => {
                drop(state);
                self.read_version(version)
            }
        }
    }

    fn commit(&self, expected: u64, changes: Vec<Change>, author: &str, at: i64) -> Result<Snapshot, CommitError> {
        let mut state = self.state();
        self.refresh(&mut state)?;
        if state.version() != expected {
            return Err(CommitError::Conflict { expected, now: state.version() });
        }
        let revisions = state.revise(changes, author, at).map_err(|error| broken(error.to_string()))?;
        if revisions.is_empty() {
            return Ok(state.snapshot());
        }
        let commit = Commit { version: state.version() + 1, author: author.to_owned(), at, revisions };
        if !self.commits.add(&commit)? {
            self.refresh(&mut state)?;
            return Err(CommitError::Conflict { expected, now: state.version() });
        }
        apply_commit(&mut state, commit)?;
        // The commit is durable, so a failure here is not one of the commit. The next commit or start projects again.
        if let Err(error) = self.definitions.project(&state) {
            tracing::warn!(%error, "the readable definitions are behind the catalog");
        }
        let snapshot = state.snapshot();
        drop(state);
        self.watch.notify();
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

    fn on_change(&self, wake: Arc<WakeSignal>) {
        let version = self.state().version();
        self.watch.subscribe(wake, version);
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
