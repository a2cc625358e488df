//! The records of the log that readers still need, as the readers note them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use assay_core::names::Offset;

use crate::health::HealthComponent;
use crate::metrics::ReaderLabel;
use crate::ports::PartitionId;
use crate::ports::log::{Records, Topic};

/// The reader that needs events for scoring and recovery, beside the sinks.
pub(crate) const SCORING: &str = "scoring";

/// The oldest record of a partition that a reader still needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NeededRecord {
    /// A sink's name, or [`SCORING`].
    pub(crate) reader: &'static str,
    pub(crate) partition: PartitionId,
    pub(crate) topic: Topic,
    /// The record's offset.
    pub(crate) at: Offset,
    /// When it was appended, ms since 1970. Until a reader has read on, this is of what it has just done with.
    pub(crate) appended_at: i64,
}

impl NeededRecord {
    /// The need of a reader that is at an offset and read these records there. They may begin later: the records between
    /// are deleted, or never existed.
    pub(crate) fn new(
        reader: &'static str,
        partition: &PartitionId,
        topic: Topic,
        at: Offset,
        records: &Records,
    ) -> Self {
        Self {
            reader,
            partition: partition.clone(),
            topic,
            at: at.max(records.first),
            appended_at: records.appended_at,
        }
    }

    /// The reader as metrics name it.
    pub(super) fn label(&self) -> ReaderLabel {
        ReaderLabel { reader: self.reader.to_owned(), stream: self.partition.stream.to_string() }
    }

    /// The component that a warning belongs to.
    pub(super) fn component(&self) -> HealthComponent {
        component_of(self.reader, &self.partition)
    }
}

/// The component that reads a partition.
pub(super) fn component_of(reader: &'static str, partition: &PartitionId) -> HealthComponent {
    match reader {
        SCORING => HealthComponent::Scoring(partition.clone()),
        sink => HealthComponent::Sink(sink),
    }
}

/// The records that are still needed, by reader and partition. Readers that have everything are not in it.
#[derive(Default)]
pub(crate) struct NeededRecords(Mutex<BTreeMap<(&'static str, PartitionId), NeededRecord>>);

impl NeededRecords {
    /// Notes the oldest record that a reader needs of a partition.
    pub(crate) fn note(&self, need: NeededRecord) {
        // Each entry is replaced whole.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert((need.reader, need.partition.clone()), need);
    }

    /// Notes that a reader has all of a partition.
    pub(crate) fn note_none(&self, reader: &'static str, partition: &PartitionId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(reader, partition.clone()));
    }

    /// All needs that are still ours; forgets the others.
    pub(crate) fn of_all(&self, is_ours: impl Fn(&NeededRecord) -> bool) -> Vec<NeededRecord> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, need| is_ours(need));
        all.values().cloned().collect()
    }
}
