//! A block of verdicts is read back as it was written, and garbage is refused without a panic.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, StringArray};
use assay_core::names::{Digest, Offset};
use assay_core::rule::Mode;
use assay_core::value::Value;
use assay_core::verdict::{
    BlockHead, BlockSummary, Edge, EdgeRow, EventColumns, HiddenFailure, PluginStamp, Reason, RuleRows, RuleStamp,
    empty_block, find_outcome, flags, read_block, read_block_summary, read_hidden_failures, write_block,
};
use proptest::prelude::*;

fn stamp(rule: &str, plugin: Option<PluginStamp>) -> Arc<RuleStamp> {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Arc::new(RuleStamp {
        rule: rule.to_owned(),
        revision: 3,
        mode: Mode::Active,
        plugin,
        tags: names(&["review", "block"]),
        reasons: names(&["amount"]),
        edges: names(&["paid"]),
        attributes: names(&["speed"]),
        inputs: names(&["amount", "count", "country"]),
    })
}

fn block() -> Vec<u8> {
    let plugin = PluginStamp { name: "velocity".into(), version: "1.0.0".into(), digest: Digest::of(b"wasm") };
    let stamps = [stamp("first", Some(plugin)), stamp("second", None), stamp("third", None)];
    let inputs: Vec<ArrayRef> = vec![
        Arc::new(Float64Array::from(vec![Some(10.5), None])),
        Arc::new(Int64Array::from(vec![-3, i64::MAX])),
        Arc::new(StringArray::from(vec!["DE", "é"])),
    ];
    let first = RuleRows {
        rows: Some(vec![0, 2]),
        scores: vec![0.75, f64::NAN],
        tags: vec![(0, 0), (0, 1), (1, 1)],
        reasons: vec![(1, 0, -2.5)],
        edges: vec![EdgeRow {
            source: "card:1".into(),
            target: "merchant:2".into(),
            facets: r#"{"amount":10.5}"#.into(),
            ..EdgeRow::default()
        }],
        attributes: vec![(1, 0, "900".into())],
        inputs,
        ..RuleRows::default()
    };
    let second = RuleRows {
        rows: Some(vec![2]),
        scores: vec![f64::NAN],
        failures: vec![(0, "plugin-trap", "unreachable".into())],
        ..RuleRows::default()
    };
    // Both of its failures are hidden, and one of them is for recovery.
    let third = RuleRows {
        rows: Some(vec![0, 2]),
        failures: vec![(0, "plugin-trap", "hidden".into()), (1, "plugin-deadline", "hidden".into())],
        hides_failures: true,
        hidden_failures: vec![(1, "plugin-deadline")],
        ..RuleRows::default()
    };
    let keys = StringArray::from(vec!["a", "b", "c"]);
    let events = EventColumns {
        offsets: &[7, 9, 10],
        times: &[1_000, 900, -5],
        keys: &keys,
        ids: None,
        unreadable: &[(8, "event-malformed", "byte 3".into()), (11, "event-malformed", "byte 0".into())],
    };
    let rules = RuleStamp::stamps_json(&stamps);
    let mut out = Vec::new();
    write_block(
        &mut out,
        &BlockHead { catalog: 12, from: Offset(7), next: Offset(12), rules: &rules },
        &events,
        &[first, second, third],
    );
    out
}

