//! Two engines share the partitions of a stream and of a derived stream while events arrive, and partitions move between
//! them at random: revoked in order, or lost without notice, while rules change. Each event is judged once, together their
//! verdicts and the buckets of a tumbling view equal those of one undisturbed engine, and each event is counted once in the
//! derived stream.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod manual_membership;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use assay_core::names::{Offset, PartitionIndex};
use assay_core::time_range::TimeRange;
use assay_core::value::Value as Measured;
use assay_core::verdict::{Outcome, read_block};
use assay_embedded::{Config, Embedded};
use assay_engine::Engine;
use assay_engine::ports::buckets::{Buckets, ChangedBuckets};
use assay_engine::ports::catalog::{Change, Kind};
use assay_engine::ports::log::{Records, Topic};
use assay_engine::ports::{PartitionId, Ports, StoreError};
use manual_membership::ManualMembership;
use serde_json::{Value, json};

const PARTITIONS: u32 = 4;
const DERIVED: u32 = 3;
const EVENTS: u64 = 40_000;
const CARDS: u64 = 500;
const DEVICES: u64 = 300;
/// The length of a bucket, in ms: ten minutes.
const BUCKET_MS: i64 = 600_000;
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// The values of buckets by key and start.
type BucketRows = BTreeMap<(String, i64), Vec<Measured>>;

/// A table of buckets that keeps the row with more events, as the port demands.
#[derive(Default)]
struct BucketTable(Mutex<BTreeMap<(String, i64), WrittenRow>>);

/// The offset of a row, and its values.
type WrittenRow = (Offset, Vec<Measured>);

impl BucketTable {
    fn rows(&self) -> BucketRows {
        self.0.lock().unwrap().iter().map(|(place, (_, values))| (place.clone(), values.clone())).collect()
    }
}

