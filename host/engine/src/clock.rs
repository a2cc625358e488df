//! The wall clock: for when things were appended or changed, never for what a fold sees.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01T00:00:00Z.
pub fn now_ms() -> i64 {
    // A clock before 1970 is not worth an error; a clock past the year 292 million neither.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
