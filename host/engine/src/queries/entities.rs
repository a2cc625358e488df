//! Entities: their partition, their key as events have it, their events.

use assay_core::time_range::TimeRange;

use super::QueryService;
use crate::ports::archive::{ArchivedEvent, HistoryQuery};
use crate::ports::{Page, PartitionId, StoreError};

impl QueryService {
    /// The message about an unknown stream, with those that there are. Needs the plan only.
    pub fn describe_unknown_stream(&self, stream: &str) -> String {
        self.plan().describe_unknown_stream(stream)
    }

    /// The partition of an entity; none for an unknown stream. Needs the plan only.
    pub fn partition_of(&self, stream: &str, key: &str) -> Option<PartitionId> {
        self.shared.partition_of(stream, key)
    }

    /// All partitions of a stream; none for an unknown stream. Needs the plan only.
    pub fn partitions_of(&self, stream: &str) -> Option<Vec<PartitionId>> {
        let plan = self.plan();
        plan.streams.get(stream)?;
        Some(plan.partitions().filter(|partition| &*partition.stream == stream).collect())
    }

    /// An entity's key as the events of a stream have it: a UUID may be asked for in capital letters. Needs the plan
    /// only.
    pub fn canonical_key(&self, stream: &str, key: &str) -> String {
        self.plan().canonical_key(stream, key)
    }

    /// The events of an entity, the newest time first.
    ///
    /// # Errors
    /// The cursor is not one of this listing, or the archive fails.
    pub fn history(&self, partition: &PartitionId, query: &HistoryQuery) -> Result<Page<ArchivedEvent>, StoreError> {
        self.ports().archive.history(partition, query)
    }

    /// True if the archive has an event of the entity.
    ///
    /// # Errors
    /// The archive fails.
    pub fn has_events(&self, partition: &PartitionId, key: &str) -> Result<bool, StoreError> {
        let query = HistoryQuery { key: key.to_owned(), times: TimeRange::ALL, limit: 1, cursor: None };
        Ok(!self.history(partition, &query)?.items.is_empty())
    }

    /// True if an event of the entity was seen: it has a verdict in its profile, or an event in the archive.
    ///
    /// # Errors
    /// A store fails.
    pub fn is_known(&self, partition: &PartitionId, key: &str) -> Result<bool, StoreError> {
        let profile = self.ports().profiles.get(partition, key)?;
        Ok(profile.is_some_and(|profile| !profile.rules.is_empty()) || self.has_events(partition, key)?)
    }
}
