//! How much was taken in that is not scored yet, and the bound on it: beyond it, more is refused until scoring has
//! caught up. What comes by other ways than [`crate::Ingest`] is counted too, but not refused.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use assay_core::names::Offset;

use crate::ports::PartitionId;

/// Appends within this time share a mark.
const MARK_INTERVAL: Duration = Duration::from_secs(1);
/// Marks of a partition, at most: more than an hour of them. Then the newest grows.
const MAX_MARKS: usize = 4096;

/// How much of a partition may wait to be scored. Zeros are no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BacklogLimits {
    /// So many events.
    pub events: u64,
    /// Events of so many bytes, as Avro.
    pub bytes: u64,
    /// Events that were taken in so long ago.
    pub age: Duration,
}

impl Default for BacklogLimits {
    fn default() -> Self {
        Self { events: 125_000, bytes: 256 << 20, age: Duration::from_secs(15 * 60) }
    }
}

/// Why a partition takes in nothing more for now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "scoring is behind: partition {partition} has {waiting} that are not scored yet, at most {max} may wait ({setting})"
)]
pub struct Behind {
    partition: PartitionId,
    waiting: String,
    max: String,
    setting: &'static str,
}

/// What this process has taken in, by partition.
#[derive(Default)]
pub(crate) struct Backlog {
    partitions: Mutex<HashMap<PartitionId, VecDeque<Mark>>>,
}

/// Some appends after each other.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// The offset after the last event.
    end: u64,
    bytes: u64,
    /// When the first was appended.
    at: Instant,
}

impl Backlog {
    /// Notes that events were appended to a partition, which ends at `end` now.
    pub(crate) fn note(&self, partition: &PartitionId, end: Offset, bytes: u64, at: Instant) {
        // Marks are added and removed whole.
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        let marks = partitions.entry(partition.clone()).or_default();
        let is_full = marks.len() >= MAX_MARKS;
        match marks.back_mut() {
            Some(last) if is_full || at.saturating_duration_since(last.at) < MARK_INTERVAL => {
                last.end = last.end.max(end.0);
                last.bytes += bytes;
            }
            _ => marks.push_back(Mark { end: end.0, bytes, at }),
        }
    }

    /// Checks a partition that ends at `end` and is scored up to `next`.
    pub(crate) fn check(
        &self,
        partition: &PartitionId,
        next: Offset,
        end: Offset,
        limits: &BacklogLimits,
        now: Instant,
    ) -> Result<(), Behind> {
        let behind = |waiting, max, setting| Err(Behind { partition: partition.clone(), waiting, max, setting });
        let events = end.0.saturating_sub(next.0);
        if limits.events > 0 && events >= limits.events {
            return behind(format!("{events} events"), limits.events.to_string(), "engine.max_unscored_events");
        }
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(marks) = partitions.get_mut(partition) else { return Ok(()) };
        while marks.front().is_some_and(|mark| mark.end <= next.0) {
            marks.pop_front();
        }
        let bytes: u64 = marks.iter().map(|mark| mark.bytes).sum();
        if limits.bytes > 0 && bytes >= limits.bytes {
            let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
            return behind(format!("events of {}", mib(bytes)), mib(limits.bytes), "engine.max_unscored_mib");
        }
        let age = marks.front().map_or(Duration::ZERO, |mark| now.saturating_duration_since(mark.at));
        if !limits.age.is_zero() && age >= limits.age {
            let seconds = |age: Duration| format!("{} s", age.as_secs());
            let waiting = format!("events of {} ago", seconds(age));
            return behind(waiting, seconds(limits.age), "engine.max_unscored_age");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use assay_core::names::PartitionIndex;

    use super::*;

    fn payments() -> PartitionId {
        PartitionId { stream: "payments".into(), partition: PartitionIndex(3) }
    }

    #[test]
    fn each_bound_refuses_by_name_and_lets_go_when_scoring_has_caught_up() {
        let (backlog, partition, begin) = (Backlog::default(), payments(), Instant::now());
        let limits = BacklogLimits { events: 100, bytes: 1 << 20, age: Duration::from_secs(60) };
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let refusal = |next, end, seconds| {
            let checked = backlog.check(&partition, Offset(next), Offset(end), &limits, at(seconds));
            checked.err().map(|behind| behind.to_string())
        };
        assert_eq!(refusal(0, 99, 0), None);
        let events = refusal(0, 100, 0).unwrap();
        assert_eq!(
            events,
            "scoring is behind: partition payments/3 has 100 events that are not scored yet, at most 100 may wait \
             (engine.max_unscored_events)"
        );
        backlog.note(&partition, Offset(10), 600 << 10, at(0));
        backlog.note(&partition, Offset(20), 600 << 10, at(5));
        assert!(refusal(0, 20, 5).unwrap().contains("engine.max_unscored_mib"));
        assert_eq!(refusal(10, 20, 5), None, "half of the bytes are scored");
        assert!(refusal(10, 20, 65).unwrap().contains("engine.max_unscored_age"));
        assert_eq!(refusal(20, 20, 65), None);
    }

    #[test]
    fn marks_are_few_however_many_appends_there_are() {
        let (backlog, partition, begin) = (Backlog::default(), payments(), Instant::now());
        for i in 0..20_000_u64 {
            backlog.note(&partition, Offset(i), 1, begin + Duration::from_millis(i * 1500));
        }
        assert_eq!(backlog.partitions.lock().unwrap()[&partition].len(), MAX_MARKS);
    }
}
