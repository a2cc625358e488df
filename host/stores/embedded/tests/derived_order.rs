//! A derived stream folds the events of all partitions of its source in the order of time: its windowed verdicts equal
//! those of a naive oracle, if a history was loaded one partition after the other, live, over a crash, and with two owners.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

#[allow(dead_code, reason = "another test uses the rest")]
mod manual_membership;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_core::names::{Offset, PartitionIndex};
use assay_core::verdict::read_block;
use assay_embedded::{Config, Embedded};
use assay_engine::ports::catalog::{Change, Kind};
use assay_engine::ports::log::{Records, Topic};
use assay_engine::ports::{PartitionId, Ports};
use assay_engine::{Engine, EngineConfig, HealthComponent, Metrics};
use assay_runtime::{Runtime, RuntimeConfig};
use manual_membership::ManualMembership;
use serde_json::{Value, json};

const PARTITIONS: u32 = 8;
const DERIVED: u32 = 3;
const EVENTS: u64 = 20_000;
const CARDS: u64 = 400;
const DEVICES: u64 = 50;
const BUCKET_MS: i64 = 600_000;
const START_MS: i64 = 1_700_000_000_000;
/// Far longer than a busy machine keeps a thread from running.
const LONG_WAIT: Duration = Duration::from_secs(20);
const TEST_TIMEOUT: Duration = Duration::from_secs(240);

struct Event {
    card: String,
    device: String,
    amount: u64,
    at: i64,
}

/// Times rise with the numbers, and no two are equal.
fn event(number: u64) -> Event {
    let card = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % CARDS;
    let device = (number.wrapping_mul(0xd134_2543_de82_ef95) >> 32) % DEVICES;
    Event {
        card: format!("card-{card}"),
        device: format!("device-{device}"),
        amount: number % 100,
        at: START_MS + number as i64 * 700,
    }
}

/// By the time of an event the number of events of its device in its ten minutes so far, and their sum.
fn oracle(numbers: impl Iterator<Item = u64>) -> BTreeMap<i64, f64> {
    let mut buckets: HashMap<(String, i64), (u64, u64)> = HashMap::new();
    let score = |event: Event| {
        let bucket = buckets.entry((event.device, event.at.div_euclid(BUCKET_MS))).or_default();
        *bucket = (bucket.0 + 1, bucket.1 + event.amount);
        (event.at, bucket.0 as f64 * 1e6 + bucket.1 as f64)
    };
    numbers.map(event).map(score).collect()
}

fn start(ports: Ports, derive_wait: Duration) -> (Engine, Arc<Metrics>) {
    let runtime = Runtime::new(RuntimeConfig::default()).unwrap();
    let checkpoint_every = Duration::from_millis(50);
    let config = EngineConfig { workers: 2, batch_rows: 64, checkpoint_every, derive_wait, ..EngineConfig::default() };
    let metrics = Arc::new(Metrics::new());
    (Engine::start(ports, runtime, config, metrics.clone()).unwrap(), metrics)
}

fn open(dir: &Path) -> Embedded {
    Embedded::open(dir, &Config::default()).unwrap()
}

fn change(engine: &Engine, kind: Kind, name: &str, body: Value) {
    engine.catalog().change(vec![Change::from_json(kind, name, body)], "test", None, false).unwrap();
}

fn define_source(engine: &Engine) {
    let schema = json!({ "type": "record", "name": "payment", "fields": [
        { "name": "card", "type": "string" },
        { "name": "device", "type": "string" },
        { "name": "amount", "type": "long" },
        { "name": "at", "type": { "type": "long", "logicalType": "timestamp-millis" } },
    ]});
    let stream =
        json!({ "stream": "payments", "key": "card", "time": "at", "partitions": PARTITIONS, "schema": schema });
    change(engine, Kind::Stream, "payments", stream);
}

fn define_derived(engine: &Engine) {
    let stream = json!({ "stream": "by_device", "from": "payments", "key": "device", "partitions": DERIVED });
    let measures = json!({ "n": "count()", "sum": "sum(amount)" });
    let view = json!({ "view": "slots", "stream": "by_device", "by": ["device"], "measures": measures, "every": "10m",
        "keep": "20m" });
    let score = "double(views.slots.n) * 1000000.0 + double(views.slots.sum)";
    let rule = json!({ "rule": "slots", "stream": "by_device", "score": score });
    let changes = vec![
        Change::from_json(Kind::Stream, "by_device", stream),
        Change::from_json(Kind::View, "slots", view),
        Change::from_json(Kind::Rule, "slots", rule),
    ];
    engine.catalog().change(changes, "test", None, false).unwrap();
}

