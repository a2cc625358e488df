//! An append that is not acknowledged yet. Its acknowledgement updates the tails and notifies readers.

use std::sync::Arc;

use assay_core::names::{Offset, PartitionIndex};
use assay_engine::ports::log::{Appended, Offsets, Records, Topic};

use super::append_signals::AppendSignals;
use super::fetch::Fetcher;
use super::topics::StreamTopics;

/// An append that is not acknowledged yet.
pub(super) struct InFlightAppend {
    pub(super) topics: Arc<StreamTopics>,
    pub(super) topic: Topic,
    pub(super) batches: Arc<Vec<(PartitionIndex, Records)>>,
    /// The ends of the partitions of empty batches, by index of the batch.
    pub(super) ends: Vec<(usize, Offset)>,
    pub(super) fetcher: Arc<Fetcher>,
    pub(super) append_signals: Arc<AppendSignals>,
}

impl InFlightAppend {
    /// Updates the tails and notifies readers. Returns the receipt.
    pub(super) fn on_acknowledged(self, mut appended_batches: Vec<Appended>) -> Vec<Appended> {
        for (index, end) in &self.ends {
            appended_batches[*index].offsets = Offsets::From(*end);
        }
        match self.topic {
            Topic::Events => self.note_events(&appended_batches),
            Topic::Verdicts => self.note_verdicts(&appended_batches),
        }
        appended_batches
    }

    /// Events of owned partitions come back through the fetcher, which decodes them like those of other producers and then
    /// notifies readers. For other partitions readers are notified here.
    fn note_events(&self, appended_batches: &[Appended]) {
        let mut has_foreign_partition = false;
        for ((partition, records), appended) in self.batches.iter().zip(appended_batches) {
            let last = records.len().checked_sub(1).and_then(|last| appended.place(last));
            match (self.fetcher.tails().get(&self.topics.stream, Topic::Events, *partition), last) {
                (Some(tail), Some(last)) => tail.note_end(last.offset.next().0),
                (None, _) => has_foreign_partition = true,
                (Some(_), None) => {}
            }
        }
        if has_foreign_partition {
            self.append_signals.notify(Topic::Events);
        }
    }

    /// Adds verdicts to the tails directly: only the owner of a partition writes them.
    fn note_verdicts(self, appended_batches: &[Appended]) {
        let batches = Arc::try_unwrap(self.batches).unwrap_or_else(|batches| (*batches).clone());
        for ((partition, records), appended) in batches.into_iter().zip(appended_batches) {
            if let Some(tail) = self.fetcher.tails().get(&self.topics.stream, Topic::Verdicts, partition) {
                assign_offsets(records, &appended.offsets).into_iter().for_each(|records| tail.push_own(records));
            }
        }
        self.append_signals.notify(Topic::Verdicts);
    }
}

/// Sets the assigned offsets: the records stay one block, or become one block each if their offsets have gaps.
fn assign_offsets(records: Records, offsets: &Offsets) -> Vec<Records> {
    match offsets {
        _ if records.is_empty() => Vec::new(),
        Offsets::From(first) => vec![Records { first: *first, ..records }],
        Offsets::Each(offsets) => (0..records.len())
            .zip(offsets)
            .map(|(index, offset)| {
                let mut one = Records { first: *offset, appended_at: records.appended_at, ..Records::default() };
                one.push(records.get(index).unwrap_or_default());
                one
            })
            .collect(),
    }
}
