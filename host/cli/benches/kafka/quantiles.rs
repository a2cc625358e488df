//! The latencies of many events, and their quantiles.

use std::time::Duration;

use serde_json::{Value, json};

/// The latency of each event, by its index; none if no verdict was seen.
pub(crate) struct Latencies(Vec<Option<Duration>>);

impl Latencies {
    pub(crate) fn of(events: usize) -> Self {
        Self(vec![None; events])
    }

    /// Records the latency of a verdict on an event. The last verdict counts.
    pub(crate) fn note(&mut self, event: usize, late: Duration) {
        if let Some(slot) = self.0.get_mut(event) {
            *slot = Some(slot.map_or(late, |before| before.max(late)));
        }
    }

    /// The quantiles of the events from an index on.
    pub(crate) fn to_json(&self, from: usize) -> Value {
        let late: Vec<Duration> = self.0[from..].iter().flatten().copied().collect();
        summary(late)
    }
}

/// Median, 99th percentile and maximum in ms, and the count.
pub(crate) fn summary(mut late: Vec<Duration>) -> Value {
    late.sort_unstable();
    let ms = |late: &Duration| (late.as_secs_f64() * 1e5).round() / 1e2;
    let at = |share: f64| late.get((late.len() as f64 * share) as usize).or(late.last()).map(ms);
    json!({ "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": late.last().map(ms), "count": late.len() })
}
