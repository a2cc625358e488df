//! Seeds of the simulator. `cargo xtask simulate` sets the variable; without it a few seconds are spent on seeds that begin
//! with a fixed one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod mutations;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use assay_engine::simulator::{SimulationOptions, Simulator};

/// The seeds to run and how long at most: `first,count,seconds`.
const VARIABLE: &str = "ASSAY_SIMULATE";
const DEFAULT_RUN: (u64, u64, u64) = (1, 200, 45);
/// How often progress is shown.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

fn wanted_run() -> (u64, u64, u64) {
    let Ok(text) = std::env::var(VARIABLE) else { return DEFAULT_RUN };
    let numbers: Vec<u64> = text.split(',').map(|number| number.parse().unwrap()).collect();
    (numbers[0], numbers[1], numbers[2])
}

#[test]
fn results_are_those_of_an_undisturbed_run() {
    let (first, count, seconds) = wanted_run();
    let options = SimulationOptions { loses_verdicts: std::env::var("ASSAY_SIMULATE_GAPS").is_ok() };
    let simulator = Simulator::new().unwrap();
    let (begin, mut shown, mut seeds) = (Instant::now(), Instant::now(), 0);
    let (mut events, mut steps, mut results) = (0, 0, 0);
    let mut disturbances: BTreeMap<&str, u64> = BTreeMap::new();
    let mut failed = Vec::new();
    for seed in first..first.saturating_add(count) {
        if begin.elapsed() > Duration::from_secs(seconds) {
            break;
        }
        match simulator.run_seed(seed, options) {
            Ok(report) => {
                events += report.events;
                steps += report.steps;
                results += report.results;
                for (name, times) in report.disturbances {
                    *disturbances.entry(name).or_default() += times;
                }
            }
            Err(error) => {
                println!("FAILED {error}");
                failed.push(seed);
                if std::env::var("ASSAY_SIMULATE_FIRST").is_ok() {
                    break;
                }
            }
        }
        seeds += 1;
        if shown.elapsed() > PROGRESS_INTERVAL {
            shown = Instant::now();
            println!("{seeds} seeds, the last one {seed}: {events} events, {steps} steps, {} failed", failed.len());
        }
    }
    println!(
        "{seeds} seeds from {first} in {:.1?}: {events} events, {steps} steps, {results} results compared; {disturbances:?}",
        begin.elapsed()
    );
    assert!(failed.is_empty(), "seeds that failed: {failed:?}");
}

#[test]
fn a_seed_does_the_same_again() {
    let simulator = Simulator::new().unwrap();
    for seed in [3, 1_000_003] {
        let run = || simulator.run_seed(seed, SimulationOptions::default()).map_err(|error| error.to_string());
        assert_eq!(run(), run(), "{seed}");
    }
}
