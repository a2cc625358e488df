//! Verdicts in the archive: outcomes round-trip, and other programs can read the rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, StringArray};
use assay_core::names::{Digest, Offset};
use assay_core::rule::Mode;
use assay_core::verdict::{
    BlockHead, EdgeRow, EventColumns, PluginStamp, RuleRows, RuleStamp, read_block, write_block,
};
use assay_engine::ports::archive::Archive;
use assay_engine::ports::log::{Durability, Log, Records, Topic};

use crate::archive::{with_empty_archive, with_log};
use crate::contract::archive::{Event, append_events, archive_events, between, history};
use crate::contract::streams::stream;
use crate::contract::{append, payments, records};
use crate::keyspace::TestKeyspace;

fn stamp(rule: &str, mode: Mode, plugin: Option<PluginStamp>) -> Arc<RuleStamp> {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Arc::new(RuleStamp {
        rule: rule.to_owned(),
        revision: 3,
        mode,
        plugin,
        tags: names(&["review", "block"]),
        reasons: names(&["amount"]),
        edges: names(&["paid"]),
        attributes: names(&["speed"]),
        inputs: names(&["amount", "count", "country"]),
    })
}

/// A block with verdicts that have every field, a verdict of a shadow rule, a failure and an unreadable event.
fn block() -> Vec<u8> {
    let plugin = PluginStamp { name: "velocity".into(), version: "1.0.0".into(), digest: Digest::of(b"wasm") };
    // The rules are not ordered by name: the order of verdicts is that of the block.
    let stamps = [stamp("second", Mode::Active, Some(plugin)), stamp("first", Mode::Shadow, None)];
    let inputs: Vec<ArrayRef> = vec![
        Arc::new(Float64Array::from(vec![Some(0.1), None])),
        Arc::new(Int64Array::from(vec![-3, i64::MAX])),
        Arc::new(StringArray::from(vec!["DE", "é"])),
    ];
    let second = RuleRows {
        rows: Some(vec![0, 2]),
        scores: vec![0.75, f64::NAN],
        tags: vec![(0, 1), (0, 0), (1, 1)],
        reasons: vec![(1, 0, -2.5)],
        edges: vec![EdgeRow {
            source: "card:1".into(),
            target: "merchant:2".into(),
            facets: r#"{"amount":0.1,"seen":7}"#.into(),
            ..EdgeRow::default()
        }],
        attributes: vec![(1, 0, "900".into())],
        inputs,
        ..RuleRows::default()
    };
    let first = RuleRows {
        rows: Some(vec![0, 2]),
        scores: vec![0.25, f64::NAN],
        failures: vec![(1, "plugin-trap", "unreachable".into())],
        ..RuleRows::default()
    };
    let keys = StringArray::from(vec!["a", "b", "c"]);
    let ids = StringArray::from(vec!["x", "", "z"]);
    let events = EventColumns {
        offsets: &[0, 1, 10_001],
        times: &[1_000, 900, -5],
        keys: &keys,
        ids: Some(&ids),
        unreadable: &[(8, "event-malformed", "byte 3".into())],
    };
    let rules = RuleStamp::stamps_json(&stamps);
    let mut out = Vec::new();
    let head = BlockHead { catalog: 12, from: Offset(10_000), next: Offset(10_002), rules: &rules };
    write_block(&mut out, &head, &events, &[second, first]);
    out
}

fn archive_block(archive: &dyn Archive, log: &dyn Log, block: &[u8]) {
    log.create(&stream("payments", 2)).unwrap();
    append(log, Topic::Verdicts, vec![(0, records(&[block]))], Durability::Ordered).unwrap();
    let records = Records { first: Offset(0), ..records(&[block]) };
    archive.write_verdicts(&payments(0), &[records], Offset(1)).unwrap();
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn outcomes_round_trip() {
    let keyspace = TestKeyspace::new();
    let block = block();
    with_log(|log| {
        let archive = keyspace.open().archive();
        assert_eq!(archive.judged(&payments(0)).unwrap(), Offset(0));
        archive_block(&*archive, log, &block);
        archive_block(&*archive, log, &block);
    });
    // Another session has no stamps in its cache.
    let archive = keyspace.open().archive();
    let outcomes = read_block(&block).unwrap().outcomes;
    assert_eq!(outcomes.len(), 3);
    for outcome in outcomes {
        assert_eq!(archive.outcome(&payments(0), outcome.offset).unwrap(), Some(outcome));
    }
    assert_eq!(archive.outcome(&payments(0), Offset(1)).unwrap(), None);
    assert_eq!(archive.judged(&payments(0)).unwrap(), Offset(10_002));
    // A write without blocks does not change the judged offset.
    archive.write_verdicts(&payments(0), &[], Offset(5)).unwrap();
    assert_eq!(archive.judged(&payments(0)).unwrap(), Offset(10_002));
    assert_eq!(archive.verdicts_position(&payments(0)).unwrap(), Offset(5));
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn other_programs_can_read_verdicts() {
    type Row = (i64, String, Option<String>, Option<f64>, Option<Vec<String>>, Option<String>);
    let keyspace = TestKeyspace::new();
    with_log(|log| archive_block(&*keyspace.open().archive(), log, &block()));
    let rows: Vec<Row> = keyspace.query(
        "SELECT offset, key, rule, score, tags, failure FROM {}.verdicts
         WHERE stream = 'payments' AND log_partition = 0 AND bucket = 0",
    );
    let (rule, tags) = (|rule: &str| Some(rule.to_owned()), vec!["block".to_owned(), "review".to_owned()]);
    let expected: [Row; 3] = [
        (0, "a".to_owned(), rule("second"), Some(0.75), Some(tags.clone()), None),
        (0, "a".to_owned(), rule("first"), Some(0.25), None, None),
        (8, String::new(), None, None, None, Some("event-malformed".to_owned())),
    ];
    assert_eq!(rows, expected);
    let summaries = keyspace.query::<(i64, BTreeMap<String, f64>, BTreeSet<String>)>(
        "SELECT offset, scores, tags FROM {}.entity_events
         WHERE stream = 'payments' AND log_partition = 0 AND key = 'a' AND week = 0",
    );
    // The summary does not include the score of the shadow rule.
    assert_eq!(summaries, [(0, BTreeMap::from([("second".to_owned(), 0.75)]), tags.into_iter().collect())]);
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn verdicts_without_archived_events_are_not_in_histories() {
    with_empty_archive(|db, log| {
        let archive = db.archive();
        archive_block(&*archive, log, &block());
        assert!(history(&*archive, "a", between(0, 2_000), 5).is_empty());
        let events = [Event::new(1_000, "a", "x")];
        append_events(log, &events);
        archive_events(&*archive, log, &events, 0, 1);
        assert_eq!(history(&*archive, "a", between(0, 2_000), 5), [0]);
    });
}
