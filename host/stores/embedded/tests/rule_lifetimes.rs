//! The lifetimes of rules: profiles, tags and highest scores show only verdicts of existing rules, not of deleted ones with
//! the same name. Tags have a time and may expire.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

#[path = "endless_rule/mod.rs"]
mod endless_rule;
mod payments;

use std::collections::BTreeMap;

use assay_engine::ports::catalog::{Change, Kind};
use assay_engine::{EntityProfile, ReadError, WantedScores};
use payments::TestEngine;
use serde_json::{Value, json};

const STORED: i64 = 1_700_000_000_000;
const DAY: i64 = 86_400_000;

fn define(running: &TestEngine, name: &str, body: Option<Value>) {
    let change = match body {
        None => Change::delete(Kind::Rule, name),
        Some(mut body) => {
            body["rule"] = json!(name);
            if body["stream"].is_null() {
                body["stream"] = json!("payments");
            }
            Change::from_json(Kind::Rule, name, body)
        }
    };
    running.engine.catalog().change(vec![change], "test", None, false).unwrap();
}

fn send(running: &TestEngine, id: &str, card: &str, amount: f64, at: i64) {
    let event = json!({ "id": id, "card": card, "device": "d", "amount": amount, "at": at });
    running.ingest(std::iter::once(event));
    running.wait_until_written();
}

fn profile(running: &TestEngine, card: &str) -> EntityProfile {
    profile_at(running, card, STORED)
}

fn profile_at(running: &TestEngine, card: &str, at: i64) -> EntityProfile {
    let partition = running.engine.partition_of("payments", card).unwrap();
    running.engine.profile(&partition, card, at).unwrap()
}

/// The scores of a card by the rules of the test, without those of the fixture.
fn scores(running: &TestEngine, card: &str) -> BTreeMap<String, f64> {
    let rules = profile(running, card).rules.into_iter().filter(|(name, _)| name.starts_with('r') && name != "ratio");
    rules.map(|(name, latest)| (name, latest.score.unwrap())).collect()
}

fn tags(profile: &EntityProfile) -> Vec<(&str, &str)> {
    profile.tags.iter().map(|tag| (tag.tag.as_str(), tag.rule.as_str())).collect()
}

fn highest(running: &TestEngine, rule: &str) -> Result<Vec<(String, f64)>, ReadError> {
    let wanted = WantedScores { rule: rule.to_owned(), stream: None, min: None, limit: 10, cursor: None, at: STORED };
    let (_, page) = running.engine.highest_scores(wanted)?;
    Ok(page.items.into_iter().map(|ranked| (ranked.key, ranked.latest.score.unwrap())).collect())
}

#[test]
fn a_recreated_rule_starts_without_history() {
    let dir = tempfile::tempdir().unwrap();
    let running = TestEngine::start(dir.path());
    running.define(&json!({}));
    define(&running, "r", Some(json!({ "score": "amount", "tags": { "block": "amount > 1.0" } })));
    // A change does not end a rule: its earlier verdicts count.
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
    assert!(running.engine.rule_stats("r").is_none(), "its status begins anew");
    send(&running, "2", "bert", 2.0, STORED);
    assert_eq!(running.engine.rule_stats("r").unwrap().total.judged, 1);
    assert_eq!(highest(&running, "r").unwrap(), [("bert".to_owned(), -2.0)]);
    send(&running, "3", "anna", 5.0, STORED + 1);
    assert_eq!(highest(&running, "r").unwrap(), [("bert".to_owned(), -2.0), ("anna".to_owned(), -5.0)]);
    assert_eq!(tags(&profile(&running, "anna")), [("watch", "r")]);
    let latest = &profile(&running, "anna").rules["r"];
    assert_eq!((latest.revision, latest.event.as_str()), (6, "3"), "revisions go on counting");

    // A rule of the same name on another stream.
    define(&running, "r", None);
    define(&running, "r", Some(json!({ "stream": "by_device", "score": "amount" })));
    assert_eq!(scores(&running, "anna"), BTreeMap::new());
    assert_eq!(highest(&running, "r").unwrap(), []);

    // The same after a restart.
    drop(running);
    let running = TestEngine::start(dir.path());
    assert_eq!(scores(&running, "anna"), BTreeMap::new());
    assert_eq!(highest(&running, "r").unwrap(), []);
}

