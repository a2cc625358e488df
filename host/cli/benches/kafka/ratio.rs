//! Throughput from log to log: a process of Assay that scores a backlog, compared with a bare loop over the same topic
//! that writes a message of the same size for each event.
//!
//! Both begin when they have their partitions, and end when all their writes are acknowledged. Assay writes one message
//! per batch, and saves a checkpoint every second. Its sinks are disabled.

use std::path::Path;
use std::time::Duration;

use assay::generate::Payment;
use assay_core::verdict::read_block_summary;
use serde_json::{Value, json};

use crate::events;
use crate::scrape::{metric, partitions, scored, wait_until};
use crate::stage::{Pack, Sinks, Stage};
use crate::support::Server;
use crate::topics::LastRecords;
use crate::watch::{Clock, Run};
use crate::{bare, topics};

const CARDS: u32 = 100_000;
const ROUNDS: usize = 3;
/// Events before the measurement: the JVMs of broker and state store have to warm up, and the size of verdicts must be
/// known.
const WARM_UP_EVENTS: usize = 200_000;
const WAIT_TIMEOUT: Duration = Duration::from_secs(180);

/// One round: both loops over one topic.
struct Round {
    bare: Run,
    assay: Run,
    /// Bytes of verdicts per event.
    size: usize,
    checkpoints: Value,
}

pub(crate) fn measure(folder: &Path, count: usize) -> Value {
    let payments = events::payments(count, CARDS);
    let warm_up = &payments[..count.min(WARM_UP_EVENTS)];
    println!("warming up with {} payments", warm_up.len());
    let mut size = run_round(folder, "warm_up", warm_up, 100, &[]).size;
    let mut rounds: Vec<Round> = Vec::new();
    for index in 1..=ROUNDS {
        let round = run_round(folder, &format!("ratio_{index}"), &payments, size, &[]);
        size = round.size;
        print(&index.to_string(), &round);
        rounds.push(round);
    }
    let unsaved = run_round(folder, "unsaved", &payments, size, &[("ASSAY_ENGINE__CHECKPOINT_EVERY", "1h")]);
    print("without checkpoints", &unsaved);
    let best = |of: fn(&Round) -> &Run| rounds.iter().map(|round| of(round).events_per_s()).fold(0.0, f64::max);
    let (bare, assay) = (best(|round| &round.bare), best(|round| &round.assay));
    let ratio = assay / bare;
    println!("assay to bare loop, best of {ROUNDS} each: {ratio:.2} (goal 0.70)");
    json!({
        "ratio_to_bare_loop": (ratio * 1e3).round() / 1e3,
        "goal": 0.7,
        "bare_events_per_s": bare.round(),
        "assay_events_per_s": assay.round(),
        "bare": rounds.iter().map(|round| round.bare.to_json()).collect::<Vec<_>>(),
        "assay": rounds.iter().map(|round| round.assay.to_json()).collect::<Vec<_>>(),
        "assay_checkpoints": rounds.iter().map(|round| &round.checkpoints).collect::<Vec<_>>(),
        "assay_without_checkpoints": unsaved.assay.to_json(),
        "events": count,
        "cards": CARDS,
        "verdict_bytes_per_event": size,
        "what": {
            "both": "a backlog of Avro payments in Confluent's frame, LZ4, idempotent producer, acks=all; from having the \
                     partitions until everything written is acked",
            "bare": "one message in, one out, of the size of the verdicts per event; one thread beside librdkafka's",
            "assay": "strict decoding, a sliding hour, velocity in Wasm, verdicts with inputs; states of cards loaded when \
                      first seen, and saved every second; one message per batch; no sinks",
            "assay_without_checkpoints": "the same, but states are saved at the end only, which is not in the figure",
        },
    })
}

fn print(name: &str, round: &Round) {
    println!("{name}: bare loop {}", round.bare.line());
    println!("{name}: assay     {}; checkpoints: {}", round.assay.line(), round.checkpoints);
}

fn run_round(folder: &Path, name: &str, payments: &[Payment], size: usize, more: &[(&str, &str)]) -> Round {
    let stage = Stage::new(name, folder, Pack::Smallest);
    let first = stage.start("process", Sinks::None, &[]);
    let schema = stage.apply(&first);
    assert!(first.stop().success());
    events::fill(stage.topic(), schema, payments);
    let target = format!("{}.bare", stage.topic());
    topics::create(&target);
    let bare = bare::run(stage.topic(), &target, payments.len(), size);
    let server = stage.start("process", Sinks::None, more);
    let assay = judge(&server, &stage, payments.len());
    let part = |name: &str| metric(&server, &format!("assay_checkpoint_time_seconds_{name}")).unwrap_or(0.0);
    let mean = part("sum") * 1e3 / part("count").max(1.0);
    let checkpoints = json!({ "saved": part("count"), "mean_ms": mean.round() });
    assert!(server.stop().success());
    let size = topics::bytes(&stage.verdict_log()) as usize / payments.len();
    stage.clear();
    topics::delete(&[&target]);
    Round { bare, assay, size, checkpoints }
}

/// Waits until everything is judged and the verdicts are in the log.
fn judge(server: &Server, stage: &Stage, count: usize) -> Run {
    let (ends, verdict_log) = (topics::ends(stage.topic()), stage.verdict_log());
    let last_records = LastRecords::of(&verdict_log);
    let is_said = || {
        let blocks = last_records.read();
        blocks.iter().all(|(partition, block)| read_block_summary(block).unwrap().next.0 == ends[*partition])
    };
    assert!(wait_until(WAIT_TIMEOUT, || !partitions(server).is_empty()), "no partitions: {}", server.log_tail());
    let (clock, already) = (Clock::start(server.pid()), scored(server) as usize);
    assert!(wait_until(WAIT_TIMEOUT, || scored(server) as usize == count), "not all is judged: {}", server.log_tail());
    assert!(wait_until(WAIT_TIMEOUT, is_said), "verdicts are missing: {}", server.log_tail());
    Run::new(count - already, clock.lap())
}
