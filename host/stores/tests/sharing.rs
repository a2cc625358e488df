//! Two engines share the partitions of a stream, and of one that is derived from it, while events come in, and partitions
//! go from one to the other at random: given back in order, or lost without a word. What they say together is what one
//! undisturbed engine says, and so are the rows of a tumbling view's buckets that others read; and each event is counted
//! once under its other key.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod moved;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use assay_core::names::{Offset, Partition};
use assay_core::time_range::TimeRange;
use assay_core::value::Value as Measured;
use assay_core::verdict::{Outcome, read_block};
use assay_engine::Engine;
use assay_engine::ports::buckets::{Buckets, ChangedBuckets};
use assay_engine::ports::catalog::{Change, Kind};
use assay_engine::ports::log::{Records, Topic};
use assay_engine::ports::{Ports, StoreError, StreamPartition};
use assay_stores::embedded::{Config, Embedded};
use moved::Moved;
use serde_json::{Value, json};

const PARTITIONS: u32 = 4;
const DERIVED: u32 = 3;
const EVENTS: u64 = 40_000;
const CARDS: u64 = 500;
const DEVICES: u64 = 300;
/// The length of a tumbling view's buckets in ms: ten minutes.
const SLOT: i64 = 600_000;
const PATIENCE: Duration = Duration::from_secs(60);

/// Keys and begins of buckets, with their values.
type Rows = BTreeMap<(String, i64), Vec<Measured>>;

/// A table of buckets in which the row with more events stays, whoever writes it.
#[derive(Default)]
struct Table(Mutex<BTreeMap<(String, i64), Written>>);

/// The values of a row, and how many events they hold.
type Written = (Offset, Vec<Measured>);

impl Table {
    fn rows(&self) -> Rows {
        self.0.lock().unwrap().iter().map(|(place, (_, values))| (place.clone(), values.clone())).collect()
    }
}

impl Buckets for Table {
    fn write(&self, _: &StreamPartition, events: Offset, changed: &[ChangedBuckets]) -> Result<(), StoreError> {
        let mut table = self.0.lock().unwrap();
        for view in changed {
            assert_eq!((view.view.as_str(), view.revision, view.lifetime.0), ("slots", 1, 70 * 60_000));
            assert_eq!(view.measures, ["n", "sum"]);
            for row in &view.rows {
                assert_eq!(row.to - row.from, SLOT);
                let new = (events, row.values.clone());
                let kept = table.entry((row.key.clone(), row.from)).or_insert_with(|| new.clone());
                if kept.0 == events {
                    assert_eq!(*kept, new, "with as many events a row is the same");
                } else if kept.0 < events {
                    *kept = new;
                }
            }
        }
        Ok(())
    }
}

/// What the rows must be in the end: those of buckets that are not kept any more too.
fn all_buckets() -> Rows {
    let mut counted: BTreeMap<(String, i64), (i64, f64)> = BTreeMap::new();
    for event in (0..EVENTS).map(event) {
        let from = event["at"].as_i64().unwrap().div_euclid(SLOT) * SLOT;
        let bucket = counted.entry((event["card"].as_str().unwrap().to_owned(), from)).or_default();
        // Eighths are summed exactly.
        *bucket = (bucket.0 + 1, bucket.1 + event["amount"].as_f64().unwrap());
    }
    counted.into_iter().map(|(place, (n, sum))| (place, vec![Measured::Int(n), Measured::Double(sum)])).collect()
}

fn start(ports: Ports) -> Engine {
    moved::start(ports, PARTITIONS, Duration::from_millis(20))
}

fn define(engine: &Engine) {
    let schema = json!({ "type": "record", "name": "payment", "fields": [
        { "name": "id", "type": "string" },
        { "name": "card", "type": "string" },
        { "name": "device", "type": ["null", "string"] },
        { "name": "amount", "type": "double" },
        { "name": "at", "type": { "type": "long", "logicalType": "timestamp-millis" } },
    ]});
    let stream = json!({ "stream": "payments", "key": "card", "time": "at", "id": "id", "schema": schema });
    let measures = json!({ "n": "count()", "sum": "sum(amount)" });
    let view = json!({ "view": "spend", "stream": "payments", "by": ["card"], "over": "1h", "measures": measures });
    let mut slots = view.clone();
    slots.as_object_mut().unwrap().remove("over");
    slots["view"] = json!("slots");
    slots["every"] = json!("10m");
    slots["keep"] = json!("1h");
    let rule = json!({ "rule": "total", "stream": "payments", "score": "views.spend.sum + double(views.spend.n)" });
    let derived = json!({ "stream": "by_device", "from": "payments", "key": "device", "partitions": DERIVED });
    let seen = json!({ "view": "seen", "stream": "by_device", "by": ["device"], "measures": measures });
    let count = json!({ "rule": "count", "stream": "by_device", "score": "double(views.seen.n)" });
    let change = |kind, name: &str, body| Change { kind, name: name.to_owned(), body: Some(body) };
    let changes = vec![
        change(Kind::Stream, "by_device", derived),
        change(Kind::View, "seen", seen),
        change(Kind::Rule, "count", count),
        change(Kind::Stream, "payments", stream),
        change(Kind::View, "spend", view),
        change(Kind::View, "slots", slots),
        change(Kind::Rule, "total", rule),
    ];
    engine.change(changes, "test", None, false).unwrap();
}