#[test]
fn a_recreated_plugin_rule_starts_with_fresh_state() {
    let dir = tempfile::tempdir().unwrap();
    let running = TestEngine::start(dir.path());
    running.define(&json!({}));
    running.engine.catalog().upload_plugin(endless_rule::folding(), "test", false).unwrap();
    let folds = || json!({ "plugin": "folding@2", "inputs": { "value": "int(amount)" }, "config": { "mode": "fold" } });
    let score = |running: &TestEngine| profile(running, "anna").rules["r"].score;
    define(&running, "r", Some(folds()));
    send(&running, "1", "anna", 5.0, STORED);
    assert_eq!(score(&running), Some(5.0));
    // A new revision keeps the state.
    define(
        &running,
        "r",
        Some(json!({ "doc": "the same", "plugin": "folding@2", "inputs": { "value": "int(amount)" },
        "config": { "mode": "fold" } })),
    );
    send(&running, "2", "anna", 7.0, STORED + 1);
    assert_eq!(score(&running), Some(5.0 * 31.0 + 7.0));

    define(&running, "r", None);
    send(&running, "3", "anna", 1.0, STORED + 2);
    define(&running, "r", Some(folds()));
    send(&running, "4", "anna", 9.0, STORED + 3);
    assert_eq!(score(&running), Some(9.0), "the state of the rule that was deleted is gone");

    // The same where the state comes from the store.
    define(&running, "r", None);
    drop(running);
    let running = TestEngine::start(dir.path());
    define(&running, "r", Some(folds()));
    send(&running, "5", "anna", 3.0, STORED + 4);
    assert_eq!(score(&running), Some(3.0));
    drop(running);
    let running = TestEngine::start(dir.path());
    send(&running, "6", "anna", 2.0, STORED + 5);
    assert_eq!(score(&running), Some(3.0 * 31.0 + 2.0), "its own state outlives a start");
}

#[test]
fn a_recreated_stream_shows_only_verdicts_of_its_present_rules() {
    let dir = tempfile::tempdir().unwrap();
    let running = TestEngine::start(dir.path());
    running.define(&json!({}));
    let plan = running.engine.plan();
    let of = |kind, name: &str| plan.snapshot.get(kind, name).unwrap().definition.clone().unwrap();
    let all = [
        (Kind::Stream, "payments"),
        (Kind::View, "spend"),
        (Kind::Rule, "total"),
        (Kind::Rule, "ratio"),
        (Kind::Stream, "by_device"),
        (Kind::View, "seen"),
        (Kind::Rule, "count"),
    ];
    let definitions = all.map(|(kind, name)| Change::set(name, of(kind, name)));
    send(&running, "1", "anna", 5.0, STORED);
    assert_eq!(profile(&running, "anna").rules.len(), 2);
    let deleted = all.map(|(kind, name)| Change::delete(kind, name));
    running.engine.catalog().change(deleted.to_vec(), "test", None, false).unwrap();
    running.engine.catalog().change(definitions.to_vec(), "test", None, false).unwrap();
    assert!(profile(&running, "anna").rules.is_empty());
    assert_eq!(running.engine.view("spend", "anna", None).unwrap().as_of, None);
    assert_eq!(highest(&running, "total").unwrap(), []);
    send(&running, "2", "anna", 7.0, STORED);
    assert_eq!(highest(&running, "total").unwrap(), [("anna".to_owned(), 8.0)], "it has counted one event");
}

#[test]
fn tags_expire_by_the_time_of_their_event() {
    let dir = tempfile::tempdir().unwrap();
    let running = TestEngine::start(dir.path());
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
    // A later event sets the tag again. The stored verdicts keep their tags.
    send(&running, "2", "anna", 5.0, STORED + 40 * DAY);
    assert_eq!(profile_at(&running, "anna", STORED + 60 * DAY).tags[0].at, STORED + 40 * DAY);
    let explained = running.engine.explain("payments", "1", None, 1000).unwrap().events;
    let verdict =
        explained[0].outcome.as_ref().unwrap().verdicts.iter().find(|verdict| verdict.by.rule == "r").unwrap();
    assert_eq!(verdict.tags, ["block"]);
    let bad = json!({ "rule": "r", "stream": "payments", "score": "amount", "expire": "0s" });
    let change = Change::from_json(Kind::Rule, "r", bad);
    let error = running.engine.catalog().change(vec![change], "test", None, false).unwrap_err().to_string();
    assert!(error.contains("expire: expected a span of at least 1ms"), "{error}");
}
