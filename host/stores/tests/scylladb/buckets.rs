//! The buckets of tumbling views: rows that other programs read.

use std::collections::HashMap;

use assay_core::names::Offset;
use assay_core::span::Span;
use assay_core::value::Value;
use assay_engine::ports::buckets::{BucketRow, Buckets, ChangedBuckets};
use assay_stores::scylladb::{Config, ScyllaDb};
use scylla::value::CqlTimestamp;

use crate::contract::payments;
use crate::keyspace::Keyspace;

const HOUR: i64 = 3_600_000;

/// Buckets of a view `hours` with a measure `n`, of a revision: key, hour and value.
fn hours(revision: u32, rows: &[(&str, i64, i64)]) -> Vec<ChangedBuckets> {
    let row = |(key, hour, n): &(&str, i64, i64)| BucketRow {
        key: (*key).to_owned(),
        from: hour * HOUR,
        to: (hour + 1) * HOUR,
        values: vec![Value::Int(*n)],
    };
    vec![ChangedBuckets {
        view: "hours".to_owned(),
        revision,
        lifetime: Span(25 * HOUR as u64),
        measures: vec!["n".to_owned()],
        rows: rows.iter().map(row).collect(),
    }]
}

fn write(buckets: &dyn Buckets, events: u64, changed: &[ChangedBuckets]) {
    buckets.write(&payments(0), Offset(events), changed).unwrap();
}