fn ingest(engine: &Engine, numbers: impl Iterator<Item = u64>) {
    let mut ingest = engine.ingest().begin("payments").unwrap();
    for number in numbers {
        let Event { card, device, amount, at } = event(number);
        let event = json!({ "card": card, "device": device, "amount": amount, "at": at });
        ingest.push_json(event.to_string().as_bytes()).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(ingest.submit().unwrap().durable()).unwrap();
}

/// Loads all events, one partition after the other.
fn load(engine: &Engine) {
    for partition in 0..PARTITIONS {
        let is_there = |number: &u64| {
            engine.queries().partition_of("payments", &event(*number).card).unwrap().partition
                == PartitionIndex(partition)
        };
        ingest(engine, (0..EVENTS).filter(is_there));
    }
}

/// The score of each event in the derived stream, by its time.
fn scores(ports: &Ports) -> BTreeMap<i64, f64> {
    let mut scores = BTreeMap::new();
    for partition in (0..DERIVED).map(PartitionIndex) {
        let mut at = Offset(0);
        loop {
            let blocks = ports.log.read("by_device", Topic::Verdicts, partition, at, 1000, 1 << 24).unwrap();
            let Some(last) = blocks.last() else { break };
            at = last.next();
            for (_, block) in blocks.iter().flat_map(Records::iter) {
                for outcome in read_block(block).unwrap().outcomes {
                    scores.insert(outcome.time, outcome.verdicts[0].score.unwrap());
                }
            }
        }
    }
    scores
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + TEST_TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} within {TEST_TIMEOUT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until all verdicts are there, and compares them.
fn assert_in_order(ports: &Ports, expected: &BTreeMap<i64, f64>) {
    wait_until("all events are scored", || scores(ports).len() >= expected.len());
    let found = scores(ports);
    let wrong = expected.iter().filter(|(at, score)| found.get(at) != Some(score)).count();
    assert_eq!(wrong, 0, "of {} verdicts", expected.len());
}

fn appended(ports: &Ports) -> u64 {
    let end = |partition| ports.log.end("by_device", Topic::Events, PartitionIndex(partition)).map_or(0, |end| end.0);
    (0..DERIVED).map(end).sum()
}

#[test]
fn a_loaded_history_is_folded_in_order_of_time_also_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (engine, _) = start(store.ports(), LONG_WAIT);
    define_source(&engine);
    load(&engine);
    define_derived(&engine);
    wait_until("the merge has begun", || appended(&store.ports()) > 0);
    engine.shutdown();
    drop(engine);
    let before = appended(&store.ports());
    drop(store);
    let store = open(dir.path());
    let (engine, _) = start(store.ports(), Duration::from_secs(2));
    assert_in_order(&store.ports(), &oracle(0..EVENTS));
    println!("{before} of {EVENTS} events were appended before the restart");
    engine.shutdown();
}

#[test]
fn live_events_are_folded_in_order_of_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (engine, _) = start(store.ports(), LONG_WAIT);
    define_source(&engine);
    define_derived(&engine);
    for from in (0..EVENTS).step_by(333) {
        ingest(&engine, from..(from + 333).min(EVENTS));
    }
    assert_in_order(&store.ports(), &oracle(0..EVENTS));
    engine.shutdown();
}

#[test]
fn a_partition_without_events_is_given_up_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (engine, metrics) = start(store.ports(), Duration::from_secs(2));
    define_source(&engine);
    let is_silent = |number: &u64| {
        engine.queries().partition_of("payments", &event(*number).card).unwrap().partition == PartitionIndex(5)
    };
    let numbers: Vec<u64> = (0..EVENTS / 4).filter(|number| !is_silent(number)).collect();
    ingest(&engine, numbers.iter().copied());
    define_derived(&engine);
    assert_in_order(&store.ports(), &oracle(numbers.into_iter()));
    let is_shown = |metrics: &str| metrics.contains("assay_derive_waits_given_up_total{stream=\"by_device\"}");
    assert!(is_shown(&metrics.encode()), "{}", metrics.encode());
    let part = engine
        .status()
        .readiness()
        .parts
        .into_iter()
        .find(|part| part.component == HealthComponent::Sink("derive"))
        .unwrap();
    assert!(part.ok && part.warning.contains("by_device went on without") && part.warning.contains("payments/5"));
    wait_until("nothing lags", || engine.status().readiness().parts.iter().all(|part| part.lag == 0));
    engine.shutdown();
}

#[test]
fn two_owners_fold_in_order_of_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let members = [Arc::new(ManualMembership::default()), Arc::new(ManualMembership::default())];
    let ports = |member: &Arc<ManualMembership>| Ports { membership: member.clone(), ..store.ports() };
    let (first, _) = start(ports(&members[0]), Duration::from_secs(5));
    define_source(&first);
    load(&first);
    define_derived(&first);
    let (second, _) = start(ports(&members[1]), Duration::from_secs(5));
    let partition =
        |stream: &str, partition| PartitionId { stream: stream.into(), partition: PartitionIndex(partition) };
    for number in 0..PARTITIONS {
        members[number as usize % 2].owner().assign(vec![partition("payments", number)]);
    }
    members[0].owner().assign(vec![partition("by_device", 0), partition("by_device", 1)]);
    members[1].owner().assign(vec![partition("by_device", 2)]);
    wait_until("the merge has begun", || appended(&store.ports()) > 0);
    // The first owner may still append.
    members[0].owner().lose(vec![partition("by_device", 0)]);
    members[1].owner().assign(vec![partition("by_device", 0)]);
    assert_in_order(&store.ports(), &oracle(0..EVENTS));
    println!("{} events in the derived log", appended(&store.ports()));
    first.shutdown();
    second.shutdown();
}
