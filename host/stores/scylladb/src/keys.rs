//! The values of key columns (streams, entities, offsets, weeks) and the write timestamps of rows.

use std::borrow::Cow;

use assay_core::names::{Digest, Offset};
use assay_engine::ports::PartitionId;
use xxhash_rust::xxh3::xxh3_64;

/// The longest text that a key column holds unchanged, in bytes. CQL limits keys to 64 kB.
const MAX_KEY_TEXT_BYTES: usize = 512;

/// The highest write timestamp. ScyllaDB refuses timestamps that are more than three days in the future, read as
/// microseconds since 1970; 2^50 microseconds are the year 2005. A partition with an event in every microsecond reaches
/// this bound after 35 years. From there on the order of writes is no longer that of their offsets.
const MAX_TIMESTAMP: u64 = 1 << 50;

/// The number of consecutive offsets that share a partition of a table.
const OFFSETS_PER_BUCKET: u64 = 10_000;

/// The time range of an entity's events that share a partition of a table, in milliseconds: a week.
const WEEK_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// A partition of a stream, as the key columns `stream` and `log_partition` of all tables hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TablePartition {
    /// The stream, with the number of the incarnation unless it is 0, as in `payments~1`.
    pub(super) stream: String,
    /// The partition of the log.
    pub(super) partition: i32,
}

impl TablePartition {
    pub(super) fn new(partition: &PartitionId, incarnation: u16) -> Self {
        let stream = match incarnation {
            0 => partition.stream.to_string(),
            // The name cannot be that of another stream: stream names have no '~'.
            _ => format!("{}~{incarnation}", partition.stream),
        };
        // The cast is lossless: a log has far fewer than 2^31 partitions.
        Self { stream, partition: partition.partition.0 as i32 }
    }
}

/// The text of a key column. A long text is truncated, and the digest of the whole text is appended. The result is
/// longer than `MAX_KEY_TEXT_BYTES`, so it never equals a short text.
pub(super) fn bound_text(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_KEY_TEXT_BYTES {
        return Cow::Borrowed(text);
    }
    let start = &text[..text.floor_char_boundary(MAX_KEY_TEXT_BYTES)];
    Cow::Owned(format!("{start}#{}", Digest::of(text.as_bytes())))
}

/// The write timestamp of a row that includes all events before an offset. So a row with more events wins,
/// independently of the order of the writes.
pub(super) fn write_timestamp(events: Offset) -> i64 {
    // The cast is lossless: the value is at most MAX_TIMESTAMP.
    (events.0.min(MAX_TIMESTAMP - 1) + 1) as i64
}

/// Converts an offset to a CQL bigint. Offsets of real logs are far below 2^63.
pub(super) fn offset_to_bigint(offset: Offset) -> i64 {
    offset.0 as i64
}

/// Converts a CQL bigint to an offset.
pub(super) fn offset_from_bigint(bigint: i64) -> Offset {
    Offset(bigint as u64)
}

/// Converts the number of a schema to a CQL int. A stream has at most some hundred schemas.
pub(super) fn schema_to_int(schema: u32) -> i32 {
    schema as i32
}

/// Converts a CQL int to the number of a schema. Rows without a number were written when streams had one schema.
pub(super) fn schema_from_int(int: Option<i32>) -> u32 {
    int.unwrap_or(0) as u32
}

/// The bucket of an entity's state, of the 256 buckets of its log partition: the highest byte of the XXH3 of its key.
/// The lower bytes decide the log partition, so they cannot spread the entities of one partition.
pub(super) fn state_bucket(key: &str) -> i32 {
    (xxh3_64(key.as_bytes()) >> 56) as i32
}

/// The bucket of an offset in its log partition.
pub(super) fn offset_bucket(offset: Offset) -> i64 {
    (offset.0 / OFFSETS_PER_BUCKET) as i64
}

/// The week of a time in milliseconds, counted from 1970-01-01. It is negative before that day.
pub(super) fn week_of(time: i64) -> i64 {
    time.div_euclid(WEEK_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_truncated_and_stay_distinct() {
        let long = "ä".repeat(50_000);
        let longer = format!("{long}ä");
        assert_eq!(bound_text("card-1"), "card-1");
        assert_eq!(bound_text(&"k".repeat(MAX_KEY_TEXT_BYTES)), "k".repeat(MAX_KEY_TEXT_BYTES));
        assert_ne!(bound_text(&long), bound_text(&longer));
        let short = bound_text(&long);
        assert!((MAX_KEY_TEXT_BYTES + 1..1024).contains(&short.len()));
        // An entity whose key is the bound_text text of another one has a row of its own.
        assert_ne!(bound_text(&short), short);
    }

    #[test]
    fn more_events_have_a_higher_timestamp_up_to_the_limit() {
        let mut before = 0;
        for events in [0, 1, 2, 1 << 20, 1 << 40, (1 << 50) - 1] {
            let now = write_timestamp(Offset(events));
            assert!(now > before, "{events}");
            before = now;
        }
        assert_eq!(write_timestamp(Offset(u64::MAX)), 1 << 50);
    }

    #[test]
    fn times_before_1970_have_negative_weeks() {
        assert_eq!((week_of(-1), week_of(0), week_of(WEEK_MS - 1), week_of(WEEK_MS)), (-1, 0, 0, 1));
        assert!(week_of(i64::MIN) < week_of(i64::MAX));
    }
}
