//! Verdicts of deleted rules are history: profiles, tags and the highest scores show those of the rules of now. Tags have
//! a time, and may expire.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod cards;

use std::collections::BTreeMap;

use assay_engine::ports::catalog::{Change, Kind};
use assay_engine::{EntityProfile, ReadError, WantedScores};
use cards::Running;
use serde_json::{Value, json};

const STORED: i64 = 1_700_000_000_000;
const DAY: i64 = 86_400_000;

fn define(running: &Running, name: &str, body: Option<Value>) {
    let body = body.map(|mut body| {
        body["rule"] = json!(name);
        if body["stream"].is_null() {
            body["stream"] = json!("payments");
        }
        body
    });
    let change = Change { kind: Kind::Rule, name: name.to_owned(), body };
    running.engine.change(vec![change], "test", None, false).unwrap();
}

fn send(running: &Running, id: &str, card: &str, amount: f64, at: i64) {
    let event = json!({ "id": id, "card": card, "device": "d", "amount": amount, "at": at });
    running.ingest(std::iter::once(event));
    running.until_followed();
}

fn profile(running: &Running, card: &str) -> EntityProfile {
    profile_at(running, card, STORED)
}

fn profile_at(running: &Running, card: &str, at: i64) -> EntityProfile {
    let of = running.engine.partition_of("payments", card).unwrap();
    running.engine.profile(&of, card, at).unwrap()
}

/// The rules' scores of a card that are told, without those that the streams come with.
fn scores(running: &Running, card: &str) -> BTreeMap<String, f64> {
    let rules = profile(running, card).rules.into_iter().filter(|(name, _)| name.starts_with('r') && name != "ratio");
    rules.map(|(name, latest)| (name, latest.score.unwrap())).collect()
}

fn tags(profile: &EntityProfile) -> Vec<(&str, &str)> {
    profile.tags.iter().map(|tag| (tag.tag.as_str(), tag.rule.as_str())).collect()
}

fn highest(running: &Running, rule: &str) -> Result<Vec<(String, f64)>, ReadError> {
    let wanted = WantedScores { rule: rule.to_owned(), stream: None, min: None, limit: 10, cursor: None, at: STORED };
    let (_, page) = running.engine.highest_scores(wanted)?;
    Ok(page.items.into_iter().map(|ranked| (ranked.key, ranked.latest.score.unwrap())).collect())
}

#[test]
fn a_rule_that_was_made_again_begins_from_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path());
    running.define(&json!({}));
    define(&running, "r", Some(json!({ "score": "amount", "tags": { "block": "amount > 1.0" } })));
    // A change is no end: what it said before counts.
    define(&running, "r", Some(json!({ "score": "amount", "tags": { "block": "amount > 2.0" } })));
    send(&running, "1", "anna", 5.0, STORED);
    define(&running, "r", Some(json!({ "score": "amount", "tags": { "block": "amount > 3.0" } })));
    assert_eq!(scores(&running, "anna"), BTreeMap::from([("r".to_owned(), 5.0)]));
    assert_eq!(tags(&profile(&running, "anna")), [("block", "r")]);

    define(&running, "r", None);
    assert_eq!(scores(&running, "anna"), BTreeMap::new());
    assert!(profile(&running, "anna").tags.is_empty() && profile(&running, "anna").is_known);
    assert!(matches!(highest(&running, "r"), Err(ReadError::NotFound(_))));

    define(&running, "r", Some(json!({ "score": "0.0 - amount", "tags": { "watch": "amount > 1.0" } })));
    define(&running, "r", Some(json!({ "score": "0.0 - amount", "tags": { "watch": "amount > 0.5" } })));
    assert_eq!(scores(&running, "anna"), BTreeMap::new());
    assert_eq!(highest(&running, "r").unwrap(), []);
    assert!(running.engine.standing("r").is_none(), "its status begins anew");
    send(&running, "2", "bert", 2.0, STORED);
    assert_eq!(running.engine.standing("r").unwrap().total.judged, 1);
    assert_eq!(highest(&running, "r").unwrap(), [("bert".to_owned(), -2.0)]);
    send(&running, "3", "anna", 5.0, STORED + 1);
    assert_eq!(highest(&running, "r").unwrap(), [("bert".to_owned(), -2.0), ("anna".to_owned(), -5.0)]);
    assert_eq!(tags(&profile(&running, "anna")), [("watch", "r")]);
    let latest = &profile(&running, "anna").rules["r"];
    assert_eq!((latest.revision, latest.event.as_str()), (6, "3"), "revisions go on counting");

    // Under the same name, but of another stream.
    define(&running, "r", None);
    define(&running, "r", Some(json!({ "stream": "by_device", "score": "amount" })));
    assert_eq!(scores(&running, "anna"), BTreeMap::new());
    assert_eq!(highest(&running, "r").unwrap(), []);

    // The same after a start.
    drop(running);
    let running = Running::start(dir.path());
    assert_eq!(scores(&running, "anna"), BTreeMap::new());
    assert_eq!(highest(&running, "r").unwrap(), []);
}

