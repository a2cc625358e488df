//! What of the log is still needed, and by whom: noted by those who read.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use assay_core::names::Offset;

use crate::metrics::ReaderLabel;
use crate::ports::StreamPartition;
use crate::ports::log::{Records, Topic};

/// Who needs events for scoring and recovery, beside the followers.
pub(crate) const SCORING: &str = "scoring";

/// The oldest record of a partition that somebody still needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// A follower's name, or [`SCORING`].
    pub(crate) reader: &'static str,
    pub(crate) of: StreamPartition,
    pub(crate) topic: Topic,
    /// The record's offset.
    pub(crate) at: Offset,
    /// When it was appended, ms since 1970. Until a reader has read on, this is of what it has just done with.
    pub(crate) appended_at: i64,
}

impl Need {
    /// The need of somebody who is at an offset and read these records there. They may begin later: what stood between
    /// is gone, or never was a record.
    pub(crate) fn new(reader: &'static str, of: &StreamPartition, topic: Topic, at: Offset, records: &Records) -> Self {
        Self { reader, of: of.clone(), topic, at: at.max(records.first), appended_at: records.appended_at }
    }

    /// The reader as metrics name it.
    pub(super) fn label(&self) -> ReaderLabel {
        ReaderLabel { reader: self.reader.to_owned(), stream: self.of.stream.to_string() }
    }

    /// The part of the engine that a warning belongs to.
    pub(super) fn part(&self) -> String {
        part_of(self.reader, &self.of)
    }
}

/// The part of the engine that a reader of a partition is.
pub(super) fn part_of(reader: &str, of: &StreamPartition) -> String {
    match reader {
        SCORING => format!("partition {of}"),
        follower => format!("follower {follower}"),
    }
}

/// What of the log is still needed, by reader and partition. Who has everything is not in it.
#[derive(Default)]
pub(crate) struct Needs(Mutex<BTreeMap<(&'static str, StreamPartition), Need>>);

impl Needs {
    /// Notes the oldest record that a reader needs of a partition.
    pub(crate) fn note(&self, need: Need) {
        // Each entry is replaced whole.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert((need.reader, need.of.clone()), need);
    }

    /// Notes that a reader has all of a partition.
    pub(crate) fn note_none(&self, reader: &'static str, of: &StreamPartition) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(reader, of.clone()));
    }

    /// All needs that are still ours; forgets the others.
    pub(crate) fn of_all(&self, is_ours: impl Fn(&Need) -> bool) -> Vec<Need> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, need| is_ours(need));
        all.values().cloned().collect()
    }
}
