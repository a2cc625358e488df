//! Retention by an engine: the oldest events and verdicts go, what is counted and said stays, and nothing goes that
//! somebody still needs.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod cards;

use assay_core::names::Offset;
use assay_core::time_range::TimeRange;
use assay_engine::ports::archive::HistoryQuery;
use assay_engine::ports::log::Topic;
use cards::{Running, partitions, payment, until};
use serde_json::json;

fn rounds(running: &Running, rounds: std::ops::Range<u64>) {
    for round in rounds {
        running.ingest((0..50).map(|at| payment(round * 50 + at, &format!("card-{}", at % 10))));
    }
    running.until_followed();
}

fn events_of(running: &Running, card: &str) -> usize {
    let of = running.engine.partition_of("payments", card).unwrap();
    let query = HistoryQuery { key: card.to_owned(), times: TimeRange::ALL, limit: 10_000, cursor: None };
    running.ports().archive.history(&of, &query).unwrap().items.len()
}

fn begins(running: &Running, topic: Topic) -> Vec<u64> {
    let log = running.ports().log;
    partitions()[..2].iter().map(|of| log.kept(&of.stream, topic, of.partition).unwrap().first.0).collect()
}

#[test]
fn the_oldest_go_and_what_they_have_made_stays() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path());
    running.define(&json!({ "events": { "size": "8KiB" }, "verdicts": { "size": "16KiB" } }));
    rounds(&running, 0..40);
    until("events and verdicts are deleted", || {
        begins(&running, Topic::Events).iter().chain(&begins(&running, Topic::Verdicts)).all(|first| *first > 0)
    });
    // Each process looks every ten seconds; what is left is what the limit says, and a block more.
    until("a card's first events are gone", || events_of(&running, "card-3") < 150);
    let counted = format!("{:?}", running.engine.view("spend", "card-3", None).unwrap());
    assert!(counted.contains("Int(200)"), "{counted}");
    assert!(running.engine.explain("payments", "p3", None, 1000).unwrap().events.is_empty());
    let last = running.engine.explain("payments", "p1953", None, 1000).unwrap().events;
    assert!(last[0].outcome.is_some());
    let of = running.engine.partition_of("payments", "card-3").unwrap();
    let profile = running.ports().profiles.get(&of, "card-3").unwrap();
    let text = running.engine.measure();
    for metric in ["assay_log_deleted_records_total", "assay_log_deleted_bytes_total"] {
        let line = text.lines().find(|line| line.starts_with(metric) && line.contains("events"));
        assert!(line.is_some_and(|line| !line.ends_with(" 0")), "{metric} in {text}");
    }
    // All positions are beyond what is gone.
    for (of, first) in partitions()[..2].iter().zip(begins(&running, Topic::Events)) {
        assert!(running.ports().state.checkpoint(of).unwrap().unwrap().events >= Offset(first));
    }
    drop(running);

    let running = Running::start(dir.path());
    assert!(begins(&running, Topic::Events).iter().all(|first| *first > 0));
    assert_eq!(format!("{:?}", running.engine.view("spend", "card-3", None).unwrap()), counted);
    assert_eq!(running.ports().profiles.get(&of, "card-3").unwrap(), profile);
    rounds(&running, 40..41);
    assert!(format!("{:?}", running.engine.view("spend", "card-3", None).unwrap()).contains("Int(205)"));
    assert_eq!(running.engine.explain("payments", "p2003", None, 1000).unwrap().events.len(), 1);
}
