//! What a seed draws at the start of a run: sizes, rates of faults, and how fast each part runs.

use std::time::Duration;

use assay_core::retention::{Limits, Retention};
use assay_core::size::Size;

use crate::memory::{FaultRates, Random};

/// What all seeds have in common.
#[derive(Clone, Copy, Debug, Default)]
pub struct SimulationOptions {
    /// Whether in each seed, not in some, a block of verdicts may be lost while later ones of the same process come into the
    /// log.
    pub loses_verdicts: bool,
}

/// What one seed simulates.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    /// How many processes there are, most of the time.
    pub(super) processes: usize,
    pub(super) workers: usize,
    pub(super) partitions: u32,
    pub(super) batch_rows: usize,
    pub(super) checkpoint_every: Duration,
    pub(super) entities_in_memory: usize,
    pub(super) cards: u64,
    pub(super) devices: u64,
    /// How many events there are before each change of the catalog, and after the last one.
    pub(super) segments: Vec<u64>,
    pub(super) rates: FaultRates,
    /// Of 10,000 steps so many are disturbances.
    pub(super) disturbances: u64,
    /// Of 100 steps so many send an event.
    pub(super) events_per_100_steps: u64,
    /// How many milliseconds the disorder of event times may be.
    pub(super) disorder_ms: u64,
    /// How long the merge of a derived stream waits for a silent partition.
    pub(super) derive_wait: Duration,
    /// The size of each log from which on its oldest records may be deleted.
    pub(super) retention: Retention,
}

impl Scenario {
    pub(super) fn draw(random: &mut Random, options: SimulationOptions) -> Self {
        let mut rate = |max: u64| if random.below(3) == 0 { 0 } else { random.below(max) as u32 };
        let rates = FaultRates {
            failed_before: rate(30),
            failed_after: rate(30),
            failed_partly: rate(30),
            failed_late: rate(30),
            delayed_appends: rate(700),
            short_reads: rate(150),
            delayed_signals: rate(300),
            loses_verdicts: (random.below(3) == 0) | options.loses_verdicts,
        };
        let segments = 1 + random.index(4);
        let size = random.coin().then(|| Size(1 + random.below(8_000)));
        let limits = Limits { age: None, size };
        Self {
            processes: 1 + random.index(3),
            workers: 1 + random.index(2),
            partitions: 1 + random.below(3) as u32,
            batch_rows: 1 + random.index(16),
            checkpoint_every: Duration::from_millis(5 + random.below(300)),
            entities_in_memory: if random.coin() { 2 + random.index(6) } else { 1_000 },
            cards: 2 + random.below(10),
            devices: 1 + random.below(8),
            segments: (0..segments).map(|_| 10 + random.below(60)).collect(),
            rates,
            disturbances: random.below(300),
            events_per_100_steps: 1 + random.below(12),
            disorder_ms: random.below(120_000),
            derive_wait: Duration::from_millis([20, 200, 1_000, 5_000][random.index(4)]),
            retention: Retention { events: limits, verdicts: limits },
        }
    }

    /// Whether the order of a derived stream follows from when waits were given up: no partition of the source seems to be
    /// at its end when it is not.
    pub(super) fn is_order_known(&self) -> bool {
        self.rates.short_reads == 0
    }

    /// The same without anything that goes wrong or is deleted, in one process.
    pub(super) fn undisturbed(&self) -> Self {
        let (rates, retention) = (FaultRates::NONE, Retention::default());
        Self { processes: 1, workers: 1, rates, retention, disturbances: 0, ..self.clone() }
    }
}