/// An entity's buckets as another program reads them: hour, revision and the measure `n`.
fn read(keyspace: &Keyspace, stream: &str, key: &str) -> Vec<(i64, i32, i64)> {
    let rows: Vec<(CqlTimestamp, i32, HashMap<String, i64>)> = keyspace.rows(&format!(
        "SELECT bucket, revision, ints FROM {{}}.view_buckets
         WHERE stream = '{stream}' AND view_name = 'hours' AND key = '{key}' ORDER BY bucket ASC"
    ));
    rows.iter().map(|(begin, revision, ints)| (begin.0 / HOUR, *revision, ints["n"])).collect()
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn an_entitys_buckets_are_read_in_order_and_the_one_with_more_events_stays() {
    let keyspace = Keyspace::new();
    let (newer, older) = (keyspace.open().buckets(), keyspace.open().buckets());
    write(&*newer, 10, &hours(1, &[("a", 7, 1), ("b", 7, 9), ("a", -1, 2), ("", 7, 5)]));
    write(&*newer, 20, &hours(1, &[("a", 8, 3), ("a", 7, 4)]));
    let expected = [(-1, 1, 2), (7, 1, 4), (8, 1, 3)];
    assert_eq!(read(&keyspace, "payments", "a"), expected);
    // The same again, and what a replaced owner still had to say.
    write(&*newer, 20, &hours(1, &[("a", 8, 3), ("a", 7, 4)]));
    write(&*older, 19, &hours(1, &[("a", 8, 2), ("a", 7, 3), ("a", -1, 2)]));
    assert_eq!(read(&keyspace, "payments", "a"), expected);
    assert_eq!(read(&keyspace, "payments", "b"), [(7, 1, 9)]);
    assert_eq!(read(&keyspace, "payments", ""), [(7, 1, 5)]);
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn each_revision_and_each_incarnation_has_rows_of_its_own() {
    let keyspace = Keyspace::new();
    let buckets = keyspace.open().buckets();
    write(&*buckets, 10, &hours(1, &[("a", 7, 1), ("a", 8, 2)]));
    write(&*buckets, 20, &hours(2, &[("a", 8, 3)]));
    // Whoever has not heard of the new revision changes nothing of it.
    write(&*buckets, 30, &hours(1, &[("a", 8, 4)]));
    let newest_first: Vec<(CqlTimestamp, i32)> = keyspace.rows(
        "SELECT bucket, revision FROM {}.view_buckets WHERE stream = 'payments' AND view_name = 'hours' AND key = 'a'",
    );
    let newest_first: Vec<(i64, i32)> =
        newest_first.iter().map(|(begin, revision)| (begin.0 / HOUR, *revision)).collect();
    assert_eq!(newest_first, [(8, 2), (8, 1), (7, 1)]);
    let second = ScyllaDb::open(&Config { incarnation: 1, ..keyspace.config.clone() }).unwrap().buckets();
    write(&*second, 1, &hours(2, &[("a", 8, 1)]));
    assert_eq!(read(&keyspace, "payments~1", "a"), [(8, 2, 1)]);
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn every_type_is_exact_and_rows_have_a_life() {
    let keyspace = Keyspace::new();
    let long = "k".repeat(100_000);
    let measures = ["n", "most", "sum", "last", "when", "flag", "none"];
    let row = BucketRow {
        key: long,
        from: -HOUR,
        to: 0,
        values: vec![
            Value::Int(i64::MIN),
            Value::Int(i64::MAX),
            Value::Double(0.1 + 0.2),
            Value::Text("é'\0".to_owned()),
            Value::Timestamp(-1),
            Value::Bool(false),
            Value::Null,
        ],
    };
    let changed = |keep: u64, row: &BucketRow| ChangedBuckets {
        view: "hours".to_owned(),
        revision: 1,
        lifetime: Span(keep),
        measures: measures.map(str::to_owned).to_vec(),
        rows: vec![row.clone()],
    };
    let ever = BucketRow { key: "ever".to_owned(), ..row.clone() };
    let buckets = keyspace.open().buckets();
    write(&*buckets, 1, &[changed(90_000_000, &row), changed(30 * 365 * 86_400_000, &ever)]);
    type Maps = (
        HashMap<String, i64>,
        HashMap<String, f64>,
        HashMap<String, String>,
        HashMap<String, CqlTimestamp>,
        HashMap<String, bool>,
    );
    let rows: Vec<Maps> = keyspace.rows("SELECT ints, doubles, texts, times, bools FROM {}.view_buckets");
    assert_eq!(rows.len(), 2);
    for (ints, doubles, texts, times, bools) in rows {
        assert_eq!(ints, HashMap::from([("n".to_owned(), i64::MIN), ("most".to_owned(), i64::MAX)]));
        assert_eq!(doubles, HashMap::from([("sum".to_owned(), 0.1 + 0.2)]));
        assert_eq!(texts, HashMap::from([("last".to_owned(), "é'\0".to_owned())]));
        assert_eq!(times, HashMap::from([("when".to_owned(), CqlTimestamp(-1))]));
        assert_eq!(bools, HashMap::from([("flag".to_owned(), false)]));
    }
    let lives: Vec<(String, CqlTimestamp, Option<i32>)> =
        keyspace.rows("SELECT key, bucket_end, TTL(ints) FROM {}.view_buckets");
    for (key, end, life) in lives {
        assert_eq!(end.0, 0);
        match life {
            None => assert_eq!(key, "ever"),
            Some(life) => assert!(key.contains("#sha256:") && (89_000..=90_000).contains(&life), "{key} {life}"),
        }
    }
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn many_buckets_are_written_at_once() {
    let keyspace = Keyspace::new();
    let buckets = keyspace.open().buckets();
    let keys: Vec<String> = (0..200).map(|i| format!("card-{i}")).collect();
    let rows: Vec<(&str, i64, i64)> =
        (0..150).flat_map(|hour| keys.iter().map(move |key| (key.as_str(), hour, hour))).collect();
    let began = std::time::Instant::now();
    write(&*buckets, 1, &hours(1, &rows));
    println!("{} buckets of {} entities written in {:?}", rows.len(), keys.len(), began.elapsed());
    let began = std::time::Instant::now();
    write(&*buckets, 2, &hours(1, &rows[..keys.len()]));
    println!("{} buckets of as many entities in {:?}", keys.len(), began.elapsed());
    for key in ["card-0", "card-199"] {
        assert_eq!(read(&keyspace, "payments", key).len(), 150);
    }
}
