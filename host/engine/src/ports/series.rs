//! The time series port: points in time with tags and fields, for dashboards. Optional: without one, queries are
//! answered from the archive.

use assay_core::names::Offset;

use super::{PartitionId, RejectedItem, StoreError};

/// Nanoseconds of a millisecond.
const NANOS_PER_MILLI: u64 = 1_000_000;

/// A value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue {
    /// A number. Not NaN, not infinite.
    Float(f64),
    /// An integer.
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// A text.
    Text(String),
}

/// One point. Two points with the same measurement, tags and time are the same point: the later write wins.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// What is measured.
    pub measurement: String,
    /// By what it is told apart: few values each.
    pub tags: Vec<(String, String)>,
    /// What was measured; not empty.
    pub fields: Vec<(String, FieldValue)>,
    /// The offset of the event that it is of.
    pub offset: Offset,
    /// When, ns since 1970: the event's time, with its offset in the digits below the millisecond, so that events of
    /// the same millisecond stay apart.
    pub time_ns: i64,
}

impl Point {
    /// The time of an event's point: its milliseconds, and below them its offset, so that events of the same
    /// millisecond stay apart as long as fewer than a million stand between them. None: the time is not within the
    /// years 1677 to 2262, which nanoseconds can tell.
    pub fn time_ns(time_ms: i64, offset: Offset) -> Option<i64> {
        time_ms.checked_mul(NANOS_PER_MILLI as i64)?.checked_add((offset.0 % NANOS_PER_MILLI) as i64)
    }
}

/// Points in time. Fed by two sinks, one for each topic.
pub trait TimeSeries: Send + Sync {
    /// The offset from which on a partition's events have no points yet.
    ///
    /// # Errors
    /// The store fails.
    fn events_position(&self, partition: &PartitionId) -> Result<Offset, StoreError>;

    /// Writes points of events: all events before `next` have theirs then. Returns the points that the store refuses
    /// for good, by rising index. If there are any, the position is not stored: see [`RejectedItem`].
    ///
    /// # Errors
    /// The store fails.
    fn write_events(
        &self,
        partition: &PartitionId,
        points: Vec<Point>,
        next: Offset,
    ) -> Result<Vec<RejectedItem>, StoreError>;

    /// The offset of the verdicts topic from which on blocks have no points yet.
    ///
    /// # Errors
    /// The store fails.
    fn verdicts_position(&self, partition: &PartitionId) -> Result<Offset, StoreError>;

    /// Writes points of verdicts: all blocks before `next` have theirs then. Returns the points that the store refuses
    /// for good, by rising index. If there are any, the position is not stored: see [`RejectedItem`].
    ///
    /// # Errors
    /// The store fails.
    fn write_verdicts(
        &self,
        partition: &PartitionId,
        points: Vec<Point>,
        next: Offset,
    ) -> Result<Vec<RejectedItem>, StoreError>;

    /// Writes points that follow no log, such as the process's own metrics. Losing some is no harm. Returns the points
    /// that the store refuses for good, by rising index.
    ///
    /// # Errors
    /// The store fails.
    fn write(&self, points: Vec<Point>) -> Result<Vec<RejectedItem>, StoreError>;
}
