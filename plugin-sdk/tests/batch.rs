//! Batches of a plugin that uses all features of the macros: every type of input, states, errors, migration.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt;

use assay_sdk::testing::{Host, Value, json};
use assay_sdk::{Input, Kind, Timestamp, Verdict, plugin};
use proptest::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The config.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Refuse this amount.
    #[serde(default)]
    refused: Option<f64>,
}

/// Sums and counts per entity.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct State {
    sum: f64,
    names: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Input)]
struct Everything<'a> {
    /// The amount.
    ///
    /// In euros.
    amount: f64,
    count: i64,
    known: bool,
    text: &'a str,
    owned: String,
    time: Timestamp,
    maybe_amount: Option<f64>,
    maybe_count: Option<i64>,
    maybe_known: Option<bool>,
    maybe_text: Option<&'a str>,
    maybe_owned: Option<String>,
    maybe_time: Option<Timestamp>,
}

#[derive(Debug)]
struct Refused(f64);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is refused", self.0)
    }
}

/// Sums amounts per entity,
/// and says all that it sees.
#[plugin(
    tags = ["known", "rich"],
    reasons = ["amount"],
    edges = ["named"],
    attributes = ["seen"],
    state_version = 2,
    migrate = from_version_1,
)]
fn score(config: &Config, state: &mut State, event: Everything<'_>) -> Result<Verdict, Refused> {
    if config.refused == Some(event.amount) {
        return Err(Refused(event.amount));
    }
    state.sum += event.amount;
    state.names.push(event.text.to_owned());
    let score = if event.count == 0 { f64::NAN } else { state.sum };
    Ok(Verdict::score(score)
        .tag_if(event.known, tags::KNOWN)
        .tag_if(event.amount >= 100.0, tags::RICH)
        .reason(reasons::AMOUNT, event.amount)
        .edge(edges::NAMED, event.text, event.owned.as_str())
        .attribute(attributes::SEEN, format!("{event:?}")))
}

/// Version 1 kept the sum alone.
fn from_version_1(from_version: u32, state: &[u8]) -> Result<State, String> {
    match from_version {
        1 => Ok(State { sum: assay_sdk::state::decode(state)?, names: Vec::new() }),
        other => Err(format!("there was no version {other}")),
    }
}

fn row(amount: f64, text: &str) -> Value {
    json!({"amount": amount, "count": 1, "known": false, "text": text, "owned": "o", "time": 5})
}

