//! Which events of a partition no saved checkpoint covers: recovery would read them again.

use std::collections::VecDeque;

use assay_core::names::Offset;

use crate::ports::StreamPartition;
use crate::ports::log::{Records, Topic};
use crate::retention::{Need, Needs, SCORING};

/// The oldest event that no saved checkpoint covers.
#[derive(Default)]
pub(super) struct Unsaved {
    /// The first event that was read behind the newest checkpoint.
    since: Option<Need>,
    /// The first event that each checkpoint on its way to the store covers, with the checkpoint's number.
    under_way: VecDeque<(u64, Need)>,
    /// What was told last, if anything was.
    told: Option<Option<Need>>,
}

impl Unsaved {
    /// Events were read at an offset.
    pub(super) fn read(&mut self, of: &StreamPartition, at: Offset, records: Option<&Records>) {
        if let Some(records) = records.filter(|_| self.since.is_none()) {
            self.since = Some(Need::new(SCORING, of, Topic::Events, at, records));
        }
    }

    /// A checkpoint of what was scored before `next` was handed to the saver. Events behind it may have been read too.
    pub(super) fn hand_over(&mut self, number: u64, next: Offset) {
        if let Some(since) = self.since.take_if(|since| since.at < next) {
            self.under_way.push_back((number, since));
        }
    }

    /// Tells what is needed, when that has changed. `saved` is the number of the last checkpoint that is saved.
    pub(super) fn tell(&mut self, saved: u64, of: &StreamPartition, needs: &Needs) {
        while self.under_way.pop_front_if(|(number, _)| *number <= saved).is_some() {}
        let oldest = self.under_way.front().map(|(_, need)| need).or(self.since.as_ref());
        if self.told.as_ref().map(Option::as_ref) != Some(oldest) {
            self.told = Some(oldest.cloned());
            match oldest {
                Some(need) => needs.note(need.clone()),
                None => needs.note_none(SCORING, of),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use assay_core::names::Partition;

    use super::*;

    #[test]
    fn the_oldest_event_behind_the_last_saved_checkpoint_is_needed() {
        let of = StreamPartition { stream: "payments".into(), partition: Partition(0) };
        let (mut unsaved, needs) = (Unsaved::default(), Needs::default());
        let told = |unsaved: &mut Unsaved, saved| {
            unsaved.tell(saved, &of, &needs);
            needs.of_all(|_| true).first().map(|need| (need.at.0, need.appended_at))
        };
        let read = |unsaved: &mut Unsaved, at: u64| {
            let records = Records { appended_at: 1000 + at as i64, ..Records::default() };
            unsaved.read(&of, Offset(at), Some(&records));
        };
        unsaved.read(&of, Offset(0), None);
        assert_eq!(told(&mut unsaved, 0), None);
        read(&mut unsaved, 0);
        read(&mut unsaved, 5);
        assert_eq!(told(&mut unsaved, 0), Some((0, 1000)));
        unsaved.hand_over(1, Offset(10));
        read(&mut unsaved, 10);
        unsaved.hand_over(2, Offset(20));
        assert_eq!(told(&mut unsaved, 0), Some((0, 1000)), "the saver has it, the store has not");
        assert_eq!(told(&mut unsaved, 1), Some((10, 1010)));
        read(&mut unsaved, 20);
        assert_eq!(told(&mut unsaved, 2), Some((20, 1020)));
        unsaved.hand_over(3, Offset(20));
        assert_eq!(told(&mut unsaved, 3), Some((20, 1020)), "it was read and cannot be scored");
        unsaved.hand_over(4, Offset(21));
        assert_eq!(told(&mut unsaved, 4), None);
    }
}
