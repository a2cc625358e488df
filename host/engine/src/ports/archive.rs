//! The archive port: events and verdicts, found by entity, by id and by place.

use assay_core::names::Offset;
use assay_core::time_range::TimeRange;
use assay_core::verdict::Outcome;

use super::log::Records;
use super::{Page, PartitionId, Place, StoreError};

/// The index entry of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventEntry {
    /// Its offset.
    pub offset: Offset,
    /// Its time, ms since 1970.
    pub time: i64,
    /// Its entity.
    pub key: String,
    /// Its own id; empty if the stream declares none.
    pub id: String,
}

/// An event as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedEvent {
    /// Its place in the log.
    pub place: Place,
    /// When it was appended, ms since 1970.
    pub appended_at: i64,
    /// The number of the schema that it is in, see [`Records::schema`].
    pub schema: u32,
    /// Its Avro bytes.
    pub bytes: Vec<u8>,
}

/// A query for events of an entity, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryQuery {
    /// The entity.
    pub key: String,
    /// Of these times.
    pub times: TimeRange,
    /// At most so many.
    pub limit: usize,
    /// The cursor of the page before; none: the first page.
    pub cursor: Option<String>,
}

/// Events and verdicts by entity, id and place. Fed by two sinks, one for each topic.
pub trait Archive: Send + Sync {
    /// The offset from which on a partition's events are not archived yet.
    ///
    /// # Errors
    /// The store fails.
    fn events_position(&self, partition: &PartitionId) -> Result<Offset, StoreError>;

    /// Archives events: `entries` are those of `records` that can be read; all before `next` are archived then.
    ///
    /// # Errors
    /// The store fails.
    fn write_events(
        &self,
        partition: &PartitionId,
        entries: &[EventEntry],
        records: &[Records],
        next: Offset,
    ) -> Result<(), StoreError>;

    /// The offset from which on a partition's verdict blocks are not archived yet.
    ///
    /// # Errors
    /// The store fails.
    fn verdicts_position(&self, partition: &PartitionId) -> Result<Offset, StoreError>;

    /// Archives verdict blocks: all records before `next` of the verdicts topic are archived then. Parts of the block at
    /// `next`, each a block with some of its outcomes, are added, and the position stays.
    ///
    /// # Errors
    /// The store fails.
    fn write_verdicts(&self, partition: &PartitionId, blocks: &[Records], next: Offset) -> Result<(), StoreError>;

    /// An entity's events, newest time first, then highest offset first.
    ///
    /// # Errors
    /// The store fails, or the cursor is not one of ours.
    fn history(&self, partition: &PartitionId, query: &HistoryQuery) -> Result<Page<ArchivedEvent>, StoreError>;

    /// The events of a partition that have an id, the lowest offset first: at most `limit` of those after an offset.
    /// More than one if a producer sent it again.
    ///
    /// # Errors
    /// The store fails.
    fn by_id(
        &self,
        partition: &PartitionId,
        id: &str,
        after: Option<Offset>,
        limit: usize,
    ) -> Result<Vec<ArchivedEvent>, StoreError>;

    /// The event at an offset.
    ///
    /// # Errors
    /// The store fails.
    fn event(&self, partition: &PartitionId, offset: Offset) -> Result<Option<ArchivedEvent>, StoreError>;

    /// Forgets the events and the verdict blocks before these offsets: retention has deleted them from the log. An
    /// archive with records of its own does nothing.
    ///
    /// # Errors
    /// The store fails.
    fn forget(&self, _partition: &PartitionId, _events: Offset, _verdicts: Offset) -> Result<(), StoreError> {
        Ok(())
    }

    /// All events before this offset are judged, and what was said of them is archived.
    ///
    /// # Errors
    /// The store fails.
    fn judged(&self, partition: &PartitionId) -> Result<Offset, StoreError>;

    /// The outcome of the event at an offset; none: it has none, or is not judged yet.
    ///
    /// # Errors
    /// The store fails.
    fn outcome(&self, partition: &PartitionId, offset: Offset) -> Result<Option<Outcome>, StoreError>;
}
