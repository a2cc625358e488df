//! What the rules of a stream have in common is computed once, and each says what it would say alone.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod support;

use std::collections::BTreeMap;

use assay_core::verdict::{Edge, read_block};
use assay_engine::ports::catalog::Change;
use serde_json::json;

use support::{avro, event, offline, rule, stream, view};

const FILTER: &str = "amount > 0.0 && lower(card) != 'c3'";

/// Two rules with one filter, one that judges few events, and one that judges all and sees the first one's score.
fn rules() -> [Change; 4] {
    let tags = json!({ "high": "score > 60.0 && amount * 2.0 > 50.0", "own": "score > 60.0" });
    let graph = json!([{ "edge": "spends", "from": "lower(card)", "to": "id", "when": "amount * 2.0 > 50.0",
        "facets": { "twice": "amount * 2.0" } }]);
    [
        rule(
            "a",
            json!({ "when": FILTER, "score": "amount * 2.0 + double(size(lower(card)))", "tags": tags, "graph": graph }),
        ),
        rule(
            "b",
            json!({ "when": FILTER, "score": "double(size(lower(card))) - amount * 2.0", "tags": tags, "graph": graph }),
        ),
        rule(
            "few",
            json!({ "when": "amount > 90.0", "score": "amount * 2.0 + views.spend.sum", "tags": tags, "graph": graph }),
        ),
        rule("sees", json!({ "score": "coalesce(scores.a, 0.0) + amount * 2.0" })),
    ]
}

fn definitions(rules: impl IntoIterator<Item = Change>) -> Vec<Change> {
    let spend = view("spend", json!({ "sum": "sum(amount * 2.0)" }));
    [stream(), spend].into_iter().chain(rules).collect()
}

/// The score, the tags and the edges.
type Said = (Option<f64>, Vec<String>, Vec<Edge>);

/// What is said of a hundred events in batches of some length, by event and rule.
fn said(rules: Vec<Change>, batch: usize) -> BTreeMap<(u64, String), Said> {
    let mut offline = offline(definitions(rules));
    let events = (0..100).map(|n| event(&format!("p{n}"), &format!("C{}", n % 5), f64::from(n - 5), i64::from(n)));
    let records: Vec<Vec<u8>> = events.map(|event| avro(&event)).collect();
    let mut said = BTreeMap::new();
    for records in records.chunks(batch) {
        let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let mut block = Vec::new();
        offline.score_avro("payments", &records, &mut block).unwrap();
        for outcome in read_block(&block).unwrap().outcomes {
            for verdict in outcome.verdicts {
                let by = (outcome.offset.0, verdict.by.rule.clone());
                said.insert(by, (verdict.score, verdict.tags, verdict.edges));
            }
        }
    }
    said
}

#[test]
fn equal_parts_are_found() {
    let shared = |rules: Vec<Change>| offline(definitions(rules)).plan().streams["payments"].shared;
    // amount * 2.0, lower(card), size(lower(card)) as a double, the filter, and amount * 2.0 > 50.0. What reads the
    // verdict's own score is none of them.
    assert_eq!(shared(rules().to_vec()), 5);
    assert_eq!(shared(vec![rule("one", json!({ "score": "amount * 3.0", "when": "amount > 0.0" }))]), 0);
}

#[test]
fn each_rule_says_what_it_says_alone() {
    for batch in [1, 7, 100] {
        let together = said(rules().to_vec(), batch);
        let [a, b, few, sees] = rules();
        for (alone, name) in [(vec![a.clone()], "a"), (vec![b], "b"), (vec![few], "few"), (vec![a, sees], "sees")] {
            let mut all = together.clone();
            all.retain(|(_, rule), _| rule == name);
            let mut alone = said(alone, batch);
            alone.retain(|(_, rule), _| rule == name);
            assert_eq!(all, alone, "rule {name} in batches of {batch}");
            assert!(all.len() > 3, "rule {name} judges something");
        }
    }
}
