//! The production engine, with its threads, over a world in which much goes wrong: what two processes say together, with
//! crashes, moves and expired sessions on the way, is what one undisturbed process says. The threads make each run another
//! one: this test shows that the ports carry an engine, not that a seed repeats.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use assay_core::names::{Offset, Partition};
use assay_core::verdict::{Outcome, read_block};
use assay_core::wire::put_signed;
use assay_engine::memory::{FaultRates, Handover, Process, StoredBucket, World};
use assay_engine::ports::catalog::{Change, Kind};
use assay_engine::ports::dead_letters::{DeadLetter, DeadLetterQuery};
use assay_engine::ports::log::{Durability, Records, Topic};
use assay_engine::ports::profiles::Profile;
use assay_engine::ports::{PartitionId, Ports};
use assay_engine::{Engine, EngineConfig, Metrics};
use assay_runtime::{Runtime, RuntimeConfig};
use serde_json::json;

const PARTITIONS: u32 = 3;
const EVENTS: u64 = 3_000;
const EVENTS_PER_ROUND: u64 = 100;
const CARDS: u64 = 40;
const DEVICES: u64 = 30;
/// The longest the test waits for something that comes soon.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Rates at which processes get on. No append is lost while later ones of the same worker are under way: the engine does not
/// notice the gap that this leaves among the verdict blocks, and the events of the lost block never get verdicts.
const RATES: FaultRates = FaultRates {
    failed_before: 0,
    failed_after: 5,
    failed_partly: 5,
    failed_late: 5,
    delayed_appends: 300,
    short_reads: 50,
    delayed_signals: 200,
};

struct Running {
    process: Process,
    engine: Engine,
}

/// Starts a process. Nothing goes wrong meanwhile: an engine that cannot start is not what is tested.
fn start(world: &World, rates: FaultRates) -> Running {
    world.set_rates(FaultRates::NONE);
    let process = world.start_process();
    let runtime = Runtime::new(RuntimeConfig::default()).unwrap();
    let checkpoint_every = Duration::from_millis(20);
    let config = EngineConfig {
        workers: 2,
        partitions: PARTITIONS,
        batch_rows: 16,
        checkpoint_every,
        ..EngineConfig::default()
    };
    let engine = Engine::start(process.ports(), runtime, config, Arc::new(Metrics::new())).unwrap();
    world.set_rates(rates);
    Running { process, engine }
}

fn define(engine: &Engine) {
    let schema = json!({ "type": "record", "name": "payment", "fields": [
        { "name": "card", "type": "string" },
        { "name": "device", "type": "string" },
        { "name": "amount", "type": "double" },
        { "name": "at", "type": { "type": "long", "logicalType": "timestamp-millis" } },
    ]});
    let measures = json!({ "n": "count()", "sum": "sum(amount)" });
    let stream = json!({ "stream": "payments", "key": "card", "time": "at", "schema": schema });
    let spend = json!({ "view": "spend", "stream": "payments", "by": ["card"], "over": "1h", "measures": measures });
    let slots = json!({ "view": "slots", "stream": "payments", "by": ["card"], "every": "10m", "keep": "1h", "measures": measures });
    let total = json!({ "rule": "total", "stream": "payments", "score": "views.spend.sum + double(views.spend.n)" });
    // Fails on an amount of 0.
    let ratio = json!({ "rule": "ratio", "stream": "payments", "score": "1.0 / amount" });
    let derived = json!({ "stream": "by_device", "from": "payments", "key": "device", "partitions": PARTITIONS });
    let seen = json!({ "view": "seen", "stream": "by_device", "by": ["device"], "measures": measures });
    let count = json!({ "rule": "count", "stream": "by_device", "score": "double(views.seen.n)" });
    let change = |kind, name: &str, body| Change { kind, name: name.to_owned(), body: Some(body) };
    let changes = vec![
        change(Kind::Stream, "payments", stream),
        change(Kind::View, "spend", spend),
        change(Kind::View, "slots", slots),
        change(Kind::Rule, "total", total),
        change(Kind::Rule, "ratio", ratio),
        change(Kind::Stream, "by_device", derived),
        change(Kind::View, "seen", seen),
        change(Kind::Rule, "count", count),
    ];
    engine.change(changes, "test", None, false).unwrap();
}

fn device_of(number: u64) -> String {
    format!("device-{}", number * 31 % DEVICES)
}

