//! The events after a checkpoint whose verdicts are in the log.

use std::collections::BTreeMap;

use assay_core::names::Offset;

/// Ranges of offsets, by their first one. None is empty, and none touches the one after it.
#[derive(Debug)]
pub(super) struct JudgedEvents {
    ranges: BTreeMap<u64, u64>,
    /// The end of the last range, or the checkpoint.
    end: Offset,
}

impl JudgedEvents {
    /// No event from a checkpoint on.
    pub(super) fn from(checkpoint: Offset) -> Self {
        Self { ranges: BTreeMap::new(), end: checkpoint }
    }

    /// Adds the events of a block. A block that does not say where it begins goes on where those before it end.
    pub(super) fn add(&mut self, from: Option<Offset>, next: Offset) {
        let (mut from, mut to) = (from.unwrap_or(self.end).0, next.0);
        if from >= to {
            return;
        }
        self.end = self.end.max(next);
        if let Some((first, end)) = self.ranges.range(..=from).next_back().map(|(first, end)| (*first, *end))
            && end >= from
        {
            (from, to) = (first, to.max(end));
        }
        while let Some((first, end)) = self.ranges.range(from..=to).next().map(|(first, end)| (*first, *end)) {
            self.ranges.remove(&first);
            to = to.max(end);
        }
        self.ranges.insert(from, to);
    }

    /// The event after the last judged one.
    pub(super) fn end(&self) -> Offset {
        self.end
    }

    /// True if an event is judged.
    pub(super) fn contains(&self, offset: Offset) -> bool {
        self.ranges.range(..=offset.0).next_back().is_some_and(|(_, end)| offset.0 < *end)
    }

    /// Up to where events from one on are alike: all judged, or none. At most the end.
    pub(super) fn end_of_run(&self, from: Offset) -> Offset {
        let judged = self.ranges.range(..=from.0).next_back().map(|(_, end)| *end).filter(|end| from.0 < *end);
        let unjudged = || self.ranges.range(from.0..).next().map(|(first, _)| *first);
        judged.or_else(unjudged).map_or(self.end, Offset)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_are_as_a_set_of_offsets(blocks in proptest::collection::vec((0_u64..60, 0_u64..12), 0..12)) {
            let mut events = JudgedEvents::from(Offset(20));
            let mut oracle = BTreeSet::new();
            for (from, count) in blocks {
                events.add(Some(Offset(from)), Offset(from + count));
                oracle.extend(from..from + count);
            }
            prop_assert_eq!(events.end().0, oracle.last().map_or(20, |last| (last + 1).max(20)));
            for offset in 0..oracle.last().copied().unwrap_or_default() {
                prop_assert_eq!(events.contains(Offset(offset)), oracle.contains(&offset));
                let differs = |other: &u64| oracle.contains(other) != oracle.contains(&offset);
                let end = (offset..events.end().0).find(differs).unwrap_or(events.end().0);
                prop_assert_eq!(events.end_of_run(Offset(offset)), Offset(end));
            }
        }
    }

    #[test]
    fn a_block_without_a_beginning_goes_on_where_others_end() {
        let mut events = JudgedEvents::from(Offset(5));
        events.add(None, Offset(7));
        events.add(Some(Offset(9)), Offset(10));
        events.add(None, Offset(10));
        assert_eq!((events.contains(Offset(4)), events.contains(Offset(5))), (false, true));
        assert_eq!((events.contains(Offset(7)), events.end()), (false, Offset(10)));
    }
}
