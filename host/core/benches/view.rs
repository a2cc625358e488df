//! Measures the time of a view per event: `cargo bench -p assay-core --bench view`.
//!
//! 100,000 entities, a few of them very busy; 2,000,000 events, up to 30 s out of order, in batches of 4,096 rows;
//! over two hours (half of the events open a tile) or ten minutes (most do not).

use std::sync::Arc;
use std::time::Instant;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, StringArray};
use assay_core::span::Span;
use assay_core::types::Type;
use assay_core::view::{Layout, Rows, Windows};

const ENTITIES: u64 = 100_000;
const EVENTS: usize = 2_000_000;
const BATCH: usize = 4_096;
const HOURS_2: u64 = 2 * 3_600_000;
const MINUTES_10: u64 = 600_000;

/// A batch of events.
struct EventBatch {
    slots: Vec<u32>,
    times: Vec<i64>,
    amounts: ArrayRef,
    countries: ArrayRef,
    large: BooleanArray,
}

/// SplitMix64: enough randomness for a bench, and no dependency.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A uniform number from 0 to 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn make_batches(spread_ms: u64, disorder_ms: u64) -> Vec<EventBatch> {
    let mut random = Random(7);
    (0..EVENTS / BATCH).map(|batch| make_batch(batch, spread_ms, disorder_ms, &mut random)).collect()
}

fn make_batch(batch: usize, spread_ms: u64, disorder_ms: u64, random: &mut Random) -> EventBatch {
    // Ranks of entities are distributed by Zipf's law with exponent 1; the slots of ranks are scattered in the arena.
    let slots = (0..BATCH)
        .map(|_| ((ENTITIES as f64).powf(random.unit()) as u64).wrapping_mul(61_169) % ENTITIES)
        .map(|slot| slot as u32)
        .collect();
    let time = |row: usize| ((batch * BATCH + row) as u64 * spread_ms / EVENTS as u64) as i64;
    let times = (0..BATCH).map(|row| time(row) - (random.next() % (disorder_ms + 1)) as i64).collect();
    let amounts: Vec<f64> = (0..BATCH).map(|_| (random.unit() * 10_000.0).round() / 100.0).collect();
    let large = BooleanArray::from_iter(amounts.iter().map(|amount| Some(*amount > 50.0)));
    let countries =
        StringArray::from_iter_values((0..BATCH).map(|_| ["DE", "FR", "US", "GB"][(random.next() % 4) as usize]));
    EventBatch { slots, times, amounts: Arc::new(Float64Array::from(amounts)), countries: Arc::new(countries), large }
}

/// The nanoseconds that this thread has run on a processor, so that a busy machine has no influence. On systems that do
/// not report it, the wall time since `begin`.
fn busy_ns(begin: Instant) -> u64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let first = schedstat.as_deref().and_then(|text| text.split_whitespace().next()?.parse().ok());
    first.unwrap_or_else(|| begin.elapsed().as_nanos() as u64)
}

/// Folds all batches twice into new windows, the second time two hours later, and prints ns per event of each pass.
/// With `notes_changes` the changed buckets are taken about every million events, as by a checkpoint.
fn measure(name: &str, definition: &str, batches: &[EventBatch], is_masked: bool, notes_changes: bool) {
    // `cargo bench` passes flags of its own; another argument selects the lines whose name contains it.
    if std::env::args().skip(1).any(|wanted| !wanted.starts_with('-') && !name.contains(&wanted)) {
        return;
    }
    let view: assay_core::view::ViewDef = match serde_json::from_str(definition) {
        Ok(view) => view,
        Err(error) => return eprintln!("{name}: {error}"),
    };
    let kinds: Vec<Option<Type>> = view
        .measures
        .0
        .iter()
        .map(|(_, measure)| measure.argument.as_deref().map(|a| if a == "country" { Type::Text } else { Type::Double }))
        .collect();
    let layout = match Layout::compile(&view, &kinds, Span(60_000)) {
        Ok(layout) => layout,
        Err(error) => return eprintln!("{name}: {error}"),
    };
    let mut windows = Windows::new(layout);
    if notes_changes {
        windows.note_changes();
    }
    let mut passes = Vec::new();
    let start = Instant::now();
    let mut late = 0;
    for pass in 0..2 {
        let shifted: Vec<Vec<i64>> =
            batches.iter().map(|batch| batch.times.iter().map(|t| t + pass * HOURS_2 as i64).collect()).collect();
        let begin = busy_ns(start);
        for (number, (batch, times)) in batches.iter().zip(&shifted).enumerate() {
            if number % 250 == 249 {
                std::hint::black_box(windows.take_changed());
            }
            let arguments: Vec<Option<ArrayRef>> = kinds
                .iter()
                .map(|kind| {
                    kind.as_ref().map(|ty| if *ty == Type::Text { &batch.countries } else { &batch.amounts }.clone())
                })
                .collect();
            let counted = is_masked.then_some(&batch.large);
            match windows.fold(&Rows { slots: &batch.slots, times, counted, arguments: &arguments }) {
                Ok(folded) => late += std::hint::black_box(folded).late,
                Err(error) => return eprintln!("{name}: {error}"),
            }
        }
        passes.push((busy_ns(start) - begin) as f64 / (batches.len() * BATCH) as f64);
    }
    println!("{name:<44} {:7.1} ns/event first, {:7.1} ns/event then   late {late}", passes[0], passes[1]);
}

fn main() {
    let view = |measures: &str, rest: &str| {
        format!(r#"{{"view":"v","stream":"s","by":["card"],"measures":{{{measures}}}{rest}}}"#)
    };
    let two = r#""n":"count()","x":"sum(amount)""#;
    let four = r#""n":"count()","x":"sum(amount)","a":"avg(amount)","m":"max(amount)""#;
    let hour = r#","over":"1h""#;
    let disordered = make_batches(HOURS_2, 30_000);
    let ordered = make_batches(HOURS_2, 0);
    let dense = make_batches(MINUTES_10, 30_000);
    measure("count, sum; all time", &view(two, ""), &disordered, false, false);
    measure("count, sum; 1h of 60, in order", &view(two, hour), &ordered, false, false);
    measure("count, sum; 1h of 60", &view(two, hour), &disordered, false, false);
    measure("count, sum; 1h of 60, dense", &view(two, hour), &dense, false, false);
    measure("count, sum; 1h of 60; half masked", &view(two, hour), &disordered, true, false);
    measure("count, sum, avg, max; 1h of 60", &view(four, hour), &disordered, false, false);
    measure(
        "count, last text; 1h of 60",
        &view(r#""n":"count()","c":"last(country)""#, hour),
        &disordered,
        false,
        false,
    );
    measure(
        "count, first text; 1h of 60",
        &view(r#""n":"count()","c":"first(country)""#, hour),
        &disordered,
        false,
        false,
    );
    measure("count, stddev; 1h of 60", &view(r#""n":"count()","d":"stddev(amount)""#, hour), &disordered, false, false);
    measure("count, sum; 5m of 60", &view(two, r#","over":"5m""#), &disordered, false, false);
    measure("count, sum; 1d of 1440", &view(two, r#","over":"1d","tiles":1440"#), &disordered, false, false);
    measure("count, sum; every 1m, keep 1h", &view(two, r#","every":"1m","keep":"1h""#), &disordered, false, false);
    let minutes = r#","every":"1m","keep":"1d""#;
    measure("count, sum; every 1m, keep 1d", &view(two, minutes), &disordered, false, false);
    measure("count, sum; every 1m, changes noted", &view(two, minutes), &disordered, false, true);
}
