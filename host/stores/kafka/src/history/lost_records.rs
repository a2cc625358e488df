//! Counts the records that retention deleted before they were read. Each is counted once, however many readers miss it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use assay_engine::ports::log::{Lost, Topic};

/// The range of counted records of a partition: `from` included, `to` excluded.
#[derive(Clone, Copy)]
struct MissedRange {
    from: u64,
    to: u64,
}

/// Counts lost records.
#[derive(Default)]
pub(super) struct LostRecords(Mutex<LostCounts>);

#[derive(Default)]
struct LostCounts {
    partitions: HashMap<(Arc<str>, Topic, i32), MissedRange>,
    records: HashMap<(Arc<str>, Topic), u64>,
}

impl LostRecords {
    /// Counts the records between a reader's position `from` and the first remaining record `low`. Returns the number of
    /// those that were not counted before.
    pub(super) fn note(&self, stream: &Arc<str>, topic: Topic, partition: i32, from: u64, low: u64) -> u64 {
        if from >= low {
            return 0;
        }
        // A poisoned lock is safe: both maps only grow.
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let missed =
            counted.partitions.entry((stream.clone(), topic, partition)).or_insert(MissedRange { from: low, to: low });
        let new = missed.from.saturating_sub(from) + low.saturating_sub(missed.to.max(from));
        *missed = MissedRange { from: missed.from.min(from), to: missed.to.max(low) };
        *counted.records.entry((stream.clone(), topic)).or_default() += new;
        new
    }

    /// The number of lost records of a topic.
    pub(super) fn get(&self, stream: &Arc<str>, topic: Topic) -> Lost {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let records = counted.records.get(&(stream.clone(), topic)).copied().unwrap_or(0);
        Lost { stream: stream.clone(), topic, records }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_is_counted_once() {
        let (lost, payments) = (LostRecords::default(), Arc::from("payments"));
        let note = |from, low| lost.note(&payments, Topic::Events, 0, from, low);
        assert_eq!([note(5, 5), note(7, 3)], [0, 0], "nothing is missing");
        assert_eq!([note(10, 20), note(10, 20), note(15, 20)], [10, 0, 0], "others miss the same");
        assert_eq!(note(4, 20), 6, "a reader with a greater lag has lost more");
        assert_eq!([note(4, 30), note(25, 30), note(28, 33)], [10, 0, 3], "retention goes on");
        assert_eq!(lost.note(&payments, Topic::Events, 1, 10, 12), 2, "each partition has offsets of its own");
        assert_eq!(lost.note(&payments, Topic::Verdicts, 0, 10, 11), 1);
        assert_eq!(lost.get(&payments, Topic::Events).records, 31);
        assert_eq!(lost.get(&payments, Topic::Verdicts).records, 1);
        assert_eq!(lost.get(&Arc::from("orders"), Topic::Events).records, 0);
    }
}
