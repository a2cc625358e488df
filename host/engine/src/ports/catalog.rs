//! The catalog port: named definitions with all their revisions, and artifacts by digest.
//!
//! Stores write definitions as JSON and read them typed; `plan` gives them their meaning.

mod state;

use std::sync::Arc;

use assay_core::names::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::StoreError;
use super::log::WakeSignal;
use crate::definition::DefinitionType;
pub use crate::definition::{Definition, Kind};
pub use state::{CatalogState, DuplicateChange};

/// One revision of one definition. Nothing is ever overwritten: a change is a new revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "StoredRevision")]
pub struct Revision {
    /// What it defines.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Counted from 1 per kind and name.
    pub revision: u32,
    /// The catalog's version since which it holds.
    pub version: u64,
    /// The version since which there is a definition of this name without a break: a deletion ends it.
    #[serde(rename = "born")]
    pub created_at_version: u64,
    /// Who made it: the name of an API key.
    pub author: String,
    /// When, ms since 1970.
    pub at: i64,
    /// The definition; none: it was deleted.
    #[serde(rename = "body")]
    pub definition: Option<Definition>,
}

/// A revision as stores have it: its kind tells how its body is read.
#[derive(Deserialize)]
struct StoredRevision {
    kind: Kind,
    name: String,
    revision: u32,
    version: u64,
    #[serde(rename = "born")]
    created_at_version: u64,
    author: String,
    at: i64,
    body: Option<Value>,
}

impl From<StoredRevision> for Revision {
    fn from(stored: StoredRevision) -> Self {
        let StoredRevision { kind, name, revision, version, created_at_version, author, at, body } = stored;
        let definition = body.map(|body| Definition::from_json(kind, body));
        Self { kind, name, revision, version, created_at_version, author, at, definition }
    }
}

/// The reason why a revision has no definition of a type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDefinition {
    /// The revision deleted it.
    #[error("it was deleted")]
    Deleted,
    /// The stored definition cannot be read.
    #[error("{0}")]
    Damaged(String),
    /// It is of another kind.
    #[error("expected a {expected}, got a {actual}")]
    OtherKind {
        /// The kind that was asked for.
        expected: Kind,
        /// Its kind.
        actual: Kind,
    },
}

impl Revision {
    /// The revision that a change makes, after the last one of its kind and name, if there was one.
    pub fn after(last: Option<&Self>, change: Change, version: u64, author: &str, at: i64) -> Self {
        let Change { kind, name, definition } = change;
        let living = last.filter(|last| last.definition.is_some());
        Self {
            kind,
            name,
            revision: last.map_or(1, |last| last.revision + 1),
            version,
            created_at_version: living.map_or(version, |last| last.created_at_version),
            author: author.to_owned(),
            at,
            definition,
        }
    }

    /// Its definition.
    ///
    /// # Errors
    /// It has none of this type.
    pub fn read<T: DefinitionType>(&self) -> Result<&T, NoDefinition> {
        match &self.definition {
            None => Err(NoDefinition::Deleted),
            Some(Definition::Damaged(damaged)) => Err(NoDefinition::Damaged(damaged.error.clone())),
            Some(definition) => T::from_definition(definition)
                .ok_or_else(|| NoDefinition::OtherKind { expected: T::KIND, actual: definition.kind() }),
        }
    }
}

/// A wish to change one definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What it defines.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The new definition; none: delete it.
    pub definition: Option<Definition>,
}

impl Change {
    /// Creates or replaces a definition.
    pub fn set(name: impl Into<String>, definition: impl Into<Definition>) -> Self {
        let definition: Definition = definition.into();
        Self { kind: definition.kind(), name: name.into(), definition: Some(definition) }
    }

    /// The same for a definition that is JSON. One that cannot be read is refused when a plan is made of it.
    pub fn from_json(kind: Kind, name: impl Into<String>, body: Value) -> Self {
        Self::set(name, Definition::from_json(kind, body))
    }