#[test]
fn the_manifest_has_the_names_types_and_docs_of_the_code() {
    let host = Host::<Plugin>::new(json!({})).unwrap();
    let manifest = host.manifest();
    assert_eq!((manifest.name.as_str(), manifest.version.as_str()), ("assay-sdk", env!("CARGO_PKG_VERSION")));
    assert_eq!(manifest.doc, "Sums amounts per entity,\nand says all that it sees.");
    let inputs: Vec<_> =
        manifest.inputs.iter().map(|input| (input.name.as_str(), input.kind, input.required)).collect();
    let kinds = [Kind::Float, Kind::Int, Kind::Boolean, Kind::Text, Kind::Text, Kind::Timestamp];
    let names = ["amount", "count", "known", "text", "owned", "time"];
    let optional = ["maybe_amount", "maybe_count", "maybe_known", "maybe_text", "maybe_owned", "maybe_time"];
    let required = names.iter().zip(kinds).map(|(name, kind)| (*name, kind, true));
    let expected: Vec<_> =
        required.chain(optional.iter().zip(kinds).map(|(name, kind)| (*name, kind, false))).collect();
    assert_eq!(inputs, expected);
    assert_eq!(manifest.inputs[0].doc, "The amount.\n\nIn euros.");
    assert_eq!((&manifest.tags[..], manifest.state_version), (&["known".to_owned(), "rich".to_owned()][..], Some(2)));
    let schema: Value = serde_json::from_str(&manifest.config_schema).unwrap();
    assert_eq!(schema["properties"]["refused"]["description"], "Refuse this amount.");
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn every_type_of_input_is_passed_unchanged() {
    let mut host = Host::<Plugin>::new(json!({})).unwrap();
    let full = json!({
        "amount": 1.5, "count": -7, "known": true, "text": "çé", "owned": "", "time": 1_700_000_000_123_i64,
        "maybe_amount": 0.25, "maybe_count": i64::MIN, "maybe_known": false, "maybe_text": "", "maybe_owned": "x",
        "maybe_time": -1,
    });
    let scored = host.score_batch(&[("a", row(2.0, "t")), ("a", full)]).unwrap();
    let expected = Everything {
        amount: 1.5,
        count: -7,
        known: true,
        text: "çé",
        owned: String::new(),
        time: Timestamp::from_millis(1_700_000_000_123),
        maybe_amount: Some(0.25),
        maybe_count: Some(i64::MIN),
        maybe_known: Some(false),
        maybe_text: Some(""),
        maybe_owned: Some("x".to_owned()),
        maybe_time: Some(Timestamp::from_millis(-1)),
    };
    assert_eq!(scored[1].attributes, [("seen".to_owned(), format!("{expected:?}"))]);
    assert!(scored[0].attributes[0].1.ends_with(
        "maybe_amount: None, maybe_count: None, maybe_known: None, maybe_text: None, maybe_owned: None, maybe_time: None }"
    ));
    assert_eq!((scored[1].score, &scored[1].tags[..]), (Some(3.5), &["known".to_owned()][..]));
    assert_eq!(scored[1].edges, [("named".to_owned(), "çé".to_owned(), String::new())]);
}

#[test]
fn a_refused_row_is_named_and_changes_no_state() {
    let mut host = Host::<Plugin>::new(json!({"refused": 2.0})).unwrap();
    host.score("a", row(1.0, "t")).unwrap();
    let before = host.state("a").map(<[u8]>::to_vec);
    let error = host.score_batch(&[("a", row(5.0, "t")), ("a", row(2.0, "t"))]).unwrap_err();
    assert_eq!(error, "row 1: 2 is refused");
    assert_eq!(host.state("a").map(<[u8]>::to_vec), before);
}

#[test]
fn rows_that_do_not_fit_are_refused_by_name() {
    let mut host = Host::<Plugin>::new(json!({})).unwrap();
    let mut lacking = row(1.0, "t");
    lacking.as_object_mut().unwrap().remove("time");
    assert_eq!(host.score("a", lacking).unwrap_err(), "row 0 lacks the required input `time`");
    let mut wrong = row(1.0, "t");
    wrong["count"] = json!("many");
    assert_eq!(host.score("a", wrong).unwrap_err(), "row 0: `count` should be an int, not \"many\"");
    let mut unknown = row(1.0, "t");
    unknown["amuont"] = json!(1);
    assert!(
        host.score("a", unknown).unwrap_err().starts_with("row 0: `amuont` is not an input; the inputs are amount,")
    );
}

#[test]
fn states_of_an_older_version_are_migrated() {
    let mut host = Host::<Plugin>::new(json!({})).unwrap();
    host.set_state("a", 40.0_f64.to_le_bytes().to_vec());
    assert_eq!(host.migrate(9).unwrap_err(), "there was no version 9");
    host.migrate(1).unwrap();
    assert_eq!(host.score("a", row(2.0, "t")).unwrap().score, Some(42.0));
}

#[test]
fn a_nan_is_no_score() {
    let mut host = Host::<Plugin>::new(json!({})).unwrap();
    let mut uncounted = row(1.0, "t");
    uncounted["count"] = json!(0);
    assert_eq!(host.score("a", uncounted).unwrap().score, None);
}

proptest! {
    /// Dividing a batch in two gives the same verdicts as the whole, as the contract requires.
    #[test]
    fn a_batch_gives_the_same_as_its_parts(
        rows in prop::collection::vec((0_usize..4, 0.0..200.0_f64, "[a-zç]{0,3}", any::<bool>()), 1..40),
        split_at in 0_usize..40,
    ) {
        let keys = ["a", "b", "c", "d"];
        let rows: Vec<(&str, Value)> = rows
            .into_iter()
            .map(|(key, amount, text, known)| {
                let mut row = row(amount, &text);
                row["known"] = json!(known);
                if known {
                    row["maybe_text"] = json!(text);
                }
                (keys[key], row)
            })
            .collect();
        let (mut whole, mut parts) = (Host::<Plugin>::new(json!({})).unwrap(), Host::<Plugin>::new(json!({})).unwrap());
        let expected = whole.score_batch(&rows).unwrap();
        let (first, second) = rows.split_at(split_at.min(rows.len()));
        let mut found = parts.score_batch(first).unwrap();
        found.extend(parts.score_batch(second).unwrap());
        prop_assert_eq!(found, expected);
        for key in keys {
            prop_assert_eq!(parts.state(key), whole.state(key));
        }
    }
}
