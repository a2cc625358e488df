//! The buckets port: a row per bucket of a tumbling view, for other programs to read.
//!
//! Each write replaces the whole row. Its write timestamp is the number of the partition's events that the row
//! includes, so the row with more events stays, whichever process writes last. Each revision of a view has its own
//! rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::span::Span;
use assay_core::value::Value;
use assay_engine::ports::buckets::{BucketRow, Buckets, ChangedBuckets};
use assay_engine::ports::{PartitionId, StoreError};
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;

use super::connection::{Connection, split_into_batches};
use super::keys;

/// The longest TTL of a row, in seconds: five years. Cassandra 4 refuses a TTL that ends after 2038-01-19. Rows with
/// a longer lifetime have no TTL.
const MAX_TTL_SECONDS: u64 = 5 * 365 * 24 * 60 * 60;
/// The approximate size of a row and of each of its values, in bytes. It limits the size of batches.
const ROW_OVERHEAD_BYTES: usize = 100;

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

/// The values of a row by measure, in one map per type. A measure without a value is in none of the maps.
#[derive(Default)]
struct TypedValues<'a> {
    ints: BTreeMap<&'a str, i64>,
    doubles: BTreeMap<&'a str, f64>,
    texts: BTreeMap<&'a str, &'a str>,
    times: BTreeMap<&'a str, CqlTimestamp>,
    bools: BTreeMap<&'a str, bool>,
}

impl<'a> TypedValues<'a> {
    fn group_by_type(measures: &'a [String], values: &'a [Value]) -> Self {
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

/// The TTL of rows with a lifetime, in seconds; 0 if they never expire.
fn ttl_seconds(lifetime: Span) -> i32 {
    match lifetime.0.div_ceil(1000) {
        seconds if seconds > MAX_TTL_SECONDS => 0,
        // The cast is lossless: the value is at most MAX_TTL_SECONDS.
        seconds => seconds as i32,
    }
}

impl Buckets for ScyllaBuckets {
    fn write(&self, partition: &PartitionId, events: Offset, changed: &[ChangedBuckets]) -> Result<(), StoreError> {
        let table_partition = self.connection.table_partition(partition);
        let timestamp = keys::write_timestamp(events);
        for view in changed {
            // The buckets of one entity are in one partition of the table: one batch can write them.
            let mut rows: Vec<&BucketRow> = view.rows.iter().collect();
            rows.sort_unstable_by(|a, b| (&a.key, a.from).cmp(&(&b.key, b.from)));
            let batches =
                split_into_batches(&rows, |a, b| a.key == b.key, |row| ROW_OVERHEAD_BYTES * (1 + row.values.len()));
            let batches = batches.map(|batch| {
                let values = batch.iter().map(|row| {
                    let (stream, name, key) = (&table_partition.stream, &view.view, keys::bound_text(&row.key));
                    let (revision, ttl) = (view.revision as i32, ttl_seconds(view.lifetime));
                    let (from, to) = (CqlTimestamp(row.from), CqlTimestamp(row.to));
                    let TypedValues { ints, doubles, texts, times, bools } =
                        TypedValues::group_by_type(&view.measures, &row.values);
                    (stream, name, key, from, revision, to, ints, doubles, texts, times, bools, timestamp, ttl)
                });
                values.collect()
            });
            let written = self.connection.wait(self.connection.write_batches(&self.write_bucket, batches));
            written.map_err(|error| {
                let doing =
                    format_args!("writing buckets of view '{}' of {partition} before offset {events}", view.view);
                self.connection.to_store_error(doing, &error)
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ttls_are_rounded_up_to_seconds_and_long_ones_are_unlimited() {
        assert_eq!([1, 1000, 1001].map(|millis| ttl_seconds(Span(millis))), [1, 1, 2]);
        assert_eq!(ttl_seconds(Span(MAX_TTL_SECONDS * 1000)), MAX_TTL_SECONDS as i32);
        assert_eq!([Span(MAX_TTL_SECONDS * 1000 + 1), Span(u64::MAX)].map(ttl_seconds), [0, 0]);
    }

    #[test]
    fn values_are_grouped_by_type_without_missing_ones() {
        let measures = ["n", "sum", "none", "who", "at", "flag"].map(str::to_owned);
        let values = [
            Value::Int(i64::MAX),
            Value::Double(0.5),
            Value::Null,
            Value::Text("a".to_owned()),
            Value::Timestamp(7),
            Value::Bool(true),
        ];
        let typed = TypedValues::group_by_type(&measures, &values);
        assert_eq!(typed.ints, BTreeMap::from([("n", i64::MAX)]));
        assert_eq!((typed.doubles, typed.bools), (BTreeMap::from([("sum", 0.5)]), BTreeMap::from([("flag", true)])));
        assert_eq!((typed.texts, typed.times.len()), (BTreeMap::from([("who", "a")]), 1));
    }
}
