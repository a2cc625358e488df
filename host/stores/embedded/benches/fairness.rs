//! Fairness on one worker: the throughput of four rules beside a rule whose plugin loops forever, and the latency of a fast
//! stream beside one whose events take 1.5 ms each. Prints both and writes JSON to the path in `ASSAY_BENCH_JSON`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that fails has no figures")]

#[path = "../tests/endless_rule/mod.rs"]
mod endless_rule;

use std::time::{Duration, Instant};

use assay_engine::ports::catalog::Kind;
use assay_engine::{EngineConfig, Metrics};
use assay_runtime::{Batch, Blobs, Bools, Column, Floats, Ints, Limits, Runtime, RuntimeConfig, Texts};
use endless_rule::{ENDLESS, TestEngine, change};
use serde_json::{Value, json};

/// The ingest rate beside the endless rule, in events/s.
const EVENTS_PER_SECOND: usize = 5_000;
const SECONDS: usize = 6;
/// The scoring time of an event of the slow stream.
const SLOW_EVENT_TIME: Duration = Duration::from_micros(1_500);
/// The number of latency samples of the fast stream.
const LATENCY_SAMPLES: usize = 2_000;

fn main() {
    let alone = measure_throughput(false);
    let beside_loop = measure_throughput(true);
    println!("events scored in each second, four rules at {EVENTS_PER_SECOND} events/s: alone {alone:?}");
    println!("  beside a rule that never ends: {beside_loop:?}");
    let kept = |second: usize| beside_loop[second] as f64 / alone[second].max(1) as f64;
    let least_kept = (1..SECONDS).map(kept).fold(f64::INFINITY, f64::min);
    println!("  least share kept from the second second on: {least_kept:.2}");
    let fast = measure_latency(false);
    let beside_slow = measure_latency(true);
    println!("from ingest to verdicts, a fast stream alone: p50 {:.2} ms, p99 {:.2} ms", fast.0, fast.1);
    println!(
        "  beside a stream of {SLOW_EVENT_TIME:?} an event: p50 {:.2} ms, p99 {:.2} ms",
        beside_slow.0, beside_slow.1
    );
    let report = json!({
        "bench": "fairness",
        "events_per_s": EVENTS_PER_SECOND,
        "scored_per_second": { "alone": alone, "beside_loop": beside_loop },
        "least_share_kept_from_second_2": least_kept,
        "fast_stream_ms": {
            "alone": { "p50": fast.0, "p99": fast.1 },
            "beside_slow": { "p50": beside_slow.0, "p99": beside_slow.1 },
        },
    });
    if let Ok(path) = std::env::var("ASSAY_BENCH_JSON") {
        std::fs::write(path, serde_json::to_string_pretty(&report).unwrap()).unwrap();
    }
}

/// Measures the events scored in each second at a constant ingest rate.
fn measure_throughput(with_loop: bool) -> Vec<u64> {
    let dir = tempfile::tempdir().unwrap();
    let running = TestEngine::start(dir.path(), Limits::default());
    running.define(with_loop);
    // Large batches first, as in a server under load.
    running.ingest("payments", 0, &[1.0; 20_000]);
    running.wait_until_judged("payments", 20_000);
    let scored = || running.engine.metrics().scored.get_or_create(&Metrics::stream("payments")).get();
    let (started, mut before, mut per_second) = (Instant::now(), scored(), Vec::new());
    let parts = 50;
    for part in 0..SECONDS * parts {
        running.ingest(
            "payments",
            20_000 + part * EVENTS_PER_SECOND / parts,
            &vec![ENDLESS; EVENTS_PER_SECOND / parts],
        );
        let due = Duration::from_secs(1).mul_f64((part + 1) as f64 / parts as f64);
        std::thread::sleep(due.saturating_sub(started.elapsed()));
        if (part + 1) % parts == 0 {
            let now = scored();
            per_second.push(now - before);
            before = now;
        }
    }
    per_second
}

/// Measures the wait of a client of the fast stream for verdicts: median and 99th percentile, ms.
fn measure_latency(beside_slow: bool) -> (f64, f64) {
    let dir = tempfile::tempdir().unwrap();
    let running = TestEngine::start_with(dir.path(), EngineConfig { breaker_share: 0.0, ..EngineConfig::default() });
    running.define(false);
    if beside_slow {
        running.engine.catalog().upload_plugin(endless_rule::hostile(), "bench", false).unwrap();
        let rule = json!({ "rule": "slow", "stream": "payments", "plugin": "hostile@1",
            "inputs": { "a": "amount", "b": "amount" }, "config": config(calibrate_rounds()) });
        running.engine.catalog().change(vec![change(Kind::Rule, "slow", rule)], "bench", None, false).unwrap();
        // More events than the worker can score during the measurement.
        running.ingest("payments", 0, &[1.0; 20_000]);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut waits: Vec<f64> = (0..LATENCY_SAMPLES)
        .map(|number| {
            let mut ingest = running.engine.ingest("calm").unwrap();
            let event = json!({ "id": format!("c{number}"), "card": format!("card-{}", number % 50), "amount": 1.0,
                "at": 1_700_000_000_000_i64 + number as i64 });
            ingest.push_json(event.to_string().as_bytes()).unwrap();
            let started = Instant::now();
            let waited = runtime.block_on(async {
                let places = ingest.submit().unwrap().durable().await.unwrap();
                running.engine.wait_scored("calm", &places, Duration::from_secs(60)).await
            });
            let elapsed = started.elapsed().as_secs_f64() * 1e3;
            waited.unwrap();
            std::thread::sleep(Duration::from_millis(1));
            elapsed
        })
        .collect();
    waits.sort_by(f64::total_cmp);
    (waits[LATENCY_SAMPLES / 2], waits[LATENCY_SAMPLES * 99 / 100])
}

fn config(rounds: u64) -> Value {
    json!({ "mode": "sum-only", "rounds": rounds })
}

/// The number of plugin rounds that take [`SLOW_EVENT_TIME`].
fn calibrate_rounds() -> u64 {
    const TRIED_ITERATIONS: u64 = 100_000;
    let plugin = Runtime::new(RuntimeConfig::default()).unwrap().load(&endless_rule::hostile()).unwrap();
    let mut instance = plugin.instance(&config(TRIED_ITERATIONS).to_string(), Limits::default()).unwrap();
    let (floats, absent) = (Column::Floats(Floats { values: &[1.0], present: &[] }), &[0][..]);
    let times = Ints { values: &[0], present: absent };
    let columns = vec![
        floats,
        floats,
        Column::Texts(Texts { ends: &[0], data: &[], present: absent }),
        Column::Bools(Bools { values: &[0], present: absent }),
        Column::Ints(times),
        Column::Times(times),
    ];
    let batch = Batch { rows: 1, columns, entities: &[], states: Blobs::default() };
    let took = (0..20).map(|_| instance.score(&batch).unwrap().cpu_time).min().unwrap();
    (TRIED_ITERATIONS as f64 * SLOW_EVENT_TIME.as_secs_f64() / took.as_secs_f64()) as u64
}
