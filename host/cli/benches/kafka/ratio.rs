//! Log to log: a process of Assay that finds a backlog and writes its verdicts, beside a bare loop over the same topic
//! that writes a message of the same size for each event.
//!
//! Both begin when they have their partitions and are done when all that they wrote is acked. Assay's batches go out as
//! one message each; its state is saved to the state store every second meanwhile. Its followers are off.

use std::path::Path;
use std::time::{Duration, Instant};

use assay::generate::Payment;
use assay_core::verdict::block_flags;
use serde_json::{Value, json};

use crate::events;
use crate::scrape::{metric, partitions, scored, wait_until};
use crate::stage::{Followers, Pack, Stage};
use crate::support::Server;
use crate::topics::LastRecords;
use crate::watch::{Run, cpu};
use crate::{bare, topics};

const CARDS: u32 = 100_000;
const ROUNDS: usize = 3;
/// Before what counts: the broker's and the state store's Java has to be compiled, and verdicts have to have a size.
const WARM_UP: usize = 200_000;
const AT_MOST: Duration = Duration::from_secs(180);

pub(crate) fn measure(folder: &Path, count: usize) -> Value {
    let payments = events::payments(count, CARDS);
    let warm_up = &payments[..count.min(WARM_UP)];
    println!("warming up with {} payments", warm_up.len());
    let (_, mut size) = round(folder, "warm_up", warm_up, None);
    let mut rounds: Vec<(Run, Run)> = Vec::new();
    for index in 1..=ROUNDS {
        let ((bare, assay), bytes) = round(folder, &format!("ratio_{index}"), &payments, Some(size));
        size = bytes;
        for (name, run) in [("bare loop", &bare), ("assay", &assay)] {
            let (rate, cost) = (run.events_per_s(), run.cpu_ns_per_event());
            println!("{index}: {name:<10} {rate:>9.0} events/s, {cost:>5.0} ns of its CPU each");
        }
        rounds.push((bare, assay));
    }
    let best = |of: fn(&(Run, Run)) -> &Run| rounds.iter().map(|both| of(both).events_per_s()).fold(0.0, f64::max);
    let (bare, assay) = (best(|both| &both.0), best(|both| &both.1));
    let ratio = assay / bare;
    println!("assay to bare loop, best of {ROUNDS} each: {ratio:.2} (goal 0.70)");
    json!({
        "ratio_to_bare_loop": (ratio * 1e3).round() / 1e3,
        "goal": 0.7,
        "bare_events_per_s": bare.round(),
        "assay_events_per_s": assay.round(),
        "bare": rounds.iter().map(|(bare, _)| bare.to_json()).collect::<Vec<_>>(),
        "assay": rounds.iter().map(|(_, assay)| assay.to_json()).collect::<Vec<_>>(),
        "events": count,
        "cards": CARDS,
        "verdict_bytes_per_event": size,
        "what": {
            "both": "a backlog of Avro payments in Confluent's frame, LZ4, idempotent producer, acks=all; from having the \
                     partitions until everything written is acked; CPU of broker and stores is not in cpu_ns_per_event",
            "bare": "one message in, one out, of the size of the verdicts per event; one thread beside librdkafka's",
            "assay": "strict decoding, a sliding hour, velocity in Wasm, verdicts with inputs, state saved every second; \
                      one message per batch; no followers",
        },
    })
}

/// Both over one topic. Returns what they took, and the bytes of verdicts per event.
fn round(folder: &Path, name: &str, payments: &[Payment], size: Option<usize>) -> ((Run, Run), usize) {
    let stage = Stage::new(name, folder, Pack::Smallest);
    let first = stage.start("process", Followers::None, &[]);
    let schema = stage.apply(&first);
    assert!(first.stop().success());
    events::fill(stage.topic(), schema, payments);
    let target = format!("{}.bare", stage.topic());
    topics::create(&target);
    let bare = bare::run(stage.topic(), &target, payments.len(), size.unwrap_or(100));
    let server = stage.start("process", Followers::None, &[]);
    let assay = judge(&server, &stage, payments.len());
    if let Some(sum) = metric(&server, "assay_checkpoint_time_seconds_sum") {
        let count = metric(&server, "assay_checkpoint_time_seconds_count").unwrap_or(0.0);
        println!("  {count} checkpoints of {:.0} ms on average", sum * 1e3 / count.max(1.0));
    }
    assert!(server.stop().success());
    let bytes = topics::bytes(&stage.verdict_log()) as usize / payments.len();
    stage.clear();
    topics::delete(&[&target]);
    ((bare, assay), bytes)
}

/// Waits until everything is judged and the verdicts are in the log.
fn judge(server: &Server, stage: &Stage, count: usize) -> Run {
    let (ends, verdict_log) = (topics::ends(stage.topic()), stage.verdict_log());
    let last_records = LastRecords::of(&verdict_log);
    let is_said = || {
        let blocks = last_records.read();
        blocks.iter().all(|(partition, block)| block_flags(block).unwrap().1.0 == ends[*partition])
    };
    assert!(wait_until(AT_MOST, || !partitions(server).is_empty()), "no partitions: {}", server.log_tail());
    let (started, cpu_before, already) = (Instant::now(), cpu(server.pid()), scored(server) as usize);
    assert!(wait_until(AT_MOST, || scored(server) as usize == count), "not all is judged: {}", server.log_tail());
    assert!(wait_until(AT_MOST, is_said), "verdicts are missing: {}", server.log_tail());
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu(server.pid()) - cpu_before);
    Run { events: count - already, seconds, cpu }
}
