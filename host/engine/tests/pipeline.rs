//! The pipeline without plugins: filters, views as inputs, scores of other rules, tags; and what uploads are refused for.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod support;

use assay_core::failure_code::FailureCode;
use assay_core::value::Value;
use assay_engine::ChangeError;
use assay_engine::ports::catalog::Kind;
use proptest::prelude::*;
use serde_json::json;

use support::{change, event, offline, problems, rule, stream, view};

#[test]
fn a_rule_sees_fields_views_and_scores_of_other_rules() {
    let mut offline = offline(vec![
        stream(),
        view("spend", json!({ "n": "count()", "sum": "sum(amount)" })),
        rule("base", json!({ "score": "amount / 100.0", "when": "amount > 0.0" })),
        rule(
            "total",
            json!({ "score": "views.spend.sum + coalesce(scores.base, 0.0)", "tags": { "big": "score > 30.0" } }),
        ),
    ]);
    let first = offline.score("payments", &event("p1", "a", 10.0, 1_000)).unwrap();
    let second = offline.score("payments", &event("p2", "a", 20.0, 2_000)).unwrap();
    let refund = offline.score("payments", &event("p3", "a", -5.0, 3_000)).unwrap();
    let scores = |outcome: &assay_core::verdict::Outcome| -> Vec<(String, Option<f64>, Vec<String>)> {
        let verdicts = outcome.verdicts.iter();
        verdicts.map(|verdict| (verdict.by.rule.clone(), verdict.score, verdict.tags.clone())).collect()
    };
    assert_eq!(scores(&first), [("base".into(), Some(0.1), vec![]), ("total".into(), Some(10.1), vec![])]);
    let big = vec!["big".to_owned()];
    assert_eq!(scores(&second), [("base".into(), Some(0.2), vec![]), ("total".into(), Some(30.2), big)]);
    assert_eq!(scores(&refund), [("total".into(), Some(25.0), vec![])], "base does not judge it");
    let inputs = &second.verdicts[1].inputs;
    assert_eq!(inputs[0], ("views.spend.sum".to_owned(), Value::Double(30.0)));
    assert_eq!(offline.view("spend", "a", None).unwrap().unwrap()[0], ("n".to_owned(), Value::Int(3)));
}

#[test]
fn a_rule_sees_the_bucket_of_the_event_also_when_it_comes_late() {
    let hours = change(
        Kind::View,
        "hours",
        json!({ "view": "hours", "stream": "payments", "by": ["card"], "every": "1h", "keep": "3h",
                "measures": { "n": "count()", "sum": "sum(amount)" } }),
    );
    let score = "views.hours.sum + double(views.hours.n) / 100.0";
    let mut offline = offline(vec![stream(), hours, rule("of_hour", json!({ "score": score }))]);
    let hour = 3_600_000;
    let mut score = |id: &str, amount: f64, time: i64| {
        offline.score("payments", &event(id, "a", amount, time)).unwrap().verdicts[0].score.unwrap()
    };
    assert_eq!(score("p1", 1.0, 5 * hour), 1.01);
    assert_eq!(score("p2", 2.0, 6 * hour - 1), 3.02);
    assert_eq!(score("p3", 4.0, 6 * hour), 4.01, "a new hour begins with nothing");
    assert_eq!(score("p4", 8.0, 5 * hour + 1), 11.03, "late, but its hour is kept");
    assert_eq!(score("p5", 16.0, 7 * hour), 16.01);
    assert_eq!(score("p6", 32.0, 5 * hour), 43.04, "the third hour is still kept");
    assert_eq!(score("p7", 64.0, 4 * hour), 0.0, "a fourth is not: the event is late");
    assert_eq!(offline.view("hours", "a", Some(5 * hour)).unwrap().unwrap()[0], ("n".to_owned(), Value::Int(4)));
    assert_eq!(offline.view("hours", "a", None).unwrap().unwrap()[1], ("sum".to_owned(), Value::Double(16.0)));
}

#[test]
fn a_rule_sees_the_first_value_and_the_deviation() {
    let usual = json!({ "first": "first(amount)", "last": "last(amount)", "spread": "stddev(amount)" });
    let score = "views.usual.first + coalesce(views.usual.spread, 1000.0)";
    let mut offline = offline(vec![stream(), view("usual", usual), rule("deviation", json!({ "score": score }))]);
    let mut score = |id: &str, amount: f64, time: i64| {
        offline.score("payments", &event(id, "a", amount, time)).unwrap().verdicts[0].score.unwrap()
    };
    assert_eq!(score("p1", 4.0, 2_000), 1004.0, "one value has no deviation");
    assert_eq!(score("p2", 8.0, 2_000), 4.0 + 8f64.sqrt(), "of equal times the one that came first");
    assert_eq!(score("p3", 6.0, 1_000), 6.0 + 2.0, "an event that came late is the first by its time");
    let values = offline.view("usual", "a", None).unwrap().unwrap();
    let expected = [("first", 6.0), ("last", 8.0), ("spread", 2.0)];
    assert_eq!(values, expected.map(|(name, value)| (name.to_owned(), Value::Double(value))));
}

#[test]
fn a_score_that_is_not_finite_is_a_failure_of_that_event_alone() {
    let mut offline = offline(vec![stream(), rule("ratio", json!({ "score": "1.0 / amount" }))]);
    let bad = offline.score("payments", &event("p1", "a", 0.0, 1_000)).unwrap();
    assert_eq!((bad.verdicts.len(), &bad.failures[0].code), (0, &FailureCode::ScoreInfinite.into()));
    let good = offline.score("payments", &event("p2", "a", 4.0, 2_000)).unwrap();
    assert_eq!((good.verdicts[0].score, good.failures.len()), (Some(0.25), 0));
}

