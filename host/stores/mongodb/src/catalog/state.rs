//! The present state of the catalog: the fold of all commits.

use std::collections::BTreeMap;

use assay_engine::ports::StoreError;
use assay_engine::ports::catalog::{Change, Kind, Revision, Snapshot};

use super::super::error::broken;
use super::commits::Commit;

/// The catalog at one version.
#[derive(Clone, Default)]
pub(super) struct CatalogState {
    pub(super) version: u64,
    /// The last revision of every definition, deletions included.
    pub(super) last: BTreeMap<(Kind, String), Revision>,
}

impl CatalogState {
    /// Applies the next commit.
    ///
    /// # Errors
    /// A commit is missing before it.
    pub(super) fn apply_commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        if commit.version != self.version + 1 {
            return Err(broken(format!(
                "the collection 'commits' has version {} behind version {}: what is between was deleted; restore it \
                 from a backup",
                commit.version, self.version
            )));
        }
        self.version = commit.version;
        let revisions = commit.revisions.into_iter();
        self.last.extend(revisions.map(|revision| ((revision.kind, revision.name.clone()), revision)));
        Ok(())
    }

    /// All definitions that are not deleted.
    pub(super) fn snapshot(&self) -> Snapshot {
        let revisions = self.last.values().filter(|revision| revision.body.is_some()).cloned().collect();
        Snapshot { version: self.version, revisions }
    }

    /// Makes the commit after this version from changes. Deletions of what does not exist are left out.
    ///
    /// # Errors
    /// Two changes are of the same definition.
    pub(super) fn revise(&self, changes: Vec<Change>, author: &str, at: i64) -> Result<Commit, StoreError> {
        let version = self.version + 1;
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
            let created_at_version =
                last.filter(|last| last.body.is_some()).map_or(version, |last| last.created_at_version);
            revisions.push(Revision {
                kind,
                name,
                revision,
                version,
                created_at_version,
                author: author.to_owned(),
                at,
                body,
            });
        }
        Ok(Commit { version, author: author.to_owned(), at, revisions })
    }
}