    /// Deletes a definition.
    pub fn delete(kind: Kind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into(), definition: None }
    }

    /// Returns whether it changes this definition.
    pub fn is_of(&self, kind: Kind, name: &str) -> bool {
        self.kind == kind && self.name == name
    }
}

/// All definitions that hold at one version of the catalog, ordered by kind and name; no deleted ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The version.
    pub version: u64,
    /// The definitions.
    pub revisions: Vec<Revision>,
}

impl Snapshot {
    /// All of a kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Revision> {
        self.revisions.iter().filter(move |revision| revision.kind == kind)
    }

    /// One definition.
    pub fn get(&self, kind: Kind, name: &str) -> Option<&Revision> {
        self.of(kind).find(|revision| revision.name == name)
    }

    /// All of a type, with their revisions; no damaged ones.
    pub fn all<T: DefinitionType>(&self) -> impl Iterator<Item = (&Revision, &T)> {
        self.of(T::KIND).filter_map(|revision| Some((revision, revision.read().ok()?)))
    }

    /// One definition of a type; none also if it is damaged.
    pub fn find<T: DefinitionType>(&self, name: &str) -> Option<&T> {
        self.get(T::KIND, name)?.read().ok()
    }
}

/// A definition that somebody put into the catalog's store directly, to be checked and committed.
#[derive(Clone, Debug, PartialEq)]
pub struct Submission {
    /// By what it is answered.
    pub id: String,
    /// Who submitted it, as far as it says so.
    pub author: String,
    /// What is wanted.
    pub change: Change,
}

/// Why a commit to the catalog was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Somebody else changed the catalog meanwhile: read it again and try again.
    #[error("the catalog is at version {now}, not at {expected}: somebody else changed it meanwhile")]
    Conflict {
        /// What the caller thought.
        expected: u64,
        /// What it is.
        now: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Definitions with all their revisions, and artifacts.
pub trait Catalog: Send + Sync {
    /// The definitions at a version, or now. Version 0 is empty.
    ///
    /// # Errors
    /// The store fails.
    fn snapshot(&self, version: Option<u64>) -> Result<Snapshot, StoreError>;

    /// Carries out changes, all or none, as one new version, if the catalog still is at `expected`. Durable on return.
    ///
    /// # Errors
    /// A conflict, or the store fails.
    fn commit(&self, expected: u64, changes: Vec<Change>, author: &str, at: i64) -> Result<Snapshot, CommitError>;

    /// Every revision of a definition, newest first, deletions included.
    ///
    /// # Errors
    /// The store fails.
    fn revisions(&self, kind: Kind, name: &str) -> Result<Vec<Revision>, StoreError>;

    /// Keeps bytes under their digest. Durable on return.
    ///
    /// # Errors
    /// The store fails.
    fn put_artifact(&self, bytes: &[u8]) -> Result<Digest, StoreError>;

    /// The bytes of a digest.
    ///
    /// # Errors
    /// The store fails or holds other bytes.
    fn artifact(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError>;

    /// Notifies the signal when the version changes, by this process or another one, or when something was submitted.
    fn on_change(&self, wake: Arc<WakeSignal>);

    /// The version, as cheaply as it can be known.
    ///
    /// # Errors
    /// The store fails.
    fn version(&self) -> Result<u64, StoreError>;

    /// Takes definitions that were submitted directly; no one else gets them for a while.
    ///
    /// # Errors
    /// The store fails.
    fn take_submissions(&self) -> Result<Vec<Submission>, StoreError> {
        Ok(Vec::new())
    }

    /// Says what became of a submission: its revision, or why it was refused.
    ///
    /// # Errors
    /// The store fails.
    fn answer_submission(&self, _id: &str, _outcome: Result<u32, Vec<String>>) -> Result<(), StoreError> {
        Ok(())
    }
}