/// Some events have no device.
fn device(number: u64) -> Option<String> {
    (!number.is_multiple_of(7)).then(|| format!("device-{}", number.wrapping_mul(31) % DEVICES))
}

fn event(number: u64) -> Value {
    let card = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    json!({
        "id": format!("p{number}"),
        "card": format!("card-{}", card % CARDS),
        "device": device(number),
        "amount": (number % 1000) as f64 / 8.0,
        "at": 1_700_000_000_000_i64 + number as i64 * 400,
    })
}

/// Takes in some events and waits until they are durable.
fn ingest(engine: &Engine, numbers: std::ops::Range<u64>) {
    let mut ingest = engine.ingest("payments").unwrap();
    numbers.for_each(|number| ingest.push_json(event(number).to_string().as_bytes()).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(ingest.submit().unwrap().durable()).unwrap();
}

/// All that was said of each event, by its place. Repeated verdicts must be the same again.
fn said(ports: &Ports, stream: &str, partitions: u32) -> (BTreeMap<(u32, u64), Outcome>, usize) {
    let (mut said, mut repeated) = (BTreeMap::new(), 0);
    for partition in 0..partitions {
        let mut at = Offset(0);
        loop {
            let log = &ports.log;
            let blocks = log.read(stream, Topic::Verdicts, Partition(partition), at, 1000, 1 << 24).unwrap();
            let Some(last) = blocks.last() else { break };
            at = last.next();
            for (_, block) in blocks.iter().flat_map(Records::iter) {
                for outcome in read_block(block).unwrap().outcomes {
                    if let Some(before) = said.insert((partition, outcome.offset.0), outcome.clone()) {
                        assert_eq!(before, outcome, "a repeated verdict is the same again");
                        repeated += 1;
                    }
                }
            }
        }
    }
    (said, repeated)
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn all_partitions() -> Vec<StreamPartition> {
    partitions("payments", PARTITIONS)
}

fn partitions(stream: &str, partitions: u32) -> Vec<StreamPartition> {
    (0..partitions)
        .map(|partition| StreamPartition { stream: stream.into(), partition: Partition(partition) })
        .collect()
}

/// Each event with a device was counted once: the counts of a device are 1, 2, 3 and so on, and the sum is that of all.
fn assert_counted_once(ports: &Ports, engines: &[&Engine]) {
    let with_device = (0..EVENTS).filter(|number| device(*number).is_some()).count();
    until("all are counted by device", || said(ports, "by_device", DERIVED).0.len() == with_device);
    let end = |of: &StreamPartition| ports.log.end("by_device", Topic::Events, of.partition).unwrap().0;
    let appended: u64 = partitions("by_device", DERIVED).iter().map(end).sum();
    println!("{} of {with_device} events were appended again to the derived stream", appended - with_device as u64);
    let mut counts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for outcome in said(ports, "by_device", DERIVED).0.into_values() {
        counts.entry(outcome.key).or_default().push(outcome.verdicts[0].score.unwrap() as u64);
    }
    assert_eq!(counts.len() as u64, DEVICES);
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    for number in 0..EVENTS {
        if let Some(device) = device(number) {
            *sums.entry(device).or_default() += event(number)["amount"].as_f64().unwrap();
        }
    }
    for (device, counts) in &counts {
        assert!(counts.iter().copied().eq(1..=counts.len() as u64), "{device}: {counts:?}");
        let expected = [Measured::Int(counts.len() as i64), Measured::Double(sums[device])];
        for engine in engines {
            until("the engine knows the device's values", || {
                let measures = engine.view("seen", device, None).unwrap().measures;
                measures.iter().map(|(_, value)| value).eq(&expected)
            });
        }
    }
}

/// Everything that was ever written is in the profiles.
fn is_followed(ports: &Ports) -> bool {
    all_partitions().iter().all(|of| {
        let end = ports.log.end("payments", Topic::Verdicts, of.partition).unwrap();
        ports.profiles.position(of).unwrap() == end
    })
}

#[test]
fn two_engines_say_together_what_one_says_alone() {
    let alone = tempfile::tempdir().unwrap();
    let alone = Embedded::open(alone.path(), &Config::default()).unwrap();
    let engine = start(alone.ports());
    define(&engine);
    for from in (0..EVENTS).step_by(1000) {
        ingest(&engine, from..from + 1000);
    }
    until("one engine scores everything", || said(&alone.ports(), "payments", PARTITIONS).0.len() as u64 == EVENTS);
    until("one engine's profiles are complete", || is_followed(&alone.ports()));
    assert_counted_once(&alone.ports(), &[&engine]);
    engine.shutdown();

    let dir = tempfile::tempdir().unwrap();
    let shared = Embedded::open(dir.path(), &Config::default()).unwrap();
    let members = [Arc::new(Moved::default()), Arc::new(Moved::default())];
    let table = Arc::new(Table::default());
    let ports = |member: &Arc<Moved>| Ports {
        membership: member.clone(),
        buckets: Some(table.clone() as Arc<dyn Buckets>),
        ..shared.ports()
    };
    let first = start(ports(&members[0]));
    define(&first);
    let second = start(ports(&members[1]));
    let moved: Vec<StreamPartition> = [all_partitions(), partitions("by_device", DERIVED)].concat();
    let mut owners: Vec<usize> = (0..moved.len()).map(|partition| partition % 2).collect();
    for (partition, of) in moved.iter().cloned().enumerate() {
        members[owners[partition]].owner().assign(vec![of]);
    }
    let mut moves = 0;
    for (round, from) in (0..EVENTS).step_by(500).enumerate() {
        ingest(if round % 2 == 0 { &first } else { &second }, from..from + 500);
        let dice = RandomState::new().hash_one(round);
        let partition = (dice % moved.len() as u64) as usize;
        let of = moved[partition].clone();
        let (old, new) = (owners[partition], 1 - owners[partition]);
        if dice & 0x100 == 0 {
            members[old].owner().revoke(vec![of.clone()], PATIENCE);
        } else {
            // Whoever loses a partition may be in the middle of a batch, and says what it has to say.
            members[old].owner().lose(vec![of.clone()]);
        }
        members[new].owner().assign(vec![of]);
        owners[partition] = new;
        moves += 1;
    }
    until("two engines score everything", || said(&shared.ports(), "payments", PARTITIONS).0.len() as u64 == EVENTS);
    until("their profiles are complete", || is_followed(&shared.ports()));
    let expected_rows = all_buckets();
    until("all buckets are written", || table.rows() == expected_rows);
    let (expected, none) = said(&alone.ports(), "payments", PARTITIONS);
    let (together, repeated) = said(&shared.ports(), "payments", PARTITIONS);
    assert_eq!(none, 0);
    assert_eq!(together.len(), expected.len());
    for (place, outcome) in &expected {
        assert_eq!(together.get(place), Some(outcome), "{place:?}");
    }
    for card in 0..CARDS {
        let card = format!("card-{card}");
        let of = StreamPartition {
            stream: "payments".into(),
            partition: shared.ports().log.partition_of(&card, PARTITIONS),
        };
        let profile = |ports: Ports| ports.profiles.get(&of, &card).unwrap();
        assert_eq!(profile(shared.ports()), profile(alone.ports()), "{card}");
        // Whichever engine is asked: the owner, or the other one, which reads what was saved.
        let values = |engine: &Engine| engine.view("spend", &card, None).unwrap().measures;
        until("both engines know the view's values", || values(&first) == values(&second));
        let kept = |engine: &Engine| engine.buckets("slots", &card, TimeRange::ALL).unwrap();
        until("both engines know the view's buckets", || kept(&first) == kept(&second));
        let kept = kept(&first);
        let newest = kept.as_of.unwrap().div_euclid(SLOT) * SLOT;
        let written = expected_rows.range((card.clone(), newest - 5 * SLOT)..=(card.clone(), newest));
        let written: Vec<_> = written.map(|((_, from), values)| (*from, values.clone())).collect();
        let kept: Vec<_> = kept.buckets.into_iter().map(|bucket| (bucket.from, bucket.values)).collect();
        assert_eq!(kept, written, "{card}");
    }
    assert_counted_once(&shared.ports(), &[&first, &second]);
    println!("{EVENTS} events, {moves} moves, {repeated} verdicts repeated, all the same");
    first.shutdown();
    second.shutdown();
}
