//! The hot path: Confluent-framed Avro payments in memory -> decode -> filter -> a sliding hour -> a Wasm plugin ->
//! verdicts encoded for the log. Prints the cost of each stage and writes JSON to the path in `ASSAY_BENCH_JSON`.
//!
//! Needs the compiled plugin `velocity.wasm` in the folder that `ASSAY_PLUGINS` names: `cargo xtask bench hot-path`
//! sees to both.

use std::error::Error;
use std::time::Instant;

use assay_engine::offline::Offline;
use assay_engine::ports::catalog::{Change, Kind};
use assay_runtime::{Limits, Runtime, RuntimeConfig};
use serde_json::{Value, json};

const CARDS: u64 = 100_000;
const BATCH: usize = 4096;
/// Events per second of event time: an hour of a sliding window holds a good many events of the busy cards.
const RATE: u64 = 1_000;
const DISORDER_MS: u64 = 30_000;

fn main() -> Result<(), Box<dyn Error>> {
    let events: usize = std::env::var("ASSAY_BENCH_EVENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000_000);
    let folder = std::env::var("ASSAY_PLUGINS")
        .map_err(|_| "ASSAY_PLUGINS must name the folder of compiled plugins: run `cargo xtask bench hot-path`")?;
    let velocity = std::fs::read(format!("{folder}/velocity.wasm"))?;
    let payments = Payments::generate(events);
    println!("{events} payments of {CARDS} cards, {:.0} bytes each", payments.bytes.len() as f64 / events as f64);

    // Each stage is the cost that it adds to the pipeline before it.
    let pipelines: [(&str, Vec<Change>); 6] = [
        ("decode, find entities", vec![stream()]),
        ("+ sliding hour of count and sum", vec![stream(), view()]),
        ("+ expression rule, verdicts encoded", vec![stream(), view(), rule(json!({ "score": "amount" }))]),
        ("+ filter", vec![stream(), view(), rule(json!({ "score": "amount", "when": FILTER }))]),
        ("ten such rules, whose filter is shared", [stream(), view()].into_iter().chain(ten_rules()).collect()),
        ("all, with velocity in Wasm", vec![stream(), view(), rule(plugin_rule())]),
    ];
    let mut stages = Vec::new();
    let mut best_of_all = f64::INFINITY;
    for (name, definitions) in pipelines {
        let mut times = Vec::new();
        let mut bytes = 0;
        for _ in 0..3 {
            let mut offline =
                Offline::new(&runtime()?, std::slice::from_ref(&velocity), definitions.clone(), &Limits::default())?;
            // The first part fills the windows and is not counted.
            let warm_up = events / 4;
            run(&mut offline, &payments, 0, warm_up)?;
            let started = Instant::now();
            bytes = run(&mut offline, &payments, warm_up, events)?;
            times.push(started.elapsed().as_nanos() as f64 / (events - warm_up) as f64);
        }
        times.sort_by(f64::total_cmp);
        let (best, median) = (times[0], times[1]);
        println!(
            "{name:<38} {best:>7.1} ns/event best, {median:>7.1} median, verdicts {:.0} B",
            bytes as f64 / (events * 3 / 4) as f64
        );
        stages.push(json!({ "stage": name, "ns_per_event": best, "ns_per_event_median": median }));
        best_of_all = best;
    }
    let per_second = 1e9 / best_of_all;
    println!("hot path: {per_second:.0} events/s per core");
    let report = json!({
        "bench": "hot-path",
        "events": events,
        "events_per_s_per_core": per_second.round(),
        "ns_per_event": best_of_all,
        "stages": stages,
    });
    if let Ok(path) = std::env::var("ASSAY_BENCH_JSON") {
        std::fs::write(path, serde_json::to_string_pretty(&report)?)?;
    }
    Ok(())
}

fn runtime() -> Result<Runtime, Box<dyn Error>> {
    Ok(Runtime::new(RuntimeConfig::default())?)
}

/// Scores payments in batches. Returns the bytes of their verdicts.
fn run(offline: &mut Offline, payments: &Payments, from: usize, to: usize) -> Result<usize, Box<dyn Error>> {
    let mut block = Vec::new();
    let mut bytes = 0;
    let mut batch: Vec<&[u8]> = Vec::with_capacity(BATCH);
    for start in (from..to).step_by(BATCH) {
        batch.clear();
        batch.extend((start..to.min(start + BATCH)).map(|event| payments.unframed(event)));
        block.clear();
        offline.score_avro("payments", &batch, &mut block)?;
        bytes += std::hint::black_box(&block).len();
    }
    Ok(bytes)
}

const FILTER: &str = "amount > 1.0 && country != \"XX\"";

fn stream() -> Change {
    let field = |name: &str, ty: Value| json!({ "name": name, "type": ty });
    let fields = [
        field("id", json!("string")),
        field("card", json!("string")),
        field("merchant", json!("string")),
        field("country", json!("string")),
        field("amount", json!("double")),
        field("time", json!({ "type": "long", "logicalType": "timestamp-millis" })),
    ];
    let schema = json!({ "type": "record", "name": "Payment", "fields": fields });
    let def =
        json!({ "stream": "payments", "key": "card", "time": "time", "id": "id", "partitions": 1, "schema": schema });
    Change::from_json(Kind::Stream, "payments", def)
}

fn view() -> Change {
    let measures = json!({ "payments": "count()", "spent": "sum(amount)" });
    let def = json!({ "view": "card_spend", "stream": "payments", "by": ["card"], "measures": measures, "over": "1h" });
    Change::from_json(Kind::View, "card_spend", def)
}

fn plugin_rule() -> Value {
    let inputs = json!({
        "amount": "amount",
        "spent_1h": "views.card_spend.spent",
        "count_1h": "views.card_spend.payments",
    });
    json!({ "plugin": "velocity@0", "when": FILTER, "inputs": inputs })
}

fn ten_rules() -> impl Iterator<Item = Change> {
    (0..10).map(|n| {
        let name = format!("r{n}");
        let def = json!({ "rule": name, "stream": "payments", "score": "amount", "when": FILTER });
        Change::from_json(Kind::Rule, name, def)
    })
}

fn rule(mut def: Value) -> Change {
    def["rule"] = json!("velocity");
    def["stream"] = json!("payments");
    if def["plugin"].is_string() {
        def["plugin"] = json!(std::env::var("ASSAY_VELOCITY").unwrap_or_else(|_| "velocity@1".into()));
    }
    Change::from_json(Kind::Rule, "velocity", def)
}

/// Framed payments, one behind the other.
struct Payments {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Payments {
    fn generate(events: usize) -> Self {
        let mut payments = Self { bytes: Vec::with_capacity(events * 64), ends: Vec::with_capacity(events) };
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for event in 0..events as u64 {
            // Skewed: the product of two uniform numbers favours low cards.
            let card = (unit(&mut random) * unit(&mut random) * CARDS as f64) as u64;
            let time = 1_767_225_600_000 + event * 1000 / RATE - next(&mut random) % DISORDER_MS;
            let amount = (unit(&mut random) * unit(&mut random) * 50_000.0).round() / 100.0;
            let country = ["DE", "FR", "US", "GB", "NL"][(next(&mut random) % 5) as usize];
            let out = &mut payments.bytes;
            out.extend_from_slice(&[0, 0, 0, 0, 7]);
            put_text(out, &format!("p-{event:010}"));
            put_text(out, &format!("card-{card:06}"));
            put_text(out, &format!("merchant-{:04}", next(&mut random) % 5000));
            put_text(out, country);
            out.extend_from_slice(&amount.to_le_bytes());
            put_long(out, time as i64);
            payments.ends.push(out.len());
        }
        payments
    }

    /// One payment without its Confluent frame: a zero byte and the schema's id, big-endian, which must be ours.
    fn unframed(&self, event: usize) -> &[u8] {
        let start = if event == 0 { 0 } else { self.ends[event - 1] };
        let framed = &self.bytes[start..self.ends[event]];
        assert_eq!(framed[..5], [0, 0, 0, 0, 7], "the frame");
        &framed[5..]
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn unit(state: &mut u64) -> f64 {
    (next(state) >> 11) as f64 / (1_u64 << 53) as f64
}

fn put_long(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
    while zigzag >= 0x80 {
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_long(out, text.len() as i64);
    out.extend_from_slice(text.as_bytes());
}
