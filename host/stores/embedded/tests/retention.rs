//! Retention in an engine: the oldest events and verdicts are deleted, views and profiles stay, and no needed record is
//! deleted.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod payments;

use assay_core::names::Offset;
use assay_core::time_range::TimeRange;
use assay_engine::ports::archive::HistoryQuery;
use assay_engine::ports::log::Topic;
use payments::{TestEngine, partitions, payment, wait_until};
use serde_json::json;

fn ingest_rounds(running: &TestEngine, rounds: std::ops::Range<u64>) {
    for round in rounds {
        running.ingest((0..50).map(|at| payment(round * 50 + at, &format!("card-{}", at % 10))));
    }
    running.wait_until_written();
}

fn events_of(running: &TestEngine, card: &str) -> usize {
    let partition = running.engine.queries().partition_of("payments", card).unwrap();
    let query = HistoryQuery { key: card.to_owned(), times: TimeRange::ALL, limit: 10_000, cursor: None };
    running.ports().archive.history(&partition, &query).unwrap().items.len()
}

fn start_offsets(running: &TestEngine, topic: Topic) -> Vec<u64> {
    let log = running.ports().log;
    partitions()[..2]
        .iter()
        .map(|partition| log.kept(&partition.stream, topic, partition.partition).unwrap().first.0)
        .collect()
}

#[test]
fn the_oldest_records_are_deleted_and_their_results_stay() {
    let dir = tempfile::tempdir().unwrap();
    let running = TestEngine::start(dir.path());
    running.define(&json!({ "events": { "size": "8KiB" }, "verdicts": { "size": "16KiB" } }));
    ingest_rounds(&running, 0..40);
    wait_until("events and verdicts are deleted", || {
        start_offsets(&running, Topic::Events)
            .iter()
            .chain(&start_offsets(&running, Topic::Verdicts))
            .all(|first| *first > 0)
    });
    // Retention runs every ten seconds, and leaves up to one block more than the limit.
    wait_until("a card's first events are gone", || events_of(&running, "card-3") < 150);
    let counted = format!("{:?}", running.engine.queries().view("spend", "card-3", None).unwrap());
    assert!(counted.contains("Int(200)"), "{counted}");
    assert!(running.engine.queries().explain("payments", "p3", None, 1000).unwrap().events.is_empty());
    let last = running.engine.queries().explain("payments", "p1953", None, 1000).unwrap().events;
    assert!(last[0].outcome.is_some());
    let partition = running.engine.queries().partition_of("payments", "card-3").unwrap();
    let profile = running.ports().profiles.get(&partition, "card-3").unwrap();
    let text = running.engine.status().encode_metrics();
    for metric in ["assay_log_deleted_records_total", "assay_log_deleted_bytes_total"] {
        let line = text.lines().find(|line| line.starts_with(metric) && line.contains("events"));
        assert!(line.is_some_and(|line| !line.ends_with(" 0")), "{metric} in {text}");
    }
    // All checkpoints are after the deleted records.
    for (partition, first) in partitions()[..2].iter().zip(start_offsets(&running, Topic::Events)) {
        assert!(running.ports().state.checkpoint(partition).unwrap().unwrap().events >= Offset(first));
    }
    drop(running);

    let running = TestEngine::start(dir.path());
    assert!(start_offsets(&running, Topic::Events).iter().all(|first| *first > 0));
    assert_eq!(format!("{:?}", running.engine.queries().view("spend", "card-3", None).unwrap()), counted);
    assert_eq!(running.ports().profiles.get(&partition, "card-3").unwrap(), profile);
    ingest_rounds(&running, 40..41);
    assert!(format!("{:?}", running.engine.queries().view("spend", "card-3", None).unwrap()).contains("Int(205)"));
    assert_eq!(running.engine.queries().explain("payments", "p2003", None, 1000).unwrap().events.len(), 1);
}
