//! The dead letters port: events that a rule could not score, that could not be read, or that a sink could not
//! carry into its store.

use assay_core::names::{Digest, Offset};
use assay_core::recorded_failure_code::RecordedFailureCode;
use serde::{Deserialize, Serialize};

use super::{Page, PartitionId, Place, StoreError};

/// An event that a rule could not score, or that is set aside by a sink. Its identity is (stream, place, rule,
/// sink).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The stream.
    pub stream: String,
    /// The event's place in the log.
    pub place: Place,
    /// The event's time, ms since 1970; 0 if it could not be read.
    pub time: i64,
    /// The entity; empty if the event could not be read.
    pub key: String,
    /// The event's id; empty when the stream declares none.
    pub id: String,
    /// The rule that failed; none: the event could not be read, or not be carried by `sink`.
    pub rule: Option<String>,
    /// The sink that has set it aside; none: it failed when it was scored. Letters of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink: Option<String>,
    /// The rule's revision.
    pub revision: Option<u32>,
    /// The plugin, as `name@version`.
    pub plugin: Option<String>,
    /// The plugin's digest.
    pub digest: Option<Digest>,
    /// The code of the failure.
    pub code: RecordedFailureCode,
    /// A description of the failure.
    pub message: String,
}

/// A query for dead letters, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterQuery {
    /// Of this stream.
    pub stream: Option<String>,
    /// Of this rule.
    pub rule: Option<String>,
    /// At most so many.
    pub limit: usize,
    /// The cursor of the page before; none: the first page.
    pub cursor: Option<String>,
}

/// Events that could not be scored.
pub trait DeadLetters: Send + Sync {
    /// The offset of the verdicts topic from which on blocks are not in the dead letters yet.
    ///
    /// # Errors
    /// The store fails.
    fn position(&self, partition: &PartitionId) -> Result<Offset, StoreError>;

    /// Keeps dead letters by their identity; all verdict blocks before `next` are in then. An older `next` than the one
    /// that is known changes nothing; at the same one letters are added.
    ///
    /// # Errors
    /// The store fails.
    fn write(&self, partition: &PartitionId, letters: &[DeadLetter], next: Offset) -> Result<(), StoreError>;

    /// Lists dead letters: by stream, then partition, then newest first, then by rule and by sink, those without
    /// one first.
    ///
    /// # Errors
    /// The store fails, or the cursor is not one of ours.
    fn list(&self, query: &DeadLetterQuery) -> Result<Page<DeadLetter>, StoreError>;

    /// Those of one event.
    ///
    /// # Errors
    /// The store fails.
    fn of_event(&self, partition: &PartitionId, offset: Offset) -> Result<Vec<DeadLetter>, StoreError>;
}
