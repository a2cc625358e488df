//! Events with an unacceptable time: ingest refuses them, and in the log they are dead letters and not counted. The append
//! time decides, not the clock of the reader, so that every read has the same result.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod payments;

use assay_core::event_time::MAX_EVENT_TIME_MS;
use assay_core::names::Offset;
use assay_core::schema::Encoder;
use assay_core::stream::StreamDef;
use assay_core::time_range::TimeRange;
use assay_core::value::Value as Measured;
use assay_engine::now_ms;
use assay_engine::ports::archive::HistoryQuery;
use assay_engine::ports::catalog::Change;
use assay_engine::ports::log::{Durability, Records, Topic};
use payments::{TestEngine, partitions, wait_until};
use serde_json::{Value, json};

const DAY: i64 = 86_400_000;
/// The append time of the events: long before the clock of the test.
const STORED: i64 = 1_700_000_000_000;

fn event(id: &str, card: &str, at: i64) -> Value {
    json!({ "id": id, "card": card, "device": "d1", "amount": 1.0, "at": at })
}

/// Appends events as another producer would.
fn append(running: &TestEngine, card: &str, stored_at: i64, events: &[Value]) {
    let plan = running.engine.plan();
    let partition = running.engine.partition_of("payments", card).unwrap();
    let mut encoder = Encoder::new(&plan.streams["payments"].schema);
    let mut records = Records { appended_at: stored_at, ..Records::default() };
    for event in events {
        encoder.encode(event.to_string().as_bytes(), &mut records.data).unwrap();
        records.end_record();
    }
    let batches = vec![(partition.partition, records)];
    let receipt = running.ports().log.append("payments", Topic::Events, batches, Durability::Synced).unwrap();
    receipt.blocking_recv().unwrap().unwrap();
}

/// The number of events of an entity in a view.
fn counted(running: &TestEngine, view: &str, key: &str) -> Measured {
    running.engine.view(view, key, None).unwrap().measures[0].1.clone()
}

/// The ids and codes of an entity's dead letters.
fn letters(running: &TestEngine, card: &str) -> Vec<(String, String)> {
    let (ports, partition) = (running.ports(), running.engine.partition_of("payments", card).unwrap());
    let query = HistoryQuery { key: card.to_owned(), times: TimeRange::ALL, limit: 100, cursor: None };
    let mut found = Vec::new();
    for event in ports.archive.history(&partition, &query).unwrap().items {
        let id = running.engine.event_json("payments", &event).unwrap()["id"].as_str().unwrap().to_owned();
        let letters = ports.dead_letters.of_event(&partition, event.place.offset).unwrap();
        found.extend(letters.into_iter().map(|letter| (id.clone(), letter.code)));
    }
    found.sort();
    found
}

/// The number of events in the derived stream.
fn count_copies(running: &TestEngine) -> usize {
    let of_derived = partitions().into_iter().filter(|partition| &*partition.stream == "by_device");
    of_derived
        .map(|partition| {
            running.ports().log.end(&partition.stream, Topic::Events, partition.partition).unwrap().0 as usize
        })
        .sum()
}

fn change(running: &TestEngine, max_ahead: &str) {
    let plan = running.engine.plan();
    let def = plan.snapshot.find::<StreamDef>("payments").unwrap().clone();
    let max_ahead = serde_json::from_value(json!(max_ahead)).unwrap();
    let change = Change::set("payments", StreamDef { max_ahead, ..def });
    running.engine.catalog().change(vec![change], "test", None, false).unwrap();
}

/// The counts and dead letters of the cards.
fn answers(running: &TestEngine) -> Vec<(Measured, Vec<(String, String)>)> {
    let cards = ["early", "ends", "good"];
    cards.iter().map(|card| (counted(running, "spend", card), letters(running, card))).collect()
}

#[test]
fn events_later_than_their_append_time_are_dead_letters_and_not_counted() {
    let dir = tempfile::tempdir().unwrap();
    let running = TestEngine::start(dir.path());
    running.define(&json!({}));
    let early = [event("a", "early", STORED), event("b", "early", STORED + DAY), event("c", "early", STORED + DAY + 1)];
    append(&running, "early", STORED, &early);
    append(&running, "early", STORED + 60_000, &[event("d", "early", STORED + DAY + 60_000)]);
    let ends = [i64::MIN, -MAX_EVENT_TIME_MS - 1, -MAX_EVENT_TIME_MS, STORED, STORED * 1_000_000, i64::MAX];
    let ends: Vec<Value> =
        ends.iter().zip("abcdef".chars()).map(|(at, id)| event(&id.to_string(), "ends", *at)).collect();
    append(&running, "ends", STORED, &ends);
    append(&running, "good", STORED, &[event("a", "good", STORED)]);
    running.wait_until_written();
    let pair = |id: &str, code: &str| (id.to_owned(), code.to_owned());
    let out_of_range = ["a", "b", "e", "f"].map(|id| pair(id, "time-out-of-range"));
    let expected = vec![
        (Measured::Int(3), vec![pair("c", "time-ahead")]),
        (Measured::Int(2), out_of_range.to_vec()),
        (Measured::Int(1), Vec::new()),
    ];
    assert_eq!(answers(&running), expected);
    assert_eq!(count_copies(&running), 6, "what is refused is not in the derived stream");
    assert_eq!(counted(&running, "seen", "d1"), Measured::Int(6));
    let explained = running.engine.explain("payments", "c", None, 1000).unwrap().events;
    let refused = explained.iter().find(|it| it.json["card"] == "early").unwrap();
    assert!(refused.outcome.as_ref().is_none_or(|outcome| outcome.verdicts.is_empty()));
    assert!(refused.dead_letters[0].message.contains("later than 2023-11-14T22:13:20Z, when it was stored"));

    drop(running);
    assert_eq!(answers(&TestEngine::start(dir.path())), expected);
}

