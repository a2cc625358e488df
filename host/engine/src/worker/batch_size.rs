//! How many events the next batch of a partition has: as many as are expected to take a few milliseconds, so that other
//! partitions of the worker, and requests, need not wait for long.

use std::time::Duration;

/// CPU time that a batch is meant to take.
const MAX_BATCH_TIME: Duration = Duration::from_millis(5);
/// The same while other streams of the worker have events too. One of their events waits for the batch in hand, and its
/// verdicts for the next one.
const MAX_SHARED_BATCH_TIME: Duration = Duration::from_millis(2);
/// Events of the first batch by a plan, whose rules may be slow. So few are never given up by a plugin's instance.
const FIRST_ROWS: usize = 4;
/// The most times that a batch may be larger than the one before it.
const MAX_GROWTH: usize = 4;
/// Fewer events than this are never due to what a batch costs that has hardly any (with very many rules), only to
/// a plugin that needs long for each event.
const MIN_ROWS_OF_FAST_RULES: usize = 64;

/// How many events the next batch has.
#[derive(Debug)]
pub(super) struct BatchSize {
    rows: usize,
    max_rows: usize,
    batch_time: Duration,
}

impl BatchSize {
    pub(super) fn new(max_rows: usize) -> Self {
        Self { rows: FIRST_ROWS.min(max_rows).max(1), max_rows, batch_time: MAX_BATCH_TIME }
    }

    /// The most events of the next batch.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Other rules judge from now on: how long they take is not known.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.max_rows);
    }

    /// Notes that other streams have events too, or not.
    pub(super) fn set_shared(&mut self, is_shared: bool) {
        self.batch_time = if is_shared { MAX_SHARED_BATCH_TIME } else { MAX_BATCH_TIME };
    }

    /// Notes how long a batch took, and the slowest of its plugins.
    pub(super) fn note(&mut self, rows: usize, time: Duration, slowest_plugin: Duration) {
        let min_rows = MIN_ROWS_OF_FAST_RULES.min(rows_within(self.batch_time, rows, slowest_plugin));
        let rows = rows_within(self.batch_time, rows, time).max(min_rows);
        self.rows = rows.min(self.rows.saturating_mul(MAX_GROWTH)).clamp(1, self.max_rows.max(1));
    }
}

/// How many rows would take the time that there is, if this many took so long.
fn rows_within(max_time: Duration, rows: usize, took: Duration) -> usize {
    let rows = max_time.as_nanos().saturating_mul(rows as u128) / took.as_nanos().max(1);
    usize::try_from(rows).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes of the first batches when each event takes so long, and each batch so long besides.
    fn sizes(per_event: Duration, per_batch: Duration) -> Vec<usize> {
        let mut size = BatchSize::new(4096);
        let mut next = || {
            let rows = size.rows();
            let of_events = per_event * rows as u32;
            size.note(rows, per_batch + of_events, of_events);
            rows
        };
        (0..12).map(|_| next()).collect()
    }

    #[test]
    fn fast_streams_have_full_batches_soon_and_slow_ones_few_events() {
        let us = Duration::from_micros;
        let fast = sizes(Duration::from_nanos(500), us(50));
        assert_eq!(fast[..6], [4, 16, 64, 256, 1024, 4096]);
        assert_eq!(fast[11], 4096);
        assert_eq!(sizes(us(1_500), us(50))[1..], [3; 11]);
        assert_eq!(sizes(us(10_000), us(50))[1..], [1; 11], "a rule that never ends");
        let many_rules = sizes(us(10), us(20_000));
        assert!(many_rules[11] >= 64, "what a batch costs in any case does not make batches small: {many_rules:?}");
    }

    #[test]
    fn a_stream_that_becomes_slow_has_small_batches_at_once() {
        let mut size = BatchSize::new(4096);
        for _ in 0..8 {
            size.note(size.rows(), Duration::from_millis(1), Duration::ZERO);
        }
        assert_eq!(size.rows(), 4096);
        size.note(4096, Duration::from_secs(4), Duration::from_secs(4));
        assert_eq!(size.rows(), 5);
        size.set_shared(true);
        size.note(5, Duration::from_millis(5), Duration::from_millis(5));
        assert_eq!(size.rows(), 2, "others wait");
        size.reset();
        assert_eq!(size.rows(), FIRST_ROWS);
        assert_eq!(BatchSize::new(0).rows(), 1);
    }
}
