//! Checks the event times of a stream: windows must be able to hold them, and they must not be much later than the time
//! at which the log stored the event. There is no clock here: both times are arguments, so that a recovery decides as
//! the first run did.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::failure_code::FailureCode;
use crate::span::Span;

/// The bound on event times, in milliseconds before and after 1970 (36 million years). Within it tile numbers are exact
/// for every tile width, and the sum of a time and the spans of a view does not overflow.
pub const MAX_EVENT_TIME_MS: i64 = 1 << 60;

/// The text of `max_ahead` for no bound.
const UNBOUNDED: &str = "none";

/// The bound on how much later an event's own time may be than the time at which the log stored it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxAhead {
    /// At most this much later.
    Within(Span),
    /// There is no bound.
    Unbounded,
}

impl MaxAhead {
    /// The bound of a stream whose definition has none: one day.
    pub const DEFAULT: Self = Self::Within(Span(86_400_000));

    /// True for the default, which definitions leave out.
    pub fn is_default(&self) -> bool {
        *self == Self::DEFAULT
    }

    /// Checks the time of an event, in ms since 1970. `stored_at` is the time at which the log stored it; without a log
    /// it is none, and only the range is checked.
    ///
    /// # Errors
    /// The event is outside of the range, or later than the bound allows.
    pub fn check(self, time: i64, stored_at: Option<i64>) -> Result<(), TimeError> {
        if !(-MAX_EVENT_TIME_MS..=MAX_EVENT_TIME_MS).contains(&time) {
            return Err(TimeError::OutOfRange { time });
        }
        match (self, stored_at) {
            (Self::Within(max_ahead), Some(stored_at)) if time > stored_at.saturating_add(max_ahead.as_millis()) => {
                Err(TimeError::Ahead { time, stored_at, max_ahead })
            }
            _ => Ok(()),
        }
    }

    /// True if all times of a batch pass the check. `stored_at` is the earliest time at which one of the events was
    /// stored. False means that each event must be checked alone.
    pub fn takes_all(self, times: &[i64], stored_at: Option<i64>) -> bool {
        // The loop has no early exit, so that the compiler vectorises it: most batches pass.
        let (least, greatest) =
            times.iter().fold((i64::MAX, i64::MIN), |(least, greatest), time| (least.min(*time), greatest.max(*time)));
        times.is_empty() || (self.check(greatest, stored_at).is_ok() && self.check(least, stored_at).is_ok())
    }
}

impl Default for MaxAhead {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Serialize for MaxAhead {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Within(span) => span.serialize(serializer),
            Self::Unbounded => serializer.serialize_str(UNBOUNDED),
        }
    }
}

impl<'de> Deserialize<'de> for MaxAhead {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == UNBOUNDED {
            return Ok(Self::Unbounded);
        }
        let span = text.parse().map(Self::Within);
        span.map_err(|error| serde::de::Error::custom(format!("{error}; or '{UNBOUNDED}', for no bound")))
    }
}

/// The reason why an event is refused because of its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// It is later than the stream's bound allows.
    #[error(
        "the event's time {} is more than {max_ahead} (the stream's max_ahead) later than {}, when it was stored: a \
         clock that is wrong, or another unit than the schema says?",
        TimeText(*time),
        TimeText(*stored_at)
    )]
    Ahead {
        /// The event's time, ms since 1970.
        time: i64,
        /// When the log stored it, ms since 1970.
        stored_at: i64,
        /// The stream's bound.
        max_ahead: Span,
    },
    /// No window can hold it.
    #[error(
        "the event's time {time} ms since 1970 is beyond what views can hold, {MAX_EVENT_TIME_MS} ms before and after \
         1970: another unit than the schema says?"
    )]
    OutOfRange {
        /// The event's time, ms since 1970.
        time: i64,
    },
}

impl TimeError {
    /// The code by which the API and dead letters name it.
    pub fn code(&self) -> FailureCode {
        match self {
            Self::Ahead { .. } => FailureCode::TimeAhead,
            Self::OutOfRange { .. } => FailureCode::TimeOutOfRange,
        }
    }
}

/// A time as RFC 3339, or as a number where that has no text.
struct TimeText(i64);

impl fmt::Display for TimeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => write!(f, "{} ms since 1970", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 86_400_000;
    const STORED: i64 = 1_767_225_600_000;

    #[test]
    fn an_event_time_is_bounded_by_max_ahead() {
        let bound = MaxAhead::default();
        assert_eq!(bound.check(STORED + DAY, Some(STORED)), Ok(()));
        let refused = bound.check(STORED + DAY + 1, Some(STORED)).unwrap_err();
        assert_eq!(refused.code(), FailureCode::TimeAhead);
        assert_eq!(
            refused.to_string(),
            "the event's time 2026-01-02T00:00:00.001Z is more than 1d (the stream's max_ahead) later than \
             2026-01-01T00:00:00Z, when it was stored: a clock that is wrong, or another unit than the schema says?"
        );
        assert_eq!(bound.check(STORED + DAY + 1, None), Ok(()), "where there is no log nothing is ahead of it");
        assert_eq!(MaxAhead::Unbounded.check(STORED * 1000, Some(STORED)), Ok(()));
        assert_eq!(MaxAhead::Within(Span(0)).check(STORED, Some(STORED)), Ok(()));
        assert!(MaxAhead::Within(Span(0)).check(STORED + 1, Some(STORED)).is_err());
        assert_eq!(MaxAhead::Within(Span::MAX).check(5, Some(i64::MAX)), Ok(()));
    }

    #[test]
    fn times_that_windows_cannot_hold_are_refused_under_any_bound() {
        for bound in [MaxAhead::default(), MaxAhead::Unbounded] {
            for time in [i64::MIN, -MAX_EVENT_TIME_MS - 1, MAX_EVENT_TIME_MS + 1, STORED * 1_000_000, i64::MAX] {
                assert_eq!(bound.check(time, None).unwrap_err().code(), FailureCode::TimeOutOfRange, "{time}");
            }
            assert_eq!(bound.check(-MAX_EVENT_TIME_MS, Some(0)), Ok(()));
            assert_eq!(bound.check(MAX_EVENT_TIME_MS, None), Ok(()));
        }
    }

    #[test]
    fn bounds_are_written_as_spans_or_as_none() {
        for (text, bound) in [("\"1d\"", MaxAhead::DEFAULT), ("\"none\"", MaxAhead::Unbounded)] {
            assert_eq!(serde_json::from_str::<MaxAhead>(text).unwrap(), bound);
            assert_eq!(serde_json::to_string(&bound).unwrap(), text);
        }
        let error = serde_json::from_str::<MaxAhead>("\"a day\"").unwrap_err().to_string();
        assert!(error.contains("or 'none', for no bound"), "{error}");
    }

    proptest! {
        #[test]
        fn a_batch_passes_exactly_if_each_of_its_times_does(
            times in prop::collection::vec(prop_oneof![0..100i64, any::<i64>()], 0..8),
            stored in prop::option::of(0..50i64),
            ahead in prop_oneof![Just(MaxAhead::Unbounded), (0..60u64).prop_map(|ms| MaxAhead::Within(Span(ms)))],
        ) {
            let all_pass = times.iter().all(|time| ahead.check(*time, stored).is_ok());
            prop_assert_eq!(ahead.takes_all(&times, stored), all_pass);
        }
    }
}