#[test]
fn ingest_refuses_single_events_and_counts_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let running = TestEngine::start(dir.path());
    running.define(&json!({}));
    let mut ingest = running.engine.ingest("payments").unwrap();
    let mut push = |id: &str, at: i64| {
        let pushed = ingest.push_json(event(id, "card", at).to_string().as_bytes());
        pushed.map_err(|error| (error.code().as_str(), error.to_string()))
    };
    let now = now_ms();
    assert_eq!(push("now", now), Ok(()));
    assert_eq!(push("tomorrow", now + DAY), Ok(()));
    assert_eq!(push("old", -5), Ok(()));
    let (code, message) = push("2126", now + 36_500 * DAY).unwrap_err();
    assert!(code == "time-ahead" && message.contains("max_ahead"), "{code} {message}");
    for at in [now * 1000, now * 1_000_000, i64::MAX] {
        let (code, _) = push("unit", at).unwrap_err();
        assert_eq!(code, if at > MAX_EVENT_TIME_MS { "time-out-of-range" } else { "time-ahead" }, "{at}");
    }
    assert_eq!(push("MIN", i64::MIN).unwrap_err().0, "time-out-of-range");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(ingest.submit().unwrap().durable()).unwrap();
    running.wait_until_written();
    assert_eq!(counted(&running, "spend", "card"), Measured::Int(3), "the fold does not contradict");
    assert_eq!(letters(&running, "card"), []);

    change(&running, "none");
    let mut ingest = running.engine.ingest("payments").unwrap();
    ingest.push_json(event("2126", "card", now + 36_500 * DAY).to_string().as_bytes()).unwrap();
    assert!(ingest.push_json(event("MAX", "card", i64::MAX).to_string().as_bytes()).is_err());
    runtime.block_on(ingest.submit().unwrap().durable()).unwrap();
    wait_until("it is counted", || counted(&running, "spend", "card") == Measured::Int(4));
}

#[test]
fn an_erasure_includes_events_with_extreme_times() {
    let dir = tempfile::tempdir().unwrap();
    let running = TestEngine::start(dir.path());
    running.define(&json!({}));
    change(&running, "none");
    let ends = [i64::MIN, -MAX_EVENT_TIME_MS, STORED, MAX_EVENT_TIME_MS, i64::MAX - 1, i64::MAX];
    let events: Vec<Value> = ends.iter().enumerate().map(|(at, time)| event(&at.to_string(), "card", *time)).collect();
    append(&running, "card", STORED, &events);
    append(&running, "other", STORED, &[event("x", "other", i64::MAX), event("y", "other", STORED)]);
    running.wait_until_written();
    let partition = running.engine.partition_of("payments", "card").unwrap();
    let listed = |card: &str| {
        let partition = running.engine.partition_of("payments", card).unwrap();
        let query = HistoryQuery { key: card.to_owned(), times: TimeRange::ALL, limit: 100, cursor: None };
        running.ports().archive.history(&partition, &query).unwrap().items.len()
    };
    assert_eq!((listed("card"), letters(&running, "card").len()), (6, 3));

    let erased = running.engine.erase("payments", "card", "test").unwrap();
    assert_eq!(erased.events, 6 + 3, "with the copies in the derived stream");
    assert_eq!(erased.dead_letters, 3);
    assert_eq!((listed("card"), listed("other")), (0, 2));
    let blocks =
        running.ports().log.read("payments", Topic::Events, partition.partition, Offset(0), 100, 1 << 20).unwrap();
    let left: Vec<&[u8]> = blocks.iter().flat_map(Records::iter).map(|(_, bytes)| bytes).collect();
    assert!(left.iter().all(|bytes| bytes.windows(4).all(|part| part != b"card")), "the log holds nothing of it");
    let seen = running.engine.view("spend", "card", None).unwrap();
    assert_eq!(seen.as_of, None);
}
