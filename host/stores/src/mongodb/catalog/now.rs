//! What holds now: the fold of all commits.

use std::collections::BTreeMap;

use assay_engine::ports::StoreError;
use assay_engine::ports::catalog::{Change, Kind, Revision, Snapshot};

use super::super::error::broken;
use super::commits::Commit;

/// The catalog at one version.
#[derive(Clone, Default)]
pub(super) struct Now {
    pub(super) version: u64,
    /// The last revision of everything, deletions included.
    pub(super) last: BTreeMap<(Kind, String), Revision>,
}

impl Now {
    /// Takes in the next commit.
    pub(super) fn take_in(&mut self, commit: Commit) -> Result<(), StoreError> {
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

    /// What is defined.
    pub(super) fn snapshot(&self) -> Snapshot {
        let revisions = self.last.values().filter(|revision| revision.body.is_some()).cloned().collect();
        Snapshot { version: self.version, revisions }
    }

    /// The new revisions that changes make, as the commit after this version.
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
            let born = last.filter(|last| last.body.is_some()).map_or(version, |last| last.born);
            revisions.push(Revision { kind, name, revision, version, born, author: author.to_owned(), at, body });
        }
        Ok(Commit { version, author: author.to_owned(), at, revisions })
    }
}