#[test]
fn a_stream_that_was_made_again_shows_only_what_its_rules_of_now_say() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path());
    running.define(&json!({}));
    let plan = running.engine.plan();
    let of = |kind, name: &str| plan.snapshot.get(kind, name).unwrap().body.clone();
    let all = [
        (Kind::Stream, "payments"),
        (Kind::View, "spend"),
        (Kind::Rule, "total"),
        (Kind::Rule, "ratio"),
        (Kind::Stream, "by_device"),
        (Kind::View, "seen"),
        (Kind::Rule, "count"),
    ];
    let bodies = all.map(|(kind, name)| Change { kind, name: name.to_owned(), body: of(kind, name) });
    send(&running, "1", "anna", 5.0, STORED);
    assert_eq!(profile(&running, "anna").rules.len(), 2);
    let deleted = bodies.clone().map(|change| Change { body: None, ..change });
    running.engine.change(deleted.to_vec(), "test", None, false).unwrap();
    running.engine.change(bodies.to_vec(), "test", None, false).unwrap();
    assert!(profile(&running, "anna").rules.is_empty());
    assert_eq!(running.engine.view("spend", "anna", None).unwrap().as_of, None);
    assert_eq!(highest(&running, "total").unwrap(), []);
    send(&running, "2", "anna", 7.0, STORED);
    assert_eq!(highest(&running, "total").unwrap(), [("anna".to_owned(), 8.0)], "it has counted one event");
}

#[test]
fn tags_have_the_time_of_their_event_and_expire_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path());
    running.define(&json!({}));
    define(&running, "r", Some(json!({ "score": "amount", "tags": { "block": "amount > 1.0" }, "expire": "30d" })));
    define(&running, "rr", Some(json!({ "score": "amount", "tags": { "block": "amount > 1.0", "ever": "true" } })));
    send(&running, "1", "anna", 5.0, STORED);
    for (after, expected) in [
        (0, vec![("block", "r"), ("block", "rr"), ("ever", "rr")]),
        (30 * DAY - 1, vec![("block", "r"), ("block", "rr"), ("ever", "rr")]),
        (30 * DAY, vec![("block", "rr"), ("ever", "rr")]),
        (9000 * DAY, vec![("block", "rr"), ("ever", "rr")]),
    ] {
        let seen = profile_at(&running, "anna", STORED + after);
        assert_eq!(tags(&seen), expected, "{after}");
        assert!(seen.tags.iter().all(|tag| tag.at == STORED));
        let expires: Vec<Option<i64>> = seen.tags.iter().map(|tag| tag.expires_at).collect();
        assert_eq!(expires.contains(&Some(STORED + 30 * DAY)), expected.contains(&("block", "r")));
        assert_eq!(seen.rules["r"].tags.is_empty(), after >= 30 * DAY);
        assert_eq!(seen.rules["r"].score, Some(5.0), "the score stays");
    }
    // A later event gives it again; the verdicts on events keep what they said.
    send(&running, "2", "anna", 5.0, STORED + 40 * DAY);
    assert_eq!(profile_at(&running, "anna", STORED + 60 * DAY).tags[0].at, STORED + 40 * DAY);
    let explained = running.engine.explain("payments", "1", None, 1000).unwrap().events;
    let said = explained[0].outcome.as_ref().unwrap().verdicts.iter().find(|verdict| verdict.by.rule == "r").unwrap();
    assert_eq!(said.tags, ["block"]);
    let bad = json!({ "rule": "r", "stream": "payments", "score": "amount", "expire": "0s" });
    let change = Change { kind: Kind::Rule, name: "r".to_owned(), body: Some(bad) };
    let error = running.engine.change(vec![change], "test", None, false).unwrap_err().to_string();
    assert!(error.contains("expire: expected a span of at least 1ms"), "{error}");
}
