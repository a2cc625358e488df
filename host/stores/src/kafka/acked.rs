//! What happens when an append is done: tails learn of it, bells ring.

use std::sync::Arc;

use assay_core::names::{Offset, Partition};
use assay_engine::ports::log::{Appended, Offsets, Records, Topic};

use super::bells::Bells;
use super::fetch::Fetcher;
use super::topics::StreamTopics;

/// An append, for when it is done.
pub(super) struct Acked {
    pub(super) of: Arc<StreamTopics>,
    pub(super) topic: Topic,
    pub(super) batches: Arc<Vec<(Partition, Records)>>,
    /// Where the batches without records would have gone, by their indexes.
    pub(super) ends: Vec<(usize, Offset)>,
    pub(super) fetcher: Arc<Fetcher>,
    pub(super) bells: Arc<Bells>,
}

impl Acked {
    /// Tells whom it concerns. Returns the receipt.
    pub(super) fn note(self, mut places: Vec<Appended>) -> Vec<Appended> {
        for (index, end) in &self.ends {
            places[*index].offsets = Offsets::From(*end);
        }
        match self.topic {
            Topic::Events => self.note_events(&places),
            Topic::Verdicts => self.note_verdicts(&places),
        }
        places
    }

    /// Events come back through the fetcher, translated as those of others; the bell rings then. Where this process
    /// does not have the partition it rings now.
    fn note_events(&self, places: &[Appended]) {
        let mut is_elsewhere = false;
        for ((partition, records), appended) in self.batches.iter().zip(places) {
            let last = records.len().checked_sub(1).and_then(|last| appended.place(last));
            match (self.fetcher.tails().get(&self.of.stream, Topic::Events, *partition), last) {
                (Some(tail), Some(last)) => tail.note_end(last.offset.next().0),
                (None, _) => is_elsewhere = true,
                (Some(_), None) => {}
            }
        }
        if is_elsewhere {
            self.bells.ring(Topic::Events);
        }
    }

    /// Verdicts need not be read back: nobody else writes them.
    fn note_verdicts(self, places: &[Appended]) {
        let batches = Arc::try_unwrap(self.batches).unwrap_or_else(|batches| (*batches).clone());
        for ((partition, records), appended) in batches.into_iter().zip(places) {
            if let Some(tail) = self.fetcher.tails().get(&self.of.stream, Topic::Verdicts, partition) {
                at_their_offsets(records, &appended.offsets).into_iter().for_each(|records| tail.push_own(records));
            }
        }
        self.bells.ring(Topic::Verdicts);
    }
}

/// Records with the offsets that they got: one block, or one each.
fn at_their_offsets(records: Records, offsets: &Offsets) -> Vec<Records> {
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
