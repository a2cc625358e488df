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
        let revisions = self.last.values().filter(|revision| revision.definition.is_some()).cloned().collect();
        Snapshot { version: self.version, revisions }
    }

    /// Makes the commit after this version from changes. Deletions of what does not exist are left out.
    ///
    /// # Errors
    /// Two changes are of the same definition.
    pub(super) fn revise(&self, changes: Vec<Change>, author: &str, at: i64) -> Result<Commit, StoreError> {
        let version = self.version + 1;
        let mut revisions: Vec<Revision> = Vec::with_capacity(changes.len());
        for change in changes {
            let (kind, name) = (change.kind, &change.name);
            if revisions.iter().any(|revision| change.is_of(revision.kind, &revision.name)) {
                return Err(broken(format!("one commit changes the {kind} '{name}' twice")));
            }
            let last = self.last.get(&(kind, name.clone()));
            if change.definition.is_none() && last.is_none_or(|last| last.definition.is_none()) {
                // There is nothing to delete.
                continue;
            }
            revisions.push(Revision::after(last, change, version, author, at));
        }
        Ok(Commit { version, author: author.to_owned(), at, revisions })
    }
}
