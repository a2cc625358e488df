//! The catalog: one row per revision, a row for the version, and artifacts by digest. The present state is also in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use assay_core::names::Digest;
use assay_engine::ports::StoreError;
use assay_engine::ports::catalog::{Catalog, CatalogState, Change, CommitError, Kind, Revision, Snapshot};
use assay_engine::ports::log::WakeSignal;

use super::database::{Database, Durability};
use super::error::{broken, failed};
use super::keys;

/// The key of the version. Keys of revisions begin with a smaller byte.
const VERSION: &[u8] = b"\xffversion";

/// The catalog on the embedded database.
pub(super) struct EmbeddedCatalog {
    database: Arc<Database>,
    state: Mutex<CatalogState>,
    signals: Mutex<Vec<Arc<WakeSignal>>>,
}

impl EmbeddedCatalog {
    pub(super) fn open(database: Arc<Database>) -> Result<Self, StoreError> {
        let version = database.get(&database.catalog, VERSION, "reading the catalog's version")?;
        let version = match version {
            None => 0,
            Some(bytes) => u64::from_be_bytes(
                <[u8; 8]>::try_from(&*bytes).map_err(|_| broken("the catalog's version is not a number".to_owned()))?,
            ),
        };
        let catalog = Self { database, state: Mutex::default(), signals: Mutex::default() };
        let state = catalog.read_state(version)?;
        *catalog.state() = state;
        Ok(catalog)
    }

    fn state(&self) -> MutexGuard<'_, CatalogState> {
        // A poisoned lock is safe: the state changes after its batch is committed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the catalog as it was at a version.
    fn read_state(&self, version: u64) -> Result<CatalogState, StoreError> {
        let mut revisions = Vec::new();
        // Rows are ordered by kind, name and revision, so the last one of a definition counts.
        for row in self.database.catalog.range(..VERSION) {
            let revision = decode(row)?;
            if revision.version <= version {
                revisions.push(revision);
            }
        }
        let mut state = CatalogState::default();
        state.advance(version, revisions);
        Ok(state)
    }

    fn signals(&self) -> MutexGuard<'_, Vec<Arc<WakeSignal>>> {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Catalog for EmbeddedCatalog {
    fn snapshot(&self, version: Option<u64>) -> Result<Snapshot, StoreError> {
        let state = self.state();
        match version {
            None => Ok(state.snapshot()),
            Some(version) if version == state.version() => Ok(state.snapshot()),
            Some(version) if version > state.version() => {
                Err(broken(format!("the catalog is at version {}, so there is no version {version}", state.version())))
            }
            Some(version) => {
                drop(state);
                Ok(self.read_state(version)?.snapshot())
            }
        }
    }

    fn commit(&self, expected: u64, changes: Vec<Change>, author: &str, at: i64) -> Result<Snapshot, CommitError> {
        let mut state = self.state();
        if state.version() != expected {
            return Err(CommitError::Conflict { expected, now: state.version() });
        }
        let revisions = state.revise(changes, author, at).map_err(|error| broken(error.to_string()))?;
        if revisions.is_empty() {
            return Ok(state.snapshot());
        }
        let version = state.version() + 1;
        let mut batch = self.database.batch(revisions.len() + 1);
        for revision in &revisions {
            let json = serde_json::to_vec(revision).map_err(|error| {
                broken(format!("the {} '{}' has no JSON form: {error}", revision.kind, revision.name))
            })?;
            batch.insert(&self.database.catalog, row_key(revision.kind, &revision.name, revision.revision), json);
        }
        batch.insert(&self.database.catalog, VERSION, version.to_be_bytes());
        self.database.commit(batch, Durability::Power, format_args!("writing version {version} of the catalog"))?;
        state.advance(version, revisions);
        let snapshot = state.snapshot();
        drop(state);
        self.signals().iter().for_each(|wake| wake.notify());
        Ok(snapshot)
    }

    fn revisions(&self, kind: Kind, name: &str) -> Result<Vec<Revision>, StoreError> {
        self.database.catalog.prefix(name_key(kind, name)).rev().map(decode).collect()
    }

    fn put_artifact(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        let doing = format_args!("keeping the artifact {digest}");
        let have = self.database.artifacts.contains_key(digest.0).map_err(|error| failed(doing, &error))?;
        if !have {
            let mut batch = self.database.batch(1);
            batch.insert(&self.database.artifacts, digest.0, bytes);
            self.database.commit(batch, Durability::Power, doing)?;
        }
        Ok(digest)
    }

    fn artifact(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let doing = format_args!("reading the artifact {digest}");
        let Some(bytes) = self.database.get(&self.database.artifacts, &digest.0, doing)? else {
            return Ok(None);
        };
        if Digest::of(&bytes) != *digest {
            return Err(broken(format!("{doing}: the bytes that are there have another digest: they are damaged")));
        }
        Ok(Some(bytes.to_vec()))
    }

    fn on_change(&self, wake: Arc<WakeSignal>) {
        self.signals().push(wake);
    }

    fn version(&self) -> Result<u64, StoreError> {
        Ok(self.state().version())
    }
}

fn name_key(kind: Kind, name: &str) -> Vec<u8> {
    let mut key = vec![kind.properties().number];
    keys::push_text(&mut key, name);
    key
}

fn row_key(kind: Kind, name: &str, revision: u32) -> Vec<u8> {
    let mut key = name_key(kind, name);
    key.extend_from_slice(&revision.to_be_bytes());
    key
}

fn decode(row: fjall::Guard) -> Result<Revision, StoreError> {
    let value = row.value().map_err(|error| failed("reading the catalog", &error))?;
    serde_json::from_slice(&value).map_err(|error| broken(format!("a revision in the catalog cannot be read: {error}")))
}
