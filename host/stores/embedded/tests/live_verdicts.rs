//! Live verdicts on every member of a group: while partitions move between members, each verdict is received once, and
//! those of a partition in order.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod manual_membership;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_core::names::PartitionIndex;
use assay_embedded::{Config, Embedded};
use assay_engine::ports::catalog::{Change, Kind};
use assay_engine::ports::{PartitionId, Ports};
use assay_engine::{Engine, LiveFilter, LiveItem, LiveVerdicts};
use manual_membership::ManualMembership;
use serde_json::json;

const PARTITIONS: u32 = 4;
const EVENTS: u64 = 10_000;
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

fn start(store: &Embedded) -> (Engine, Arc<ManualMembership>) {
    let membership = Arc::new(ManualMembership::default());
    let ports = Ports { membership: membership.clone(), ..store.ports() };
    (manual_membership::start(ports, PARTITIONS, Duration::from_millis(20)), membership)
}

fn define(engine: &Engine) {
    let schema = json!({ "type": "record", "name": "e", "fields": [
        { "name": "id", "type": "string" },
        { "name": "k", "type": "string" },
        { "name": "t", "type": { "type": "long", "logicalType": "timestamp-millis" } },
    ]});
    let stream = json!({ "stream": "s", "key": "k", "time": "t", "id": "id", "schema": schema });
    let change = |kind, name: &str, body| Change::from_json(kind, name, body);
    let changes = vec![
        change(Kind::Stream, "s", stream),
        change(Kind::Rule, "one", json!({ "rule": "one", "stream": "s", "score": "1.0" })),
        change(Kind::Rule, "two", json!({ "rule": "two", "stream": "s", "score": "2.0" })),
    ];
    engine.catalog().change(changes, "test", None, false).unwrap();
}

fn ingest(engine: &Engine, numbers: Range<u64>) {
    let mut ingest = engine.ingest().begin("s").unwrap();
    for number in numbers {
        let event = json!({ "id": format!("e{number}"), "k": format!("k{}", number % 97), "t": number });
        ingest.push_json(event.to_string().as_bytes()).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(ingest.submit().unwrap().durable()).unwrap();
}

fn partitions(numbers: Range<u32>) -> Vec<PartitionId> {
    numbers.map(|number| PartitionId { stream: "s".into(), partition: PartitionIndex(number) }).collect()
}

/// Reads until all verdicts were received. Every tenth read resumes from the token of the last one.
fn follow(engine: &Engine, mut live: LiveVerdicts) -> Vec<(u32, u64, String)> {
    let deadline = Instant::now() + WAIT_TIMEOUT;
    let mut seen = Vec::new();
    let mut rounds = 0;
    while seen.len() < 2 * EVENTS as usize {
        assert!(Instant::now() < deadline, "only {} verdicts were seen", seen.len());
        let found = live.read().unwrap();
        if found.is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut mark = None;
        for item in found {
            let LiveItem::Verdict(received) = item else { panic!("nothing is deleted here: {item:?}") };
            seen.push((received.place.partition.0, received.place.offset.0, received.verdict.by.rule.clone()));
            mark = Some(received.mark);
        }
        rounds += 1;
        if let Some(mark) = mark.filter(|_| rounds % 10 == 0) {
            live = engine.live_verdicts().follow(LiveFilter::default(), Some(&mark)).unwrap();
        }
    }
    seen
}

#[test]
fn each_member_receives_each_verdict_once_while_partitions_move() {
    let dir = tempfile::tempdir().unwrap();
    let store = Embedded::open(dir.path(), &Config { cache_bytes: 8 << 20, ..Config::default() }).unwrap();
    let (one, one_membership) = start(&store);
    define(&one);
    let (other, other_membership) = start(&store);
    let begin = |engine: &Engine| engine.live_verdicts().follow(LiveFilter::default(), None).unwrap();
    let followed = [(&one, begin(&one)), (&other, begin(&other))];
    one_membership.owner().assign(partitions(0..PARTITIONS));
    let seen: Vec<_> = std::thread::scope(|scope| {
        let threads = followed.map(|(engine, live)| scope.spawn(move || follow(engine, live)));
        for round in 0..10 {
            ingest(&one, round * EVENTS / 10..(round + 1) * EVENTS / 10);
            let (from, to) = if round % 2 == 0 {
                (&one_membership, &other_membership)
            } else {
                (&other_membership, &one_membership)
            };
            from.owner().revoke(partitions(1..3), Duration::from_secs(10));
            to.owner().assign(partitions(1..3));
        }
        threads.map(|thread| thread.join().unwrap()).into_iter().collect()
    });
    for seen in seen {
        let mut by_partition: BTreeMap<u32, Vec<(u64, String)>> = BTreeMap::new();
        for (partition, offset, rule) in seen {
            by_partition.entry(partition).or_default().push((offset, rule));
        }
        for (partition, verdicts) in by_partition {
            let mut sorted = verdicts.clone();
            sorted.sort();
            sorted.dedup();
            assert_eq!(sorted.len(), verdicts.len(), "partition {partition}: each once");
            assert!(verdicts.iter().map(|(offset, _)| offset).is_sorted(), "partition {partition}: in order");
        }
    }
    one.shutdown();
    other.shutdown();
}
