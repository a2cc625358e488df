//! The catalog port: named definitions with all their revisions, and artifacts by digest.
//!
//! The catalog does not know what a definition says; `plan` gives it its meaning.

use std::sync::Arc;

use assay_core::names::Digest;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::log::WakeSignal;

/// What kind of thing a definition defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A stream.
    Stream,
    /// A view.
    View,
    /// A rule.
    Rule,
    /// A plugin's manifest; its name is `name@version`, its artifact lies beside by digest.
    Plugin,
    /// An API key: its hash and roles, never the key.
    Key,
    /// An Avro schema that producers write in; its name is its id in the schema registry. See [`crate::registry`].
    Schema,
}

impl Kind {
    /// Every kind, in the order of snapshots.
    pub const ALL: [Self; 6] = [Self::Stream, Self::View, Self::Rule, Self::Plugin, Self::Key, Self::Schema];

    /// Whether workers have to take up a change of such a definition. Keys and schemas are the API's and the log's
    /// affair.
    pub fn concerns_workers(self) -> bool {
        !matches!(self, Self::Key | Self::Schema)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stream => "stream",
            Self::View => "view",
            Self::Rule => "rule",
            Self::Plugin => "plugin",
            Self::Key => "key",
            Self::Schema => "schema",
        })
    }
}

/// One revision of one definition. Nothing is ever overwritten: a change is a new revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    pub body: Option<serde_json::Value>,
}

/// A wish to change one definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What it defines.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The new definition; none: delete it.
    pub body: Option<serde_json::Value>,
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