#[test]
fn a_malformed_event_costs_no_neighbour() {
    let mut offline = offline(vec![stream(), rule("amount", json!({ "score": "amount" }))]);
    let avro = |id: &str, amount| support::avro(&event(id, "a", amount, 1_000));
    let (one, three) = (avro("p1", 1.0), avro("p3", 3.0));
    let mut block = Vec::new();
    let (_, stats) = offline.score_avro("payments", &[&one, &one[..5], &three], &mut block).unwrap();
    assert_eq!((stats.events, stats.unreadable, stats.verdicts), (3, 1, 2));
    let outcomes = assay_core::verdict::read_block(&block).unwrap().outcomes;
    assert_eq!(outcomes[1].failures[0].code, FailureCode::EventMalformed);
    assert_eq!(outcomes[2].verdicts[0].score, Some(3.0));
}

#[test]
fn uploads_are_refused_with_the_place_of_the_mistake() {
    let refused = |changes, at: &str, part: &str| {
        let problems = problems(changes);
        let found = problems.iter().any(|problem| problem.at == at && problem.message.contains(part));
        assert!(found, "no problem at '{at}' with '{part}' in {problems:#?}");
    };
    refused(vec![stream(), rule("r", json!({ "score": "amout" }))], "score", "did you mean 'amount'");
    refused(vec![stream(), rule("r", json!({ "score": "card" }))], "score", "double");
    refused(vec![stream(), rule("r", json!({ "score": "amount", "when": "amount" }))], "when", "expected bool");
    refused(vec![stream(), rule("r", json!({ "score": "amount", "tags": { "t": "scor > 1.0" } }))], "tags.t", "score");
    refused(vec![stream(), rule("r", json!({}))], "", "either 'plugin' or 'score'");
    refused(vec![stream(), rule("r", json!({ "plugin": "velocity@1" }))], "plugin", "no uploaded plugin");
    refused(vec![rule("r", json!({ "score": "1.0" }))], "stream", "no stream 'payments'");
    refused(vec![stream(), view("v", json!({ "s": "sum(card)" }))], "", "sum");
    let circle = vec![stream(), rule("a", json!({ "score": "scores.b" })), rule("b", json!({ "score": "scores.a" }))];
    refused(circle, "", "scores go in a circle: a -> b -> a");
    let shadow = vec![
        stream(),
        rule("a", json!({ "score": "scores.b" })),
        rule("b", json!({ "score": "1.0", "mode": "shadow" })),
    ];
    refused(shadow, "", "'b' is a shadow rule");
    let wrong_key = change(
        Kind::Stream,
        "payments",
        json!({
            "stream": "payments", "key": "amount", "time": "id", "partitions": 1, "schema": support::schema(),
        }),
    );
    refused(vec![wrong_key.clone()], "key", "expected string or int");
    refused(vec![wrong_key], "time", "timestamp-millis");
}

#[test]
fn an_unknown_field_of_a_definition_is_refused() {
    let error = support::try_offline(vec![stream(), rule("r", json!({ "score": "1.0", "colour": "red" }))]);
    let Err(ChangeError::Invalid(problems)) = error.map(drop) else { panic!("it was taken") };
    assert!(problems[0].message.contains("unknown field `colour`"), "{}", problems[0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However events are cut into batches, the same is said of each.
    #[test]
    fn batches_do_not_matter(
        events in prop::collection::vec((0_u8..4, -20_i32..100, 0_i64..10_000_000), 1..60),
        cuts in prop::collection::vec(1_usize..20, 1..30),
    ) {
        let definitions = || vec![
            stream(),
            view("spend", json!({ "n": "count()", "sum": "sum(amount)", "most": "max(amount)" })),
            rule("base", json!({ "score": "views.spend.sum", "when": "amount > 0.0" })),
            rule("top", json!({ "score": "coalesce(scores.base, -1.0) + double(views.spend.n)", "tags": { "t": "score > 50.0" } })),
        ];
        let records: Vec<Vec<u8>> = events.iter().enumerate()
            .map(|(i, (card, amount, time))| support::avro(&event(&format!("p{i}"), &format!("c{card}"), f64::from(*amount), *time)))
            .collect();
        let outcomes = |cuts: &mut dyn Iterator<Item = usize>| {
            let mut offline = offline(definitions());
            let mut said = Vec::new();
            let mut rest: &[Vec<u8>] = &records;
            while !rest.is_empty() {
                let (batch, behind) = rest.split_at(cuts.next().unwrap_or(rest.len()).min(rest.len()));
                let batch: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
                let mut block = Vec::new();
                offline.score_avro("payments", &batch, &mut block).unwrap();
                said.extend(assay_core::verdict::read_block(&block).unwrap().outcomes);
                rest = behind;
            }
            said
        };
        prop_assert_eq!(outcomes(&mut std::iter::repeat(1)), outcomes(&mut cuts.into_iter()));
    }
}

#[test]
fn a_paused_rule_leaves_its_score_missing_and_stalls_nobody() {
    let mut offline = offline(vec![
        stream(),
        view("spend", json!({ "n": "count()" })),
        rule("base", json!({ "score": "amount", "mode": "paused" })),
        rule("top", json!({ "score": "coalesce(scores.base, -1.0)" })),
    ]);
    let outcome = offline.score("payments", &event("p1", "a", 10.0, 1_000)).unwrap();
    assert_eq!(outcome.verdicts.len(), 1);
    assert_eq!((outcome.verdicts[0].by.rule.as_str(), outcome.verdicts[0].score), ("top", Some(-1.0)));
    assert_eq!(offline.view("spend", "a", None).unwrap().unwrap()[0].1, Value::Int(1));
}
