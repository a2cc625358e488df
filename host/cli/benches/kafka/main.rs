//! The distributed pipeline's figures: real `assay serve` processes on real servers, which share the machine's cores
//! with them and with this bench. `cargo xtask bench kafka` brings the servers up and runs it.
//!
//! One file per figure: `ratio` (log to log beside a bare loop), `latency` (at a steady rate), `sinks` (what each
//! of them costs), `recovery` (a member dies). What is measured is written as JSON to the path in `ASSAY_BENCH_JSON`.
//!
//! `ASSAY_BENCH_EVENTS` (1,000,000): the backlog of `ratio` and the entities of `recovery`; a thirtieth of it is that of
//! `sinks`. `ASSAY_BENCH_ONLY`: some of the figures, separated by commas.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench fails by panicking")]

mod bare;
mod events;
mod latency;
mod quantiles;
mod ratio;
mod recovery;
mod scrape;
mod sinks;
#[path = "../../tests/support/stack.rs"]
mod stack;
mod stage;
#[path = "../../tests/support/mod.rs"]
mod support;
#[path = "../../tests/support/ties/mod.rs"]
mod ties;
mod topics;
mod watch;

use std::path::Path;

use serde_json::{Map, Value, json};

const FIGURES: [&str; 4] = ["ratio", "latency", "sinks", "recovery"];
const EVENTS: usize = 1_000_000;

fn main() {
    let events = std::env::var("ASSAY_BENCH_EVENTS").map_or(EVENTS, |text| text.parse().expect("a number of events"));
    let only = std::env::var("ASSAY_BENCH_ONLY").unwrap_or_else(|_| FIGURES.join(","));
    let wanted: Vec<&str> = only.split(',').map(str::trim).collect();
    if let Some(unknown) = wanted.iter().find(|name| !FIGURES.contains(name)) {
        panic!("ASSAY_BENCH_ONLY: '{unknown}' is none of {}", FIGURES.join(", "));
    }
    let folder = tempfile::tempdir().unwrap();
    let mut report = machine(events);
    for figure in FIGURES.into_iter().filter(|figure| wanted.contains(figure)) {
        println!("\n== {figure}");
        report.insert(figure.to_owned(), measure(figure, folder.path(), events));
        // After each, so that a later one that fails does not take it away.
        write(&report);
    }
}

fn measure(figure: &str, folder: &Path, events: usize) -> Value {
    match figure {
        "ratio" => ratio::measure(folder, events),
        "latency" => latency::measure(folder),
        "sinks" => sinks::measure(folder, events / 30),
        _ => recovery::measure(folder, events as u32),
    }
}

fn machine(events: usize) -> Map<String, Value> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().and_then(|load| load.parse::<f64>().ok());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{} on {cores} cores, load before {}", cpu.unwrap_or("a CPU"), load.unwrap_or(f64::NAN));
    let report = json!({
        "bench": "kafka",
        "events": events,
        "partitions": events::PARTITIONS,
        "cpu": cpu,
        "cores": cores,
        "load_before": load,
        "shared": "broker, stores, this bench and Assay all run on these cores",
    });
    report.as_object().cloned().unwrap_or_default()
}

fn write(report: &Map<String, Value>) {
    if let Ok(path) = std::env::var("ASSAY_BENCH_JSON") {
        std::fs::write(path, serde_json::to_string_pretty(report).unwrap()).unwrap();
    }
}