impl Buckets for BucketTable {
    fn write(&self, _: &PartitionId, events: Offset, changed: &[ChangedBuckets]) -> Result<(), StoreError> {
        let mut table = self.0.lock().unwrap();
        for view in changed {
            assert_eq!((view.view.as_str(), view.revision, view.lifetime.0), ("slots", 1, 70 * 60_000));
            assert_eq!(view.measures, ["n", "sum"]);
            for row in &view.rows {
                assert_eq!(row.to - row.from, BUCKET_MS);
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

/// The final rows of all buckets, also of those that the view does not keep any more.
fn expected_buckets() -> BucketRows {
    let mut counted: BTreeMap<(String, i64), (i64, f64)> = BTreeMap::new();
    for event in (0..EVENTS).map(event) {
        let from = event["at"].as_i64().unwrap().div_euclid(BUCKET_MS) * BUCKET_MS;
        let bucket = counted.entry((event["card"].as_str().unwrap().to_owned(), from)).or_default();
        // Sums of eighths are exact in a double.
        *bucket = (bucket.0 + 1, bucket.1 + event["amount"].as_f64().unwrap());
    }
    counted.into_iter().map(|(place, (n, sum))| (place, vec![Measured::Int(n), Measured::Double(sum)])).collect()
}

fn start(ports: Ports) -> Engine {
    manual_membership::start(ports, PARTITIONS, Duration::from_millis(20))
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
    let change = |kind, name: &str, body| Change::from_json(kind, name, body);
    let changes = vec![
        change(Kind::Stream, "by_device", derived),
        change(Kind::View, "seen", seen),
        change(Kind::Rule, "count", count),
        change(Kind::Stream, "payments", stream),
        change(Kind::View, "spend", view),
        change(Kind::View, "slots", slots),
        change(Kind::Rule, "total", rule),
    ];
    engine.catalog().change(changes, "test", None, false).unwrap();
}

/// The device of a payment; every seventh has none.
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

/// Ingests events and waits until they are durable.
fn ingest(engine: &Engine, numbers: std::ops::Range<u64>) {
    let mut ingest = engine.ingest().begin("payments").unwrap();
    numbers.for_each(|number| ingest.push_json(event(number).to_string().as_bytes()).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(ingest.submit().unwrap().durable()).unwrap();
}

/// Reads the outcome of each event, by partition and offset, without the verdicts of the rule that changes.
fn outcomes(ports: &Ports, stream: &str, partitions: u32) -> BTreeMap<(u32, u64), Outcome> {
    let mut outcomes = BTreeMap::new();
    for partition in 0..partitions {
        let mut at = Offset(0);
        loop {
            let log = &ports.log;
            let blocks = log.read_verdicts(stream, PartitionIndex(partition), at, 1000, 1 << 24).unwrap();
            let Some(last) = blocks.last() else { break };
            at = last.next();
            for (_, block) in blocks.iter().flat_map(Records::iter) {
                for mut outcome in read_block(block).unwrap().outcomes {
                    outcome.verdicts.retain(|verdict| verdict.by.rule != "changing");
                    let before = outcomes.insert((partition, outcome.offset.0), outcome);
                    assert_eq!(before, None, "an event is judged once");
                }
            }
        }
    }
    outcomes
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + WAIT_TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} within {WAIT_TIMEOUT:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn all_partitions() -> Vec<PartitionId> {
    partitions("payments", PARTITIONS)
}

fn partitions(stream: &str, partitions: u32) -> Vec<PartitionId> {
    (0..partitions)
        .map(|partition| PartitionId { stream: stream.into(), partition: PartitionIndex(partition) })
        .collect()
}

/// Asserts that each event with a device was counted once: the counts of a device are 1, 2, 3 and so on, and the sum is
/// exact.
fn assert_counted_once(ports: &Ports, engines: &[&Engine]) {
    let with_device = (0..EVENTS).filter(|number| device(*number).is_some()).count();
    wait_until("all are counted by device", || outcomes(ports, "by_device", DERIVED).len() == with_device);
    let end = |partition: &PartitionId| ports.log.end("by_device", Topic::Events, partition.partition).unwrap().0;
    let appended: u64 = partitions("by_device", DERIVED).iter().map(end).sum();
    println!("{} of {with_device} events were appended again to the derived stream", appended - with_device as u64);
    let mut counts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for outcome in outcomes(ports, "by_device", DERIVED).into_values() {
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
            wait_until("the engine knows the device's values", || {
                let measures = engine.queries().view("seen", device, None).unwrap().measures;
                measures.iter().map(|(_, value)| value).eq(&expected)
            });
        }
    }
}

/// Returns whether the profiles sink has written all verdicts.
fn are_profiles_complete(ports: &Ports) -> bool {
    all_partitions().iter().all(|partition| {
        let end = ports.log.end("payments", Topic::Verdicts, partition.partition).unwrap();
        ports.profiles.position(partition).unwrap() == end
    })
}

#[test]
fn two_engines_produce_the_verdicts_of_one() {
    let alone = tempfile::tempdir().unwrap();
    let alone = Embedded::open(alone.path(), &Config::default()).unwrap();
    let engine = start(alone.ports());
    define(&engine);
    for from in (0..EVENTS).step_by(1000) {
        ingest(&engine, from..from + 1000);
    }
    wait_until("one engine scores everything", || {
        outcomes(&alone.ports(), "payments", PARTITIONS).len() as u64 == EVENTS
    });
    wait_until("one engine's profiles are complete", || are_profiles_complete(&alone.ports()));
    assert_counted_once(&alone.ports(), &[&engine]);
    engine.shutdown();

    let dir = tempfile::tempdir().unwrap();
    let shared = Embedded::open(dir.path(), &Config::default()).unwrap();
    let members = [Arc::new(ManualMembership::default()), Arc::new(ManualMembership::default())];
    let table = Arc::new(BucketTable::default());
    let ports = |member: &Arc<ManualMembership>| Ports {
        membership: member.clone(),
        buckets: Some(table.clone() as Arc<dyn Buckets>),
        ..shared.ports()
    };
    let first = start(ports(&members[0]));
    define(&first);
    let second = start(ports(&members[1]));
    let moved: Vec<PartitionId> = [all_partitions(), partitions("by_device", DERIVED)].concat();
    let mut owners: Vec<usize> = (0..moved.len()).map(|partition| partition % 2).collect();
    for (partition, partition_id) in moved.iter().cloned().enumerate() {
        members[owners[partition]].owner().assign(vec![partition_id]);
    }
    let mut moves = 0;
    for (round, from) in (0..EVENTS).step_by(500).enumerate() {
        let engine = if round % 2 == 0 { &first } else { &second };
        ingest(engine, from..from + 500);
        if round % 4 == 0 {
            // Owners may judge by different rules for a moment.
            let rule = json!({ "rule": "changing", "stream": "payments", "score": format!("{round}.0") });
            let change = Change::from_json(Kind::Rule, "changing", rule);
            engine.catalog().change(vec![change], "test", None, false).unwrap();
        }
        let dice = RandomState::new().hash_one(round);
        let partition = (dice % moved.len() as u64) as usize;
        let partition_id = moved[partition].clone();
        let (old, new) = (owners[partition], 1 - owners[partition]);
        if dice & 0x100 == 0 {
            members[old].owner().revoke(vec![partition_id.clone()], WAIT_TIMEOUT);
        } else {
            // The losing engine may be in the middle of a batch and still append its verdicts.
            members[old].owner().lose(vec![partition_id.clone()]);
        }
        members[new].owner().assign(vec![partition_id]);
        owners[partition] = new;
        moves += 1;
    }
    wait_until("two engines score everything", || {
        outcomes(&shared.ports(), "payments", PARTITIONS).len() as u64 == EVENTS
    });
    wait_until("their profiles are complete", || are_profiles_complete(&shared.ports()));
    let expected_rows = expected_buckets();
    wait_until("all buckets are written", || table.rows() == expected_rows);
    let expected = outcomes(&alone.ports(), "payments", PARTITIONS);
    let together = outcomes(&shared.ports(), "payments", PARTITIONS);
    assert_eq!(together.len(), expected.len());
    for (place, outcome) in &expected {
        assert_eq!(together.get(place), Some(outcome), "{place:?}");
    }
    for card in 0..CARDS {
        let card = format!("card-{card}");
        let partition_id =
            PartitionId { stream: "payments".into(), partition: shared.ports().log.partition_of(&card, PARTITIONS) };
        let profile = |ports: Ports| {
            let mut profile = ports.profiles.get(&partition_id, &card).unwrap();
            profile.iter_mut().for_each(|profile| drop(profile.rules.remove("changing")));
            profile
        };
        assert_eq!(profile(shared.ports()), profile(alone.ports()), "{card}");
        // The owner answers from memory, the other engine from the saved state.
        let values = |engine: &Engine| engine.queries().view("spend", &card, None).unwrap().measures;
        wait_until("both engines know the view's values", || values(&first) == values(&second));
        let kept = |engine: &Engine| engine.queries().buckets("slots", &card, TimeRange::ALL).unwrap();
        wait_until("both engines know the view's buckets", || kept(&first) == kept(&second));
        let kept = kept(&first);
        let newest = kept.as_of.unwrap().div_euclid(BUCKET_MS) * BUCKET_MS;
        let written = expected_rows.range((card.clone(), newest - 5 * BUCKET_MS)..=(card.clone(), newest));
        let written: Vec<_> = written.map(|((_, from), values)| (*from, values.clone())).collect();
        let kept: Vec<_> = kept.buckets.into_iter().map(|bucket| (bucket.from, bucket.values)).collect();
        assert_eq!(kept, written, "{card}");
    }
    assert_counted_once(&shared.ports(), &[&first, &second]);
    println!("{EVENTS} events, {moves} moves");
    first.shutdown();
    second.shutdown();
}
