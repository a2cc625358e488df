//! The buckets of tumbling views, as other programs read them.

use std::collections::HashMap;

use assay_core::names::Offset;
use assay_core::span::Span;
use assay_core::value::Value;
use assay_engine::ports::buckets::{BucketRow, Buckets, ChangedBuckets};
use assay_scylladb::{Config, ScyllaDb};
use scylla::value::CqlTimestamp;

use crate::contract::payments;
use crate::keyspace::TestKeyspace;

const HOUR: i64 = 3_600_000;

/// Buckets of one revision of a view `hours` with a measure `n`, from rows of key, hour and value.
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

/// Reads an entity's buckets as another program does: hour, revision and the measure `n`.
fn read(keyspace: &TestKeyspace, stream: &str, key: &str) -> Vec<(i64, i32, i64)> {
    let rows: Vec<(CqlTimestamp, i32, HashMap<String, i64>)> = keyspace.query(&format!(
        "SELECT bucket, revision, ints FROM {{}}.view_buckets
         WHERE stream = '{stream}' AND view_name = 'hours' AND key = '{key}' ORDER BY bucket ASC"
    ));
    rows.iter().map(|(begin, revision, ints)| (begin.0 / HOUR, *revision, ints["n"])).collect()
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn buckets_are_ordered_by_time_and_rows_with_more_events_stay() {
    let keyspace = TestKeyspace::new();
    let (newer, older) = (keyspace.open().buckets(), keyspace.open().buckets());
    write(&*newer, 10, &hours(1, &[("a", 7, 1), ("b", 7, 9), ("a", -1, 2), ("", 7, 5)]));
    write(&*newer, 20, &hours(1, &[("a", 8, 3), ("a", 7, 4)]));
    let expected = [(-1, 1, 2), (7, 1, 4), (8, 1, 3)];
    assert_eq!(read(&keyspace, "payments", "a"), expected);
    // A repeated write, and a late write of a former owner.
    write(&*newer, 20, &hours(1, &[("a", 8, 3), ("a", 7, 4)]));
    write(&*older, 19, &hours(1, &[("a", 8, 2), ("a", 7, 3), ("a", -1, 2)]));
    assert_eq!(read(&keyspace, "payments", "a"), expected);
    assert_eq!(read(&keyspace, "payments", "b"), [(7, 1, 9)]);
    assert_eq!(read(&keyspace, "payments", ""), [(7, 1, 5)]);
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn each_revision_and_each_incarnation_has_its_own_rows() {
    let keyspace = TestKeyspace::new();
    let buckets = keyspace.open().buckets();
    write(&*buckets, 10, &hours(1, &[("a", 7, 1), ("a", 8, 2)]));
    write(&*buckets, 20, &hours(2, &[("a", 8, 3)]));
    // A process that does not know the new revision yet does not change its rows.
    write(&*buckets, 30, &hours(1, &[("a", 8, 4)]));
    let newest_first: Vec<(CqlTimestamp, i32)> = keyspace.query(
        "SELECT bucket, revision FROM {}.view_buckets WHERE stream = 'payments' AND view_name = 'hours' AND key = 'a'",
    );
    let newest_first: Vec<(i64, i32)> =
        newest_first.iter().map(|(begin, revision)| (begin.0 / HOUR, *revision)).collect();
    assert_eq!(newest_first, [(8, 2), (8, 1), (7, 1)]);
    let next_incarnation = ScyllaDb::open(&Config { incarnation: 1, ..keyspace.config.clone() }).unwrap().buckets();
    write(&*next_incarnation, 1, &hours(2, &[("a", 8, 1)]));
    assert_eq!(read(&keyspace, "payments~1", "a"), [(8, 2, 1)]);
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn values_round_trip_and_rows_have_a_ttl() {
    let keyspace = TestKeyspace::new();
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
    let changed = |lifetime_millis: u64, row: &BucketRow| ChangedBuckets {
        view: "hours".to_owned(),
        revision: 1,
        lifetime: Span(lifetime_millis),
        measures: measures.map(str::to_owned).to_vec(),
        rows: vec![row.clone()],
    };
    let unlimited = BucketRow { key: "unlimited".to_owned(), ..row.clone() };
    let buckets = keyspace.open().buckets();
    write(&*buckets, 1, &[changed(90_000_000, &row), changed(30 * 365 * 86_400_000, &unlimited)]);
    type Maps = (
        HashMap<String, i64>,
        HashMap<String, f64>,
        HashMap<String, String>,
        HashMap<String, CqlTimestamp>,
        HashMap<String, bool>,
    );
    let rows: Vec<Maps> = keyspace.query("SELECT ints, doubles, texts, times, bools FROM {}.view_buckets");
    assert_eq!(rows.len(), 2);
    for (ints, doubles, texts, times, bools) in rows {
        assert_eq!(ints, HashMap::from([("n".to_owned(), i64::MIN), ("most".to_owned(), i64::MAX)]));
        assert_eq!(doubles, HashMap::from([("sum".to_owned(), 0.1 + 0.2)]));
        assert_eq!(texts, HashMap::from([("last".to_owned(), "é'\0".to_owned())]));
        assert_eq!(times, HashMap::from([("when".to_owned(), CqlTimestamp(-1))]));
        assert_eq!(bools, HashMap::from([("flag".to_owned(), false)]));
    }
    let ttls: Vec<(String, CqlTimestamp, Option<i32>)> =
        keyspace.query("SELECT key, bucket_end, TTL(ints) FROM {}.view_buckets");
    for (key, end, ttl) in ttls {
        assert_eq!(end.0, 0);
        match ttl {
            None => assert_eq!(key, "unlimited"),
            Some(ttl) => assert!(key.contains("#sha256:") && (89_000..=90_000).contains(&ttl), "{key} {ttl}"),
        }
    }
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn one_call_writes_many_buckets() {
    let keyspace = TestKeyspace::new();
    let buckets = keyspace.open().buckets();
    let keys: Vec<String> = (0..200).map(|i| format!("card-{i}")).collect();
    let rows: Vec<(&str, i64, i64)> =
        (0..150).flat_map(|hour| keys.iter().map(move |key| (key.as_str(), hour, hour))).collect();
    let started = std::time::Instant::now();
    write(&*buckets, 1, &hours(1, &rows));
    println!("{} buckets of {} entities written in {:?}", rows.len(), keys.len(), started.elapsed());
    let started = std::time::Instant::now();
    write(&*buckets, 2, &hours(1, &rows[..keys.len()]));
    println!("{} buckets of as many entities in {:?}", keys.len(), started.elapsed());
    for key in ["card-0", "card-199"] {
        assert_eq!(read(&keyspace, "payments", key).len(), 150);
    }
}
