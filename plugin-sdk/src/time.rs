//! Points in time as inputs: milliseconds, as Avro's `timestamp-millis`.

use serde::{Deserialize, Serialize};

/// A point in event time: milliseconds since 1970-01-01T00:00:00Z.
///
/// ```
/// use assay_sdk::Timestamp;
///
/// let (first, second) = (Timestamp::from_millis(1_000), Timestamp::from_millis(3_500));
/// assert_eq!(second.seconds_since(first), 2.5);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since 1970-01-01T00:00:00Z.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Milliseconds since `earlier`; negative if `earlier` is later. It saturates.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Seconds since `earlier`; negative if `earlier` is later.
    pub fn seconds_since(self, earlier: Self) -> f64 {
        self.millis_since(earlier) as f64 / 1_000.0
    }
}
