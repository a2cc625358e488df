//! How streams, entities and times are written in the tables' keys, and which write timestamps rows get.

use std::borrow::Cow;

use assay_core::names::{Digest, Offset};
use assay_engine::ports::StreamPartition;
use xxhash_rust::xxh3::xxh3_64;

/// Texts up to this many bytes are in keys as they are. CQL takes keys of 64 kB.
const LONGEST_TEXT: usize = 512;

/// The highest write timestamp that is given out. ScyllaDB refuses timestamps that are more than three days in the
/// future, taken as microseconds since 1970; 2^50 of them are the year 2005. So this is the bound of offsets: a
/// partition whose every microsecond has an event reaches it after 35 years.
const LAST_TIMESTAMP: u64 = 1 << 50;

/// Events of so many offsets share a partition of a table.
const OFFSETS_PER_BUCKET: u64 = 10_000;

/// An entity's events of so many milliseconds share a partition: a week.
const WEEK_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// A partition of a stream, as all tables name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Home {
    /// The stream; from the second incarnation on with its number, as in `payments~1`.
    pub(super) stream: String,
    /// The partition of the log.
    pub(super) partition: i32,
}

impl Home {
    pub(super) fn new(of: &StreamPartition, incarnation: u16) -> Self {
        let stream = match incarnation {
            0 => of.stream.to_string(),
            // No stream has a '~' in its name.
            _ => format!("{}~{incarnation}", of.stream),
        };
        // Partitions are few: a log that has 2^31 of them is not of this world.
        Self { stream, partition: of.partition.0 as i32 }
    }
}

/// A text as it is in keys: long ones are cut, with the digest of the whole behind. No short text looks like that,
/// because it would have to be longer than short texts are.
pub(super) fn bounded(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST_TEXT {
        return Cow::Borrowed(text);
    }
    let start = &text[..text.floor_char_boundary(LONGEST_TEXT)];
    Cow::Owned(format!("{start}#{}", Digest::of(text.as_bytes())))
}

/// The write timestamp of what holds all events before an offset: rows with more events win, whenever they come.
pub(super) fn timestamp(events: Offset) -> i64 {
    // Below 2^50 + 1.
    (events.0.min(LAST_TIMESTAMP - 1) + 1) as i64
}

/// An offset as a column of the type bigint holds it. Offsets of real logs are below 2^63.
pub(super) fn bigint(offset: Offset) -> i64 {
    offset.0 as i64
}

/// The other way.
pub(super) fn offset(bigint: i64) -> Offset {
    Offset(bigint as u64)
}

/// The number of a schema as a column of the type int holds it. A stream has at most some hundred.
pub(super) fn int(schema: u32) -> i32 {
    schema as i32
}

/// The other way. Rows without a number are of a time when streams had one schema.
pub(super) fn schema(int: Option<i32>) -> u32 {
    int.unwrap_or(0) as u32
}

/// Which of the 256 buckets of its log partition an entity's state is in: the highest byte of its key's XXH3. The
/// log's partitions are told by the lower ones.
pub(super) fn state_bucket(key: &str) -> i32 {
    (xxh3_64(key.as_bytes()) >> 56) as i32
}

/// Which bucket of its log partition an offset is in.
pub(super) fn offset_bucket(offset: Offset) -> i64 {
    (offset.0 / OFFSETS_PER_BUCKET) as i64
}

/// The week of a time, counted from 1970-01-01.
pub(super) fn week(time: i64) -> i64 {
    time.div_euclid(WEEK_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_bounded_and_stay_apart() {
        let long = "ä".repeat(50_000);
        let longer = format!("{long}ä");
        assert_eq!(bounded("card-1"), "card-1");
        assert_eq!(bounded(&"k".repeat(LONGEST_TEXT)), "k".repeat(LONGEST_TEXT));
        assert_ne!(bounded(&long), bounded(&longer));
        let short = bounded(&long);
        assert!((LONGEST_TEXT + 1..1024).contains(&short.len()));
        // Nobody can name an entity so that it takes the row of another one.
        assert_ne!(bounded(&short), short);
    }

    #[test]
    fn more_events_have_a_higher_timestamp_that_scylladb_takes() {
        let mut before = 0;
        for events in [0, 1, 2, 1 << 20, 1 << 40, (1 << 50) - 1] {
            let now = timestamp(Offset(events));
            assert!(now > before, "{events}");
            before = now;
        }
        assert_eq!(timestamp(Offset(u64::MAX)), 1 << 50);
    }

    #[test]
    fn times_before_1970_have_weeks_of_their_own() {
        assert_eq!((week(-1), week(0), week(WEEK_MS - 1), week(WEEK_MS)), (-1, 0, 0, 1));
        assert!(week(i64::MIN) < week(i64::MAX));
    }
}
