//! The catalog: one row per revision, a counter for the version, and artifacts by digest. What holds now is in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use assay_core::names::Digest;
use assay_engine::ports::StoreError;
use assay_engine::ports::catalog::{Catalog, Change, CommitError, Kind, Revision, Snapshot};
use assay_engine::ports::log::Bell;

use super::database::{Database, Durability};
use super::error::{broken, failed};
use super::keys;

/// The row that holds the version. Rows of revisions begin with a smaller byte.
const VERSION: &[u8] = b"\xffversion";

/// The catalog on the embedded database.
pub struct EmbeddedCatalog {
    database: Arc<Database>,
    now: Mutex<Now>,
    bells: Mutex<Vec<Arc<Bell>>>,
}

/// What holds now.
#[derive(Default)]
struct Now {
    version: u64,
    /// The last revision of everything, deletions included.
    last: BTreeMap<(Kind, String), Revision>,
}

impl Now {
    fn snapshot(&self) -> Snapshot {
        let revisions = self.last.values().filter(|revision| revision.body.is_some()).cloned().collect();
        Snapshot { version: self.version, revisions }
    }

    /// The new revisions that changes make.
    fn revise(&self, changes: Vec<Change>, author: &str, at: i64) -> Result<Vec<Revision>, StoreError> {
        let mut revisions: Vec<Revision> = Vec::with_capacity(changes.len());
        for Change { kind, name, body } in changes {
            if revisions.iter().any(|revision| revision.kind == kind && revision.name == name) {
                return Err(broken(format!("one commit changes the {kind} '{name}' twice")));
            }
            let last = self.last.get(&(kind, name.clone()));
            if body.is_none() && last.is_none_or(|last| last.body.is_none()) {
                // There is nothing to delete.
                continue;
            }
            let revision = last.map_or(1, |last| last.revision + 1);
            let version = self.version + 1;
            let born = last.filter(|last| last.body.is_some()).map_or(version, |last| last.born);
            revisions.push(Revision { kind, name, revision, version, born, author: author.to_owned(), at, body });
        }
        Ok(revisions)
    }
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
        let catalog = Self { database, now: Mutex::default(), bells: Mutex::default() };
        let last = catalog.last_through(version)?;
        *catalog.now() = Now { version, last };
        Ok(catalog)
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        // It changes by whole revisions that are on disk already.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last revision of everything as of a version, deletions included.
    fn last_through(&self, version: u64) -> Result<BTreeMap<(Kind, String), Revision>, StoreError> {
        let mut last = BTreeMap::new();
        // Rows come by kind, name and revision: a later one of the same name replaces the one before.
        for row in self.database.catalog.range(..VERSION) {
            let revision = decode(row)?;
            if revision.version <= version {
                last.insert((revision.kind, revision.name.clone()), revision);
            }
        }
        Ok(last)
    }

    fn bells(&self) -> MutexGuard<'_, Vec<Arc<Bell>>> {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Catalog for EmbeddedCatalog {
    fn snapshot(&self, version: Option<u64>) -> Result<Snapshot, StoreError> {
        let now = self.now();
        match version {
            None => Ok(now.snapshot()),
            Some(version) if version == now.version => Ok(now.snapshot()),
            Some(version) if version > now.version => {
                Err(broken(format!("the catalog is at version {}, so there is no version {version}", now.version)))
            }
            Some(version) => {
                drop(now);
                Ok(Now { version, last: self.last_through(version)? }.snapshot())
            }
        }
    }

    fn commit(&self, expected: u64, changes: Vec<Change>, author: &str, at: i64) -> Result<Snapshot, CommitError> {
        let mut now = self.now();
        if now.version != expected {
            return Err(CommitError::Conflict { expected, now: now.version });
        }
        let revisions = now.revise(changes, author, at)?;
        if revisions.is_empty() {
            return Ok(now.snapshot());
        }
        let version = now.version + 1;
        let mut batch = self.database.batch(revisions.len() + 1);
        for revision in &revisions {
            let json = serde_json::to_vec(revision).map_err(|error| {
                broken(format!("the {} '{}' has no JSON form: {error}", revision.kind, revision.name))
            })?;
            batch.insert(&self.database.catalog, row_key(revision.kind, &revision.name, revision.revision), json);
        }
        batch.insert(&self.database.catalog, VERSION, version.to_be_bytes());
        self.database.commit(batch, Durability::Power, format_args!("writing version {version} of the catalog"))?;
        now.version = version;
        now.last.extend(revisions.into_iter().map(|revision| ((revision.kind, revision.name.clone()), revision)));
        let snapshot = now.snapshot();
        drop(now);
        self.bells().iter().for_each(|bell| bell.ring());
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

    fn on_change(&self, bell: Arc<Bell>) {
        self.bells().push(bell);
    }

    fn version(&self) -> Result<u64, StoreError> {
        Ok(self.now().version)
    }
}

fn name_key(kind: Kind, name: &str) -> Vec<u8> {
    let mut key = vec![match kind {
        Kind::Stream => 0,
        Kind::View => 1,
        Kind::Rule => 2,
        Kind::Plugin => 3,
        Kind::Key => 4,
        Kind::Schema => 5,
    }];
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
