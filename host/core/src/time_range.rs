//! A range of times whose ends may be open. An open end is `None` and not a special time: the greatest time is an
//! ordinary one.

/// The times from `from` on and before `to`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// The earliest time, ms since 1970; none: all earlier times.
    pub from: Option<i64>,
    /// The time after the latest, ms since 1970; none: all later times.
    pub to: Option<i64>,
}

impl TimeRange {
    /// All times.
    pub const ALL: Self = Self { from: None, to: None };

    /// One time alone.
    pub fn at(time: i64) -> Self {
        Self { from: Some(time), to: time.checked_add(1) }
    }

    /// The earliest and the latest time; none for an empty range.
    pub fn bounds(self) -> Option<(i64, i64)> {
        let earliest = self.from.unwrap_or(i64::MIN);
        let latest = match self.to {
            None => i64::MAX,
            Some(to) => to.checked_sub(1)?,
        };
        (earliest <= latest).then_some((earliest, latest))
    }

    /// True if a time is in it.
    pub fn contains(self, time: i64) -> bool {
        self.from.is_none_or(|from| time >= from) && self.to.is_none_or(|to| time < to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_and_the_greatest_time_are_ordinary_times() {
        for time in [i64::MIN, -1, 0, i64::MAX] {
            assert!(TimeRange::ALL.contains(time));
            assert_eq!(TimeRange::at(time).bounds(), Some((time, time)));
            assert!(TimeRange::at(time).contains(time));
        }
        assert_eq!(TimeRange::ALL.bounds(), Some((i64::MIN, i64::MAX)));
        assert!(!TimeRange::at(5).contains(6) && !TimeRange::at(5).contains(4));
        for empty in [(Some(5), Some(5)), (Some(7), Some(5)), (None, Some(i64::MIN))] {
            assert_eq!(TimeRange { from: empty.0, to: empty.1 }.bounds(), None);
        }
    }
}
