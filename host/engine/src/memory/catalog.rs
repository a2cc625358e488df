//! The catalog port: every revision in the order of commits, and artifacts by digest.

use std::collections::BTreeMap;
use std::sync::Arc;

use assay_core::names::Digest;

use super::client::{Client, Port};
use super::world::Write;
use crate::ports::StoreError;
use crate::ports::catalog::{Catalog, Change, CommitError, Kind, Revision, Snapshot};
use crate::ports::log::WakeSignal;

/// All definitions and artifacts.
#[derive(Clone, Default)]
pub(super) struct CatalogTable {
    version: u64,
    revisions: Vec<Revision>,
    artifacts: BTreeMap<Digest, Vec<u8>>,
}

impl CatalogTable {
    fn snapshot(&self, version: u64) -> Result<Snapshot, StoreError> {
        if version > self.version {
            let message = format!("it is at version {}, so there is no version {version}", self.version);
            return Err(Port::Catalog.broken(message));
        }
        let mut last: BTreeMap<(Kind, &str), &Revision> = BTreeMap::new();
        for revision in self.revisions.iter().take_while(|revision| revision.version <= version) {
            last.insert((revision.kind, &revision.name), revision);
        }
        let revisions = last.into_values().filter(|revision| revision.body.is_some()).cloned().collect();
        Ok(Snapshot { version, revisions })
    }

    /// All or nothing: a change that is refused refuses those beside it.
    fn commit(&mut self, expected: u64, changes: &[Change], author: &str, at: i64) -> Result<Snapshot, CommitError> {
        if self.version != expected {
            return Err(CommitError::Conflict { expected, now: self.version });
        }
        let mut new = Vec::new();
        for (index, Change { kind, name, body }) in changes.iter().enumerate() {
            if changes[..index].iter().any(|other| other.kind == *kind && other.name == *name) {
                return Err(Port::Catalog.broken(format!("one commit changes the {kind} '{name}' twice")).into());
            }
            let last = self.revisions.iter().rfind(|last| last.kind == *kind && last.name == *name);
            let lives = last.filter(|last| last.body.is_some());
            if body.is_none() && lives.is_none() {
                continue;
            }
            let version = expected + 1;
            new.push(Revision {
                kind: *kind,
                name: name.clone(),
                revision: last.map_or(1, |last| last.revision + 1),
                version,
                created_at_version: lives.map_or(version, |last| last.created_at_version),
                author: author.to_owned(),
                at,
                body: body.clone(),
            });
        }
        if !new.is_empty() {
            self.version += 1;
            self.revisions.extend(new);
        }
        Ok(self.snapshot(self.version)?)
    }
}

impl Catalog for Client {
    fn snapshot(&self, version: Option<u64>) -> Result<Snapshot, StoreError> {
        self.query(Port::Catalog, |tables| tables.catalog.snapshot(version.unwrap_or(tables.catalog.version)))
    }

    fn commit(&self, expected: u64, changes: Vec<Change>, author: &str, at: i64) -> Result<Snapshot, CommitError> {
        let author = author.to_owned();
        let write = Write::<_, CommitError>::new(Port::Catalog, move |tables, _| {
            tables.catalog.commit(expected, &changes, &author, at)
        });
        self.execute(Write { changes_catalog: true, ..write.synced() })
    }

    fn revisions(&self, kind: Kind, name: &str) -> Result<Vec<Revision>, StoreError> {
        self.query(Port::Catalog, |tables| {
            let all = tables.catalog.revisions.iter().rev();
            Ok(all.filter(|revision| revision.kind == kind && revision.name == name).cloned().collect())
        })
    }

    fn put_artifact(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let bytes = bytes.to_vec();
        let write = Write::new(Port::Catalog, move |tables, _| {
            let digest = Digest::of(&bytes);
            tables.catalog.artifacts.insert(digest, bytes.clone());
            Ok(digest)
        });
        self.execute(write.synced())
    }

    fn artifact(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.query(Port::Catalog, |tables| Ok(tables.catalog.artifacts.get(digest).cloned()))
    }

    fn on_change(&self, signal: Arc<WakeSignal>) {
        self.world.lock().signals.subscribe(self.process, None, signal);
    }

    fn version(&self) -> Result<u64, StoreError> {
        self.query(Port::Catalog, |tables| Ok(tables.catalog.version))
    }
}
