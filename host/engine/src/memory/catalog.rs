//! The catalog port: every revision in the order of commits, and artifacts by digest.

use std::collections::BTreeMap;
use std::sync::Arc;

use assay_core::names::Digest;

use super::client::{Client, Port};
use super::world::Write;
use crate::ports::StoreError;
use crate::ports::catalog::{Catalog, CatalogState, Change, CommitError, Kind, Revision, Snapshot};
use crate::ports::log::WakeSignal;

/// All definitions and artifacts.
#[derive(Clone, Default)]
pub(super) struct CatalogTable {
    now: CatalogState,
    /// In the order of commits.
    revisions: Vec<Revision>,
    artifacts: BTreeMap<Digest, Vec<u8>>,
}

impl CatalogTable {
    fn snapshot(&self, version: u64) -> Result<Snapshot, StoreError> {
        let now = self.now.version();
        if version > now {
            let message = format!("it is at version {now}, so there is no version {version}");
            return Err(Port::Catalog.broken(message));
        }
        let mut then = CatalogState::default();
        then.advance(version, self.revisions.iter().take_while(|revision| revision.version <= version).cloned());
        Ok(then.snapshot())
    }

    /// All or nothing: a change that is refused refuses those beside it.
    fn commit(&mut self, expected: u64, changes: &[Change], author: &str, at: i64) -> Result<Snapshot, CommitError> {
        let now = self.now.version();
        if now != expected {
            return Err(CommitError::Conflict { expected, now });
        }
        let revised = self.now.revise(changes.to_vec(), author, at);
        let revisions = revised.map_err(|duplicate| Port::Catalog.broken(duplicate.to_string()))?;
        if !revisions.is_empty() {
            self.now.advance(now + 1, revisions.iter().cloned());
            self.revisions.extend(revisions);
        }
        Ok(self.now.snapshot())
    }
}

impl Catalog for Client {
    fn snapshot(&self, version: Option<u64>) -> Result<Snapshot, StoreError> {
        self.query(Port::Catalog, |tables| tables.catalog.snapshot(version.unwrap_or(tables.catalog.now.version())))
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
        self.query(Port::Catalog, |tables| Ok(tables.catalog.now.version()))
    }
}
