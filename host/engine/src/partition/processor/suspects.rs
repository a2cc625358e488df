//! Which events of a partition panic when they are folded: found by folding those of a batch that panicked one at a
//! time, each with the state that the ones before it have left. Such an event is passed over, and gets a verdict that
//! says so; nobody guesses which one it is.

use std::collections::BTreeMap;
use std::ops::Range;

use assay_core::names::Offset;

use crate::panics::{EVENT_PANICKED, Panicked};
use crate::ports::log::Refused;

/// What is known of panics in a partition: kept while it is opened anew.
#[derive(Clone, Debug, Default)]
pub(super) struct PanicSuspects {
    /// Events that are folded one at a time, because a batch of them panicked.
    singly: Range<u64>,
    /// Events that panicked alone.
    panicked: BTreeMap<Offset, Refused>,
}

/// Events that are being folded together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Folding {
    /// Where the partition is.
    pub(super) from: Offset,
    pub(super) first: Offset,
    pub(super) last: Offset,
    pub(super) events: usize,
}

impl Folding {
    /// The readable events of a batch; none if it has none.
    pub(super) fn of(from: Offset, records: &[(Offset, &[u8])]) -> Option<Self> {
        let ((first, _), (last, _)) = (records.first()?, records.last()?);
        Some(Self { from, first: *first, last: *last, events: records.len() })
    }
}

impl PanicSuspects {
    /// Events panicked when they were folded together, or one alone.
    pub(super) fn note(&mut self, folding: &Folding, panicked: &Panicked) {
        if folding.events == 1 {
            let refused = Refused { code: EVENT_PANICKED, message: panicked.to_string() };
            self.panicked.insert(folding.first, refused);
        } else {
            self.singly = folding.from.0..folding.last.0 + 1;
        }
    }

    /// An event that has a verdict already which says that it panics.
    pub(super) fn add(&mut self, offset: Offset, message: String) {
        self.panicked.entry(offset).or_insert(Refused { code: EVENT_PANICKED, message });
    }

    /// Events that panicked alone: they are not folded any more.
    pub(super) fn panicked(&self) -> &BTreeMap<Offset, Refused> {
        &self.panicked
    }

    /// Forgets what lies before a checkpoint: nobody folds it again.
    pub(super) fn forget_before(&mut self, checkpoint: Offset) {
        self.panicked = self.panicked.split_off(&checkpoint);
    }

    /// How many events may be folded together from an offset on, and before which offset they end.
    pub(super) fn limits(&self, from: Offset, rows: usize, before: Offset) -> (usize, Offset) {
        if self.singly.contains(&from.0) {
            return (1, before.min(Offset(self.singly.end)));
        }
        let is_ahead = from.0 < self.singly.start && !self.singly.is_empty();
        (rows, if is_ahead { before.min(Offset(self.singly.start)) } else { before })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::panics::catch;

    #[test]
    fn an_event_that_panics_among_others_is_found_alone() {
        let panicked = catch(|| panic!("at seven")).unwrap_err();
        let mut suspects = PanicSuspects::default();
        let end = Offset(100);
        assert_eq!(suspects.limits(Offset(3), 64, end), (64, end));
        suspects.note(&Folding { from: Offset(5), first: Offset(5), last: Offset(9), events: 5 }, &panicked);
        assert!(suspects.panicked().is_empty());
        assert_eq!(suspects.limits(Offset(3), 64, end), (64, Offset(5)));
        assert_eq!(suspects.limits(Offset(7), 64, end), (1, Offset(10)));
        assert_eq!(suspects.limits(Offset(10), 64, end), (64, end));
        suspects.note(&Folding { from: Offset(7), first: Offset(7), last: Offset(7), events: 1 }, &panicked);
        assert!(suspects.panicked()[&Offset(7)].message.contains("at seven"));
        assert_eq!(suspects.limits(Offset(8), 64, end), (1, Offset(10)), "others of the batch may panic, too");
        suspects.add(Offset(12), "earlier".to_owned());
        suspects.forget_before(Offset(8));
        assert_eq!(suspects.panicked().keys().copied().collect::<Vec<_>>(), [Offset(12)]);
    }
}
