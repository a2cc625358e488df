//! Measures the plugin boundary: ns per event by rows per call, for `velocity` in Wasm and as a plain Rust function.
//!
//! It needs `velocity.wasm` in the folder `ASSAY_PLUGINS`, which `cargo xtask bench abi` provides.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use assay_runtime::{Batch, Blobs, Column, Floats, Ints, Limits, Runtime, RuntimeConfig};
use serde_json::json;
use velocity::{Config, Payment};

/// The least time of a measurement. The best of five measurements is reported.
const MIN_MEASURED_TIME: Duration = Duration::from_millis(60);

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::var("ASSAY_PLUGINS")
        .map_err(|_| "ASSAY_PLUGINS must name the folder of compiled plugins: run `cargo xtask bench abi`")?;
    let wasm = std::fs::read(format!("{folder}/velocity.wasm"))?;
    let runtime = Runtime::new(RuntimeConfig::default())?;
    let started = Instant::now();
    let plugin = runtime.load(&wasm)?;
    println!("velocity.wasm: {} bytes, loaded in {:.0} ms", wasm.len(), started.elapsed().as_secs_f64() * 1e3);
    let mut instance = plugin.instance("{}", Limits::default())?;
    let config = Config::default();
    let mut measured = Vec::new();
    println!("{:>6} {:>14} {:>14}", "rows", "Wasm ns/event", "Rust ns/event");
    for rows in [1_usize, 16, 64, 256, 1024, 4096] {
        let amounts: Vec<f64> = (0..rows).map(|row| (row * 37 % 1000) as f64).collect();
        let spent: Vec<f64> = amounts.iter().map(|amount| amount * 1.5).collect();
        let counts: Vec<i64> = (0..rows as i64).map(|row| row % 4).collect();
        let in_wasm = measure_best(rows, || {
            let columns = vec![
                Column::Floats(Floats { values: &amounts, present: &[] }),
                Column::Floats(Floats { values: &spent, present: &[] }),
                Column::Ints(Ints { values: &counts, present: &[] }),
            ];
            let batch = Batch { rows: rows as u32, columns, entities: &[], states: Blobs::default() };
            black_box(instance.score(black_box(&batch)).is_ok());
        });
        let in_rust = measure_best(rows, || {
            for row in 0..rows {
                let payment = Payment { amount: amounts[row], spent_1h: Some(spent[row]), count_1h: Some(counts[row]) };
                black_box(velocity::score(&config, black_box(payment)));
            }
        });
        println!("{rows:>6} {in_wasm:>14.1} {in_rust:>14.1}");
        measured.push(json!({ "rows": rows, "ns_per_event": in_wasm, "ns_per_event_rust": in_rust }));
    }
    if let Ok(path) = std::env::var("ASSAY_BENCH_JSON") {
        let at_256 = measured[3]["ns_per_event"].as_f64().unwrap_or(f64::NAN);
        let report = json!({
            "bench": "abi",
            "ns_per_event": at_256,
            "events_per_s_per_core": (1e9 / at_256).round(),
            "by_rows": measured,
        });
        std::fs::write(path, serde_json::to_string_pretty(&report)?)?;
    }
    Ok(())
}

/// Nanoseconds per row of the fastest of five measurements.
fn measure_best(rows: usize, mut call: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let started = Instant::now();
        let mut calls = 0;
        while started.elapsed() < MIN_MEASURED_TIME {
            call();
            calls += 1;
        }
        best = best.min(started.elapsed().as_nanos() as f64 / (calls * rows) as f64);
    }
    best
}
