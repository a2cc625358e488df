//! How the engine is set up. The command line and the config file fill this in.

use std::collections::BTreeSet;
use std::time::Duration;

use assay_core::retention::Retention;
use assay_runtime::Limits;

use crate::backlog::BacklogLimits;
use crate::clock::Clock;

/// How the engine is set up.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// How many workers: threads that score. One per core is best.
    pub workers: usize,
    /// Into how many partitions a new stream is cut that does not say so itself.
    pub partitions: u32,
    /// The most events in a batch.
    pub batch_rows: usize,
    /// How often a partition's state is saved.
    pub checkpoint_every: Duration,
    /// How many entities' states a partition keeps in memory; more are dropped after they were saved.
    pub entities_in_memory: usize,
    /// The sinks that run in this process; empty: all. The stores of the others are left to other processes, or
    /// lag.
    pub sinks: BTreeSet<String>,
    /// How long records of streams are kept that do not say so themselves, where the log leaves that to the engine.
    pub retention: Retention,
    /// What a plugin may use.
    pub limits: Limits,
    /// A rule whose plugin has failed on so many events within a minute, and on nearly all, is paused; 0: never.
    pub breaker_failures: u64,
    /// How much of each partition may wait to be scored before no more is taken in.
    pub backlog: BacklogLimits,
    /// A rule whose plugin takes at least this share of a worker's time by calls that run out of time, or by being slower than it
    /// may be, is paused; 0: never.
    pub breaker_share: f64,
    /// How long a derived stream waits for events of a partition of its source that has none, before it goes on
    /// without it.
    pub derive_wait: Duration,
    /// What workers tell the time by.
    #[doc(hidden)]
    pub clock: Clock,
    /// For tests.
    #[doc(hidden)]
    pub probe: crate::Probe,
}

impl EngineConfig {
    /// Whether a sink runs in this process.
    pub(crate) fn runs_sink(&self, sink: &str) -> bool {
        self.sinks.is_empty() || self.sinks.contains(sink)
    }
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            partitions: 8,
            batch_rows: 4096,
            checkpoint_every: Duration::from_secs(1),
            entities_in_memory: 1_000_000,
            sinks: BTreeSet::new(),
            retention: Retention::default(),
            limits: Limits::default(),
            breaker_failures: 1000,
            backlog: BacklogLimits::default(),
            breaker_share: 0.5,
            derive_wait: Duration::from_secs(1),
            clock: Clock::default(),
            probe: crate::Probe::default(),
        }
    }
}
