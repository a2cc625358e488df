//! The erasure port: takes what the stores hold of one entity out of them. Optional: stores on servers have none.
//!
//! A deletion is a row of its own until it is done, so that whoever starts next goes on with it. All steps may be
//! repeated.

use std::ops::AddAssign;

use assay_core::names::Offset;

use super::archive::EventEntry;
use super::{PartitionId, StoreError};

/// A deletion that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingErasure {
    /// Its number.
    pub id: u64,
    /// The partition of the entity.
    pub partition: PartitionId,
    /// SHA-256 of the entity, as hex digits: for the log.
    pub digest: String,
    /// The author: the name of an API key.
    pub author: String,
    /// The next step.
    pub step: EraseStep,
}

/// The next step of a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EraseStep {
    /// To end the entity's life.
    EndLifetime {
        /// The entity.
        key: String,
    },
    /// To delete what belongs to the life that has ended.
    Erase {
        /// The entity.
        key: String,
        /// The events before this offset belong to it.
        before: Offset,
    },
    /// To write what is deleted out of the files. Nothing of the entity is known any more.
    Purge,
}

/// The counts of deleted data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Events, copies in derived streams included.
    pub events: u64,
    /// Verdicts on them.
    pub verdicts: u64,
    /// Dead letters of them.
    pub dead_letters: u64,
    /// Edges of the graph.
    pub edges: u64,
    /// Profiles: 0 or 1.
    pub profiles: u64,
}

impl AddAssign for Erased {
    fn add_assign(&mut self, more: Self) {
        self.events += more.events;
        self.verdicts += more.verdicts;
        self.dead_letters += more.dead_letters;
        self.edges += more.edges;
        self.profiles += more.profiles;
    }
}

/// Takes what the stores hold of one entity out of them.
pub trait Erasure: Send + Sync {
    /// Notes that an entity is to be deleted. Durable on return. Returns the deletion's number.
    ///
    /// # Errors
    /// The store fails.
    fn begin(&self, partition: &PartitionId, key: &str, author: &str) -> Result<u64, StoreError>;

    /// The deletions that are not done, in the order in which they were begun.
    ///
    /// # Errors
    /// The store fails.
    fn pending(&self) -> Result<Vec<PendingErasure>, StoreError>;

    /// Ends the life of an entity: deletes its state, and notes that its events before an offset belong to that life.
    /// Durable on return. All events before the offset are covered by the saved checkpoint.
    ///
    /// # Errors
    /// The store fails; nothing has changed then.
    fn end_lifetime(&self, erasing: &PendingErasure, key: &str, before: Offset) -> Result<(), StoreError>;

    /// Deletes events, all that was said of them, and what that has left in the graph and the dead letters. The log
    /// keeps their places: a record without bytes is an event that was deleted.
    ///
    /// # Errors
    /// The store fails; some of them may be deleted then.
    fn erase(&self, partition: &PartitionId, events: &[EventEntry]) -> Result<Erased, StoreError>;

    /// Deletes what the profile holds of events before an offset, and forgets the key. Durable on return.
    ///
    /// # Errors
    /// The store fails; nothing has changed then.
    fn finish(&self, erasing: &PendingErasure, key: &str, before: Offset) -> Result<Erased, StoreError>;

    /// Writes all that is deleted out of the files, and ends the deletion. May take its time.
    ///
    /// # Errors
    /// The store fails; the deletion is not at its end then.
    fn purge(&self, id: u64) -> Result<(), StoreError>;
}
