//! Which events of a batch are not taken for their time, measured against the time at which the log stored each: a
//! recovery, which reads the same log, refuses the same events.

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{ArrayRef, BooleanArray};
use assay_core::names::Offset;

use super::prepare::Unreadable;
use crate::plan::StreamPlan;
use crate::ports::log::Records;

/// When the log stored the events of some blocks.
#[derive(Debug, Default)]
pub(crate) struct AppendTimes {
    /// The first offset from which on a time holds, rising, with the time.
    since: Vec<(Offset, i64)>,
}

impl AppendTimes {
    /// The times of some blocks, which stand one after the other.
    pub(crate) fn of(blocks: &[Records]) -> Self {
        let mut since: Vec<(Offset, i64)> = Vec::with_capacity(blocks.len());
        for block in blocks {
            let later = block.appended_later.iter().map(|(at, time)| (Offset(block.first.0 + u64::from(*at)), *time));
            since.push((block.first, block.appended_at));
            since.extend(later);
        }
        Self { since }
    }

    /// When the event at an offset was stored; none: the log does not know.
    pub(crate) fn at(&self, offset: Offset) -> Option<i64> {
        let after = self.since.partition_point(|(first, _)| *first <= offset);
        // A log that keeps no times says 0.
        after.checked_sub(1).map(|at| self.since[at].1).filter(|time| *time > 0)
    }

    /// The earliest of all times that are known.
    fn earliest(&self) -> Option<i64> {
        self.since.iter().map(|(_, time)| *time).filter(|time| *time > 0).min()
    }
}

/// Notes events that are not taken for their time as unreadable. Returns which ones are kept; none: all.
pub(super) fn refuse_times(
    plan: &StreamPlan,
    stored: &AppendTimes,
    times: &ArrayRef,
    offsets: &[u64],
    unreadable: &mut Unreadable,
) -> Option<BooleanArray> {
    let (times, max_ahead) = (times.as_primitive::<TimestampMillisecondType>().values(), plan.max_ahead());
    if max_ahead.takes_all(times, stored.earliest()) {
        return None;
    }
    let is_taken = times.iter().zip(offsets).map(|(time, offset)| {
        let checked = max_ahead.check(*time, stored.at(Offset(*offset)));
        if let Err(error) = &checked {
            unreadable.push((*offset, error.code().as_str(), error.to_string()));
        }
        checked.is_ok()
    });
    Some(is_taken.collect::<Vec<_>>().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_the_time_at_which_it_was_stored() {
        let mut first = Records { first: Offset(10), ..Records::default() };
        for time in [5, 5, 0, 9] {
            first.note_appended(time);
            first.push(b"x");
        }
        let mut second = Records { first: Offset(20), appended_at: 7, ..Records::default() };
        second.push(b"x");
        let stored = AppendTimes::of(&[first, second]);
        let found: Vec<Option<i64>> = [9, 10, 11, 12, 13, 20].map(|offset| stored.at(Offset(offset))).into();
        assert_eq!(found, [None, Some(5), Some(5), None, Some(9), Some(7)]);
        assert_eq!(stored.earliest(), Some(5));
        assert_eq!(AppendTimes::default().at(Offset(3)), None);
    }
}