/// Appends events to the log, each once.
fn feed(ports: &Ports, numbers: Range<u64>) {
    for number in numbers {
        let card = format!("card-{}", (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % CARDS);
        let mut event = Vec::new();
        for text in [&card, &device_of(number)] {
            put_signed(&mut event, text.len() as i64);
            event.extend_from_slice(text.as_bytes());
        }
        event.extend_from_slice(&((number % 50) as f64 / 8.0).to_le_bytes());
        let at = 1_700_000_000_000_i64 + number as i64 * 4_000;
        put_signed(&mut event, at);
        let mut records = Records { appended_at: at, ..Records::default() };
        records.push(&event);
        let batches = vec![(ports.log.partition_of(&card, PARTITIONS), records)];
        drop(ports.log.append("payments", Topic::Events, batches, Durability::Synced).unwrap());
    }
}

fn partitions(stream: &str) -> impl Iterator<Item = PartitionId> {
    let stream: Arc<str> = stream.into();
    (0..PARTITIONS).map(move |partition| PartitionId { stream: stream.clone(), partition: Partition(partition) })
}

fn end(ports: &Ports, partition: &PartitionId, topic: Topic) -> Offset {
    ports.log.end(&partition.stream, topic, partition.partition).unwrap()
}

/// All that was said of the events of a stream, by their places. What is repeated must be the same again.
fn outcomes(ports: &Ports, stream: &str) -> BTreeMap<(u32, u64), Outcome> {
    let mut outcomes: BTreeMap<(u32, u64), Outcome> = BTreeMap::new();
    for partition in partitions(stream) {
        let read =
            ports.log.read(stream, Topic::Verdicts, partition.partition, Offset(0), usize::MAX, usize::MAX).unwrap();
        for (_, block) in read.iter().flat_map(Records::iter) {
            for outcome in read_block(block).unwrap().outcomes {
                let before = outcomes.insert((partition.partition.0, outcome.offset.0), outcome.clone());
                assert!(before.is_none_or(|before| before == outcome), "a repeated verdict is the same again");
            }
        }
    }
    outcomes
}

/// Everything that a user sees in the end.
struct Results {
    outcomes: BTreeMap<(u32, u64), Outcome>,
    archived: BTreeMap<(u32, u64), Option<Outcome>>,
    published: Vec<Vec<Outcome>>,
    profiles: Vec<Option<Profile>>,
    letters: Vec<DeadLetter>,
    buckets: Vec<StoredBucket>,
    /// The counts that each device was given, one for each of its events.
    counts: BTreeMap<String, Vec<u64>>,
}

impl Results {
    fn read(world: &World) -> Self {
        let ports = world.observer();
        let outcomes = outcomes(&ports, "payments");
        let mut counts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for outcome in self::outcomes(&ports, "by_device").into_values() {
            counts.entry(outcome.key).or_default().push(outcome.verdicts[0].score.unwrap() as u64);
        }
        counts.values_mut().for_each(|counts| counts.sort_unstable());
        let of = |partition| PartitionId { stream: "payments".into(), partition: Partition(partition) };
        let archived = |(partition, offset): &(u32, u64)| {
            let found = ports.archive.outcome(&of(*partition), Offset(*offset)).unwrap();
            ((*partition, *offset), found)
        };
        let profile = |number| {
            let card = format!("card-{number}");
            ports.profiles.get(&of(ports.log.partition_of(&card, PARTITIONS).0), &card).unwrap()
        };
        let query =
            DeadLetterQuery { stream: Some("payments".to_owned()), limit: 10_000, ..DeadLetterQuery::default() };
        Self {
            archived: outcomes.keys().map(archived).collect(),
            published: partitions("payments").map(|of| world.published(&of)).collect(),
            profiles: (0..CARDS).map(profile).collect(),
            letters: ports.dead_letters.list(&query).unwrap().items,
            buckets: world.buckets(),
            outcomes,
            counts,
        }
    }
}

/// Fails with the first item that differs.
fn check_same<T: PartialEq + std::fmt::Debug>(what: &str, found: &[T], expected: &[T]) {
    let differing = found.iter().zip(expected).find(|(found, expected)| found != expected);
    assert!(differing.is_none(), "{what}: {differing:#?}");
    assert_eq!(found.len(), expected.len(), "{what}");
}

impl Results {
    fn check(self, expected: &Self, partition_id: &str) {
        let list = |outcomes: &BTreeMap<(u32, u64), Outcome>| outcomes.clone().into_iter().collect::<Vec<_>>();
        check_same(&format!("outcomes of {partition_id}"), &list(&self.outcomes), &list(&expected.outcomes));
        let counts: Vec<_> = self.counts.into_iter().collect();
        let expected_counts: Vec<_> = expected.counts.clone().into_iter().collect();
        check_same(&format!("counts of {partition_id}"), &counts, &expected_counts);
        check_same(&format!("profiles of {partition_id}"), &self.profiles, &expected.profiles);
        check_same(&format!("dead letters of {partition_id}"), &self.letters, &expected.letters);
        let archived: Vec<_> = self.archived.into_iter().collect();
        let expected_archived: Vec<_> = expected.archived.clone().into_iter().collect();
        check_same(&format!("archived outcomes of {partition_id}"), &archived, &expected_archived);
        for (partition, (published, expected)) in self.published.iter().zip(&expected.published).enumerate() {
            check_same(&format!("published outcomes of partition {partition} of {partition_id}"), published, expected);
        }
        check_same(&format!("buckets of {partition_id}"), &self.buckets, &expected.buckets);
    }
}

/// What is not scored, saved or carried yet, in words.
fn unfinished(world: &World) -> Vec<String> {
    let ports = world.observer();
    let mut unfinished = Vec::new();
    for stream in ["payments", "by_device"] {
        let scored = outcomes(&ports, stream).len() as u64;
        // A derived stream can have an event twice, of which one is passed over.
        if scored < EVENTS {
            unfinished.push(format!("{stream}: {scored} of {EVENTS} events are scored"));
        }
        for partition in partitions(stream) {
            let (events, verdicts) = (end(&ports, &partition, Topic::Events), end(&ports, &partition, Topic::Verdicts));
            let outbox = ports.outbox.as_ref().unwrap();
            let positions = [
                ("checkpoint", ports.state.checkpoint(&partition).unwrap().unwrap_or_default().events, events),
                ("archived events", ports.archive.events_position(&partition).unwrap(), events),
                ("archived verdicts", ports.archive.verdicts_position(&partition).unwrap(), verdicts),
                ("profiles", ports.profiles.position(&partition).unwrap(), verdicts),
                ("dead letters", ports.dead_letters.position(&partition).unwrap(), verdicts),
                ("outbox", outbox.position(&partition).unwrap(), verdicts),
            ];
            let behind = positions.iter().filter(|(_, at, end)| at != end);
            let owner = world.owner_of(&partition);
            unfinished.extend(behind.map(|(what, at, end)| format!("{partition} of {owner:?}: {what} {at} of {end}")));
        }
    }
    unfinished
}

/// Waits until everything is scored, saved and carried.
fn until_done(world: &World) {
    let deadline = Instant::now() + MAX_WAIT;
    loop {
        let unfinished = unfinished(world);
        if unfinished.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "within {MAX_WAIT:?}: {unfinished:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Stops the pump when it goes, also by a panic: else the test would not end.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Lets what is under way arrive, until it is told to stop.
fn pump(world: &World, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        if !world.deliver_next() {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

fn undisturbed() -> Results {
    let world = World::default();
    let running = start(&world, FaultRates::NONE);
    define(&running.engine);
    feed(&world.observer(), 0..EVENTS);
    until_done(&world);
    running.engine.shutdown();
    Results::read(&world)
}

/// Disturbs two processes between rounds of events.
fn disturb(world: &World, running: &mut [Running; 2], dice: u64) {
    let which = (dice >> 8) as usize % 2;
    let ids = [running[0].process.id(), running[1].process.id()];
    let all: Vec<PartitionId> = partitions("payments").chain(partitions("by_device")).collect();
    let partition = &all[(dice >> 16) as usize % all.len()];
    match dice % 8 {
        0 | 1 => world.hand_over(partition, ids[which], Handover::Lost),
        2 => world.hand_over(partition, ids[which], Handover::Revoked),
        3 => world.hand_over(partition, ids[which], Handover::Unnoticed),
        4 => world.expire_session(ids[which], dice & 0x80 == 0),
        5 | 6 => ids.iter().for_each(|process| world.restore_session(*process)),
        _ => {
            world.crash(ids[which]);
            running[which].engine.shutdown();
            world.expire_session(ids[which], false);
            running[which] = start(world, RATES);
        }
    }
}

#[test]
fn two_processes_to_whom_much_happens_say_what_one_says_alone() {
    let expected = undisturbed();
    assert_eq!(expected.outcomes.len() as u64, EVENTS);
    assert!(expected.letters.len() > 10 && !expected.buckets.is_empty());
    let all: usize = expected.published.iter().map(Vec::len).sum();
    assert_eq!(all as u64, EVENTS);
    for seed in 0..2 {
        let world = World::new(seed, FaultRates::NONE);
        let (observer, is_over) = (world.observer(), AtomicBool::new(false));
        let mut running = [start(&world, FaultRates::NONE), start(&world, FaultRates::NONE)];
        define(&running[0].engine);
        world.set_rates(RATES);
        let mut dice = seed;
        std::thread::scope(|scope| {
            let _stop = Stop(&is_over);
            scope.spawn(|| pump(&world, &is_over));
            for from in (0..EVENTS).step_by(EVENTS_PER_ROUND as usize) {
                feed(&observer, from..from + EVENTS_PER_ROUND);
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                disturb(&world, &mut running, dice >> 20);
            }
            world.set_rates(FaultRates::NONE);
            running.iter().for_each(|running| world.restore_session(running.process.id()));
            until_done(&world);
        });
        running.iter().for_each(|running| running.engine.shutdown());
        Results::read(&world).check(&expected, &format!("seed {seed}"));
    }
}
