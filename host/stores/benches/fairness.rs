//! What is left to others on one worker: to four rules beside one whose plugin never ends, and to a fast stream beside one
//! whose events take 1.5 ms each. Prints both and writes JSON to the path in `ASSAY_BENCH_JSON`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that fails has no figures")]

#[path = "../tests/loops/mod.rs"]
mod loops;

use std::time::{Duration, Instant};

use assay_engine::ports::catalog::Kind;
use assay_engine::{EngineConfig, Metrics};
use assay_runtime::{Batch, Blobs, Bools, Column, Floats, Ints, Limits, Runtime, RuntimeConfig, Texts};
use loops::{ENDLESS, Running, change};
use serde_json::{Value, json};

/// Events per second that come in beside the rule that never ends.
const RATE: usize = 5_000;
const SECONDS: usize = 6;
/// How long an event of the slow stream takes.
const SLOW: Duration = Duration::from_micros(1_500);
/// Events of the fast stream, one by one, each waited for.
const WAITED: usize = 2_000;

fn main() {
    let alone = scored_per_second(false);
    let beside_loop = scored_per_second(true);
    println!("events scored in each second, four rules at {RATE} events/s: alone {alone:?}");
    println!("  beside a rule that never ends: {beside_loop:?}");
    let kept = |second: usize| beside_loop[second] as f64 / alone[second].max(1) as f64;
    let least_kept = (1..SECONDS).map(kept).fold(f64::INFINITY, f64::min);
    println!("  least share kept from the second second on: {least_kept:.2}");
    let fast = waits(false);
    let beside_slow = waits(true);
    println!("from ingest to verdicts, a fast stream alone: p50 {:.2} ms, p99 {:.2} ms", fast.0, fast.1);
    println!("  beside a stream of {SLOW:?} an event: p50 {:.2} ms, p99 {:.2} ms", beside_slow.0, beside_slow.1);
    let report = json!({
        "bench": "fairness",
        "events_per_s": RATE,
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

/// Events that were scored in each second while events come in at a constant rate.
fn scored_per_second(with_loop: bool) -> Vec<u64> {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), Limits::default());
    running.define(with_loop);
    // Large batches first, as in a server that has been running.
    running.ingest("payments", 0, &[1.0; 20_000]);
    running.until_judged("payments", 20_000);
    let scored = || running.engine.metrics().scored.get_or_create(&Metrics::stream("payments")).get();
    let (started, mut before, mut per_second) = (Instant::now(), scored(), Vec::new());
    let parts = 50;
    for part in 0..SECONDS * parts {
        running.ingest("payments", 20_000 + part * RATE / parts, &vec![ENDLESS; RATE / parts]);
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

/// The median and the 99th percentile of what a client of the fast stream waits for verdicts, ms.
fn waits(beside_slow: bool) -> (f64, f64) {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start_with(dir.path(), EngineConfig { breaker_share: 0.0, ..EngineConfig::default() });
    running.define(false);
    if beside_slow {
        running.engine.upload_plugin(loops::hostile(), "bench", false).unwrap();
        let rule = json!({ "rule": "slow", "stream": "payments", "plugin": "hostile@1",
            "inputs": { "a": "amount", "b": "amount" }, "config": config(rounds()) });
        running.engine.change(vec![change(Kind::Rule, "slow", rule)], "bench", None, false).unwrap();
        // More than the worker gets done meanwhile.
        running.ingest("payments", 0, &[1.0; 20_000]);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut waits: Vec<f64> = (0..WAITED)
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
    (waits[WAITED / 2], waits[WAITED * 99 / 100])
}

fn config(rounds: u64) -> Value {
    json!({ "mode": "sum-only", "rounds": rounds })
}

/// How many rounds of work take as long as an event of the slow stream.
fn rounds() -> u64 {
    const TRIED: u64 = 100_000;
    let plugin = Runtime::new(RuntimeConfig::default()).unwrap().load(&loops::hostile()).unwrap();
    let mut instance = plugin.instance(&config(TRIED).to_string(), Limits::default()).unwrap();
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
    (TRIED as f64 * SLOW.as_secs_f64() / took.as_secs_f64()) as u64
}