#[test]
fn a_block_is_read_back_as_it_was_written() {
    let bytes = block();
    let flags = flags::FAILURES | flags::EDGES | flags::HIDDEN_FAILURES;
    let summary = BlockSummary { flags, catalog: 12, from: Some(Offset(7)), next: Offset(12) };
    assert_eq!(read_block_summary(&bytes), Ok(summary));
    let block = read_block(&bytes).unwrap();
    assert_eq!((block.catalog, block.from, block.next, block.rules.len()), (12, Some(Offset(7)), Offset(12), 3));
    let offsets: Vec<u64> = block.outcomes.iter().map(|outcome| outcome.offset.0).collect();
    assert_eq!(offsets, [7, 8, 10, 11], "event 9 was judged by no rule");

    let first = &block.outcomes[0];
    assert_eq!((first.time, first.key.as_str(), first.failures.len()), (1_000, "a", 0));
    let verdict = &first.verdicts[0];
    assert_eq!((verdict.by.rule.as_str(), verdict.score), ("first", Some(0.75)));
    assert_eq!(verdict.tags, ["review", "block"]);
    let facets = [("amount".to_owned(), 10.5.into())].into();
    let edge = Edge { name: "paid".into(), source: "card:1".into(), target: "merchant:2".into(), facets };
    assert_eq!(verdict.edges, [edge]);
    assert_eq!(verdict.inputs[0], ("amount".into(), Value::Double(10.5)));

    let last = &block.outcomes[2];
    assert_eq!((last.time, last.verdicts.len()), (-5, 1));
    assert_eq!(last.verdicts[0].score, None);
    assert_eq!(last.verdicts[0].reasons, [Reason { code: "amount".into(), weight: -2.5 }]);
    assert_eq!(last.verdicts[0].attributes, [("speed".to_owned(), "900".to_owned())]);
    let values: Vec<Value> = last.verdicts[0].inputs.iter().map(|(_, value)| value.clone()).collect();
    assert_eq!(values, [Value::Null, Value::Int(i64::MAX), Value::Text("é".into())]);
    assert_eq!(last.failures[0].by.as_ref().map(|by| by.rule.as_str()), Some("second"));
    assert_eq!(last.failures[0].code, "plugin-trap");

    let unreadable = &block.outcomes[1];
    assert_eq!((unreadable.key.as_str(), unreadable.failures[0].message.as_str()), ("", "byte 3"));
    assert!(unreadable.failures[0].by.is_none());
}

#[test]
fn hidden_failures_stand_in_the_head_alone() {
    let hidden = HiddenFailure { offset: Offset(10), rule: "third".into(), code: "plugin-deadline".into() };
    assert_eq!(read_hidden_failures(&block()).unwrap(), [hidden]);
    let outcomes = read_block(&block()).unwrap().outcomes;
    assert!(outcomes.iter().flat_map(|outcome| &outcome.failures).all(|failure| failure.message != "hidden"));
}

#[test]
fn blocks_of_the_first_version_are_read() {
    // Version, flags, catalog 3, next 300, no rules; one event, 299, at 5 ms, of entity "a", which could not be read.
    let old = b"\x01\x01\x03\xac\x02\x02[]\xab\x02\x0a\x01a\x00\xff\xff\xff\xff\x0f\x01c\x01m\x00";
    let summary = BlockSummary { flags: flags::FAILURES, catalog: 3, from: None, next: Offset(300) };
    assert_eq!(read_block_summary(old), Ok(summary));
    let read = read_block(old).unwrap();
    assert_eq!((read.from, read.outcomes[0].offset, read.outcomes[0].key.as_str()), (None, Offset(299), "a"));
    assert_eq!(read_hidden_failures(old), Ok(Vec::new()));
    let replaced = read_block(&empty_block(Offset(7))).unwrap();
    assert_eq!((replaced.from, replaced.next, replaced.outcomes.len()), (None, Offset(7), 0));
}

#[test]
fn the_outcome_of_one_event_is_found() {
    let bytes = block();
    let whole = read_block(&bytes).unwrap();
    for offset in 0..15 {
        let found = find_outcome(&bytes, Offset(offset)).unwrap();
        assert_eq!(found.as_ref(), whole.outcomes.iter().find(|outcome| outcome.offset.0 == offset));
    }
}

#[test]
fn every_truncation_is_an_error_or_ends_between_two_events() {
    let bytes = block();
    let whole = read_block(&bytes).unwrap();
    for length in 0..bytes.len() {
        if let Ok(block) = read_block(&bytes[..length]) {
            assert_eq!(block.outcomes, whole.outcomes[..block.outcomes.len()]);
        }
    }
}

proptest! {
    #[test]
    fn damaged_blocks_do_not_panic(at in 0_usize..400, byte: u8) {
        let mut bytes = block();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = read_block(&bytes);
        let _ = read_block_summary(&bytes);
        let _ = read_hidden_failures(&bytes);
        let _ = find_outcome(&bytes, Offset(11));
    }
}
