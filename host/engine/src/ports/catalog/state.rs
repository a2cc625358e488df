//! The fold of all commits up to one version, for stores that keep the present state in memory.

use std::collections::BTreeMap;

use super::{Change, Kind, Revision, Snapshot};

/// The catalog at one version.
#[derive(Clone, Debug, Default)]
pub struct CatalogState {
    version: u64,
    /// The last revision of every definition, deletions included: revision numbers go on after a deletion.
    last: BTreeMap<(Kind, String), Revision>,
}

/// Two changes of one commit are about the same definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("one commit changes the {kind} '{name}' twice")]
pub struct DuplicateChange {
    /// The definition's kind.
    pub kind: Kind,
    /// The definition's name.
    pub name: String,
}

impl CatalogState {
    /// The version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The last revision of every definition, deletions included, by kind and name.
    pub fn revisions(&self) -> impl Iterator<Item = &Revision> {
        self.last.values()
    }

    /// All definitions that are not deleted.
    pub fn snapshot(&self) -> Snapshot {
        let revisions = self.revisions().filter(|revision| revision.definition.is_some()).cloned().collect();
        Snapshot { version: self.version, revisions }
    }

    /// The revisions that changes make as the next version. Deletions of definitions that do not exist are left out.
    ///
    /// # Errors
    /// Two changes are about the same definition.
    pub fn revise(&self, changes: Vec<Change>, author: &str, at: i64) -> Result<Vec<Revision>, DuplicateChange> {
        let mut revisions: Vec<Revision> = Vec::with_capacity(changes.len());
        for change in changes {
            if revisions.iter().any(|revision| change.is_of(revision.kind, &revision.name)) {
                return Err(DuplicateChange { kind: change.kind, name: change.name });
            }
            let last = self.last.get(&(change.kind, change.name.clone()));
            if change.definition.is_none() && last.is_none_or(|last| last.definition.is_none()) {
                continue;
            }
            revisions.push(Revision::after(last, change, self.version + 1, author, at));
        }
        Ok(revisions)
    }

    /// Moves on to a version. Of several revisions of one definition the last one counts.
    pub fn advance(&mut self, version: u64, revisions: impl IntoIterator<Item = Revision>) {
        self.version = version;
        let revisions = revisions.into_iter();
        self.last.extend(revisions.map(|revision| ((revision.kind, revision.name.clone()), revision)));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn commit(state: &mut CatalogState, changes: Vec<Change>) -> Vec<(u32, u64)> {
        let revisions = state.revise(changes, "ann", 1).unwrap();
        let numbers = revisions.iter().map(|revision| (revision.revision, revision.created_at_version)).collect();
        state.advance(state.version() + 1, revisions);
        numbers
    }

    fn rule(name: &str, score: &str) -> Change {
        Change::from_json(Kind::Rule, name, json!({ "rule": name, "stream": "s", "score": score }))
    }

    #[test]
    fn numbers_go_on_after_a_deletion_and_the_lifetime_begins_anew() {
        let mut state = CatalogState::default();
        assert_eq!(commit(&mut state, vec![rule("a", "1.0")]), [(1, 1)]);
        assert_eq!(commit(&mut state, vec![rule("a", "2.0"), rule("b", "1.0")]), [(2, 1), (1, 2)]);
        let deleted = Change::delete(Kind::Rule, "a");
        assert_eq!(commit(&mut state, vec![deleted.clone()]).len(), 1);
        assert_eq!(state.snapshot().revisions.len(), 1);
        assert!(state.revise(vec![deleted], "ann", 1).unwrap().is_empty());
        assert_eq!(commit(&mut state, vec![rule("a", "3.0")]), [(4, 4)]);
    }

    #[test]
    fn one_commit_changes_a_definition_once() {
        let refused = CatalogState::default().revise(vec![rule("a", "1.0"), rule("a", "2.0")], "ann", 1).unwrap_err();
        assert_eq!(refused.to_string(), "one commit changes the rule 'a' twice");
    }
}
