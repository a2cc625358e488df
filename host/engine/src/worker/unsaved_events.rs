//! Which events of a partition no saved checkpoint covers: recovery would read them again.

use std::collections::VecDeque;

use assay_core::names::Offset;

use crate::ports::PartitionId;
use crate::ports::log::{Records, Topic};
use crate::retention::{NeededRecord, NeededRecords, SCORING};

/// The oldest event that no saved checkpoint covers.
#[derive(Default)]
pub(super) struct UnsavedEvents {
    /// The first event that was read behind the newest checkpoint.
    since: Option<NeededRecord>,
    /// The first event that each checkpoint on its way to the store covers, with the checkpoint's number.
    in_flight: VecDeque<(u64, NeededRecord)>,
    /// What was reported last, if anything was.
    reported: Option<Option<NeededRecord>>,
}

impl UnsavedEvents {
    /// Events were read at an offset.
    pub(super) fn note_read(&mut self, partition: &PartitionId, at: Offset, records: Option<&Records>) {
        if let Some(records) = records.filter(|_| self.since.is_none()) {
            self.since = Some(NeededRecord::new(SCORING, partition, Topic::Events, at, records));
        }
    }

    /// A checkpoint of what was scored before `next` was handed to the saver. Events behind it may have been read too.
    pub(super) fn note_checkpoint(&mut self, number: u64, next: Offset) {
        if let Some(since) = self.since.take_if(|since| since.at < next) {
            self.in_flight.push_back((number, since));
        }
    }

    /// Tells what is needed, when that has changed. `saved` is the number of the last checkpoint that is saved.
    pub(super) fn report(&mut self, saved: u64, partition: &PartitionId, needed_records: &NeededRecords) {
        while self.in_flight.pop_front_if(|(number, _)| *number <= saved).is_some() {}
        let oldest = self.in_flight.front().map(|(_, need)| need).or(self.since.as_ref());
        if self.reported.as_ref().map(Option::as_ref) != Some(oldest) {
            self.reported = Some(oldest.cloned());
            match oldest {
                Some(need) => needed_records.note(need.clone()),
                None => needed_records.note_none(SCORING, partition),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use assay_core::names::PartitionIndex;

    use super::*;

    #[test]
    fn the_oldest_event_behind_the_last_saved_checkpoint_is_needed() {
        let partition = PartitionId { stream: "payments".into(), partition: PartitionIndex(0) };
        let (mut unsaved, needed_records) = (UnsavedEvents::default(), NeededRecords::default());
        let reported = |unsaved: &mut UnsavedEvents, saved| {
            unsaved.report(saved, &partition, &needed_records);
            needed_records.of_all(|_| true).first().map(|need| (need.at.0, need.appended_at))
        };
        let read = |unsaved: &mut UnsavedEvents, at: u64| {
            let records = Records { appended_at: 1000 + at as i64, ..Records::default() };
            unsaved.note_read(&partition, Offset(at), Some(&records));
        };
        unsaved.note_read(&partition, Offset(0), None);
        assert_eq!(reported(&mut unsaved, 0), None);
        read(&mut unsaved, 0);
        read(&mut unsaved, 5);
        assert_eq!(reported(&mut unsaved, 0), Some((0, 1000)));
        unsaved.note_checkpoint(1, Offset(10));
        read(&mut unsaved, 10);
        unsaved.note_checkpoint(2, Offset(20));
        assert_eq!(reported(&mut unsaved, 0), Some((0, 1000)), "the saver has it, the store has not");
        assert_eq!(reported(&mut unsaved, 1), Some((10, 1010)));
        read(&mut unsaved, 20);
        assert_eq!(reported(&mut unsaved, 2), Some((20, 1020)));
        unsaved.note_checkpoint(3, Offset(20));
        assert_eq!(reported(&mut unsaved, 3), Some((20, 1020)), "it was read and cannot be scored");
        unsaved.note_checkpoint(4, Offset(21));
        assert_eq!(reported(&mut unsaved, 4), None);
    }
}
