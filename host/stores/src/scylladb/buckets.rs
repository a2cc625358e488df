//! The buckets port: a row per bucket of a tumbling view, for others to read.
//!
//! A row is written whole, with the number of events that it holds as its write timestamp: the row with more events
//! stays, whichever process writes. Each revision of a view has rows of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::span::Span;
use assay_core::value::Value;
use assay_engine::ports::buckets::{BucketRow, Buckets, ChangedBuckets};
use assay_engine::ports::{StoreError, StreamPartition};
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;

use super::connection::{Connection, batches};
use super::keys;

/// The longest life that rows are given, in seconds: five years. Cassandra 4 refuses a life that ends after
/// 2038-01-19; rows that should live longer live for ever.
const LONGEST_LIFE: u64 = 5 * 365 * 24 * 60 * 60;
/// About what a row takes beside its key and texts, for batches.
const ROW_BYTES: usize = 100;

/// Buckets of tumbling views in ScyllaDB.
pub struct ScyllaBuckets {
    connection: Arc<Connection>,
    write_bucket: PreparedStatement,
}

impl ScyllaBuckets {
    pub(super) async fn prepare(connection: Arc<Connection>) -> Result<Self, StoreError> {
        let write_bucket = connection
            .prepare(
                "INSERT INTO {}.view_buckets
                 (stream, view_name, key, bucket, revision, bucket_end, ints, doubles, texts, times, bools)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ? AND TTL ?",
            )
            .await?;
        Ok(Self { connection, write_bucket })
    }
}

/// The values of a row by measure, each type for itself. A measure without a value is in none of them.
#[derive(Default)]
struct Typed<'a> {
    ints: BTreeMap<&'a str, i64>,
    doubles: BTreeMap<&'a str, f64>,
    texts: BTreeMap<&'a str, &'a str>,
    times: BTreeMap<&'a str, CqlTimestamp>,
    bools: BTreeMap<&'a str, bool>,
}

impl<'a> Typed<'a> {
    fn of(measures: &'a [String], values: &'a [Value]) -> Self {
        let mut typed = Self::default();
        for (name, value) in measures.iter().map(String::as_str).zip(values) {
            match value {
                Value::Int(value) => drop(typed.ints.insert(name, *value)),
                Value::Double(value) => drop(typed.doubles.insert(name, *value)),
                Value::Text(value) => drop(typed.texts.insert(name, value)),
                Value::Timestamp(value) => drop(typed.times.insert(name, CqlTimestamp(*value))),
                Value::Bool(value) => drop(typed.bools.insert(name, *value)),
                Value::Null => {}
            }
        }
        typed
    }
}

/// The life of rows in seconds, as the statement binds it; 0: for ever.
fn life(lifetime: Span) -> i32 {
    match lifetime.0.div_ceil(1000) {
        seconds if seconds > LONGEST_LIFE => 0,
        // At most five years.
        seconds => seconds as i32,
    }
}

impl Buckets for ScyllaBuckets {
    fn write(&self, of: &StreamPartition, events: Offset, changed: &[ChangedBuckets]) -> Result<(), StoreError> {
        let home = self.connection.home(of);
        let timestamp = keys::timestamp(events);
        for view in changed {
            // An entity's buckets are neighbours, because they are in one partition of the table.
            let mut rows: Vec<&BucketRow> = view.rows.iter().collect();
            rows.sort_unstable_by(|a, b| (&a.key, a.from).cmp(&(&b.key, b.from)));
            let batches = batches(&rows, |a, b| a.key == b.key, |row| ROW_BYTES * (1 + row.values.len()));
            let batches = batches.map(|batch| {
                let values = batch.iter().map(|row| {
                    let (stream, name, key) = (&home.stream, &view.view, keys::bounded(&row.key));
                    let (revision, ttl) = (view.revision as i32, life(view.lifetime));
                    let (from, to) = (CqlTimestamp(row.from), CqlTimestamp(row.to));
                    let Typed { ints, doubles, texts, times, bools } = Typed::of(&view.measures, &row.values);
                    (stream, name, key, from, revision, to, ints, doubles, texts, times, bools, timestamp, ttl)
                });
                values.collect()
            });
            let written = self.connection.wait(self.connection.write_batches(&self.write_bucket, batches));
            written.map_err(|error| {
                let doing = format_args!("writing buckets of view '{}' of {of} before offset {events}", view.view);
                self.connection.failed(doing, &error)
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_in_whole_seconds_and_a_very_long_one_has_no_end() {
        assert_eq!([1, 1000, 1001].map(|millis| life(Span(millis))), [1, 1, 2]);
        assert_eq!(life(Span(LONGEST_LIFE * 1000)), LONGEST_LIFE as i32);
        assert_eq!([Span(LONGEST_LIFE * 1000 + 1), Span(u64::MAX)].map(life), [0, 0]);
    }

    #[test]
    fn values_are_sorted_by_type_and_missing_ones_left_out() {
        let measures = ["n", "sum", "none", "who", "at", "flag"].map(str::to_owned);
        let values = [
            Value::Int(i64::MAX),
            Value::Double(0.5),
            Value::Null,
            Value::Text("a".to_owned()),
            Value::Timestamp(7),
            Value::Bool(true),
        ];
        let typed = Typed::of(&measures, &values);
        assert_eq!(typed.ints, BTreeMap::from([("n", i64::MAX)]));
        assert_eq!((typed.doubles, typed.bools), (BTreeMap::from([("sum", 0.5)]), BTreeMap::from([("flag", true)])));
        assert_eq!((typed.texts, typed.times.len()), (BTreeMap::from([("who", "a")]), 1));
    }
}
