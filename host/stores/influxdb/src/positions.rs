//! How far sinks are: points of a measurement of their own, read by Flux.

use std::time::{SystemTime, UNIX_EPOCH};

use assay_core::names::Offset;
use assay_engine::ports::series::{FieldValue, Point};
use assay_engine::ports::{PartitionId, StoreError};
use fallible_iterator::FallibleIterator as _;
use influxdb2::RequestError;
use influxdb2::api::query::QueryTableIter;
use influxdb2::models::Query;

use super::Database;

/// The measurement of positions.
const MEASUREMENT: &str = "assay_position";
const NANOS_PER_MINUTE: i64 = 60_000_000_000;

/// Which sink a position is of.
#[derive(Clone, Copy)]
pub(super) enum Follower {
    Events,
    Verdicts,
}

impl Follower {
    fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Verdicts => "verdicts",
        }
    }
}

impl Database {
    /// The last position that was written; 0 if there is none. The engine asks once, when it gets a partition.
    pub(super) fn position(&self, follower: Follower, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.check_health()?;
        let query = format!(
            "from(bucket: {}) |> range(start: 0, stop: 2200-01-01T00:00:00Z) \
             |> filter(fn: (r) => r._measurement == \"{MEASUREMENT}\" and r._field == \"next\") \
             |> filter(fn: (r) => r.follower == \"{}\" and r.stream == {} and r.partition == \"{}\") \
             |> last() |> keep(columns: [\"_value\"])",
            flux_text(&self.bucket),
            follower.name(),
            flux_text(&partition.stream),
            partition.partition.0,
        );
        let doing = "reading a position";
        let query = Query::new(query);
        let client = self.connection.client();
        // Not `query_raw`, which panics when the connection breaks within the answer.
        let rows = self.connection.request(doing, || client.query_raw_iter(Some(query.clone())));
        let rows = rows.map_err(|failure| self.describe(doing, failure))?;
        last_value(&rows).map(Offset).map_err(|error| self.connection.broken(doing, &error.to_string()))
    }

    /// Writes a position.
    pub(super) fn put_position(
        &self,
        follower: Follower,
        partition: &PartitionId,
        next: Offset,
    ) -> Result<(), StoreError> {
        // Of the same minute there is one point, the last one: a year of positions stays small.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i64;
        let position = Point {
            measurement: MEASUREMENT.to_owned(),
            tags: vec![
                ("follower".to_owned(), follower.name().to_owned()),
                ("partition".to_owned(), partition.partition.0.to_string()),
                ("stream".to_owned(), partition.stream.to_string()),
            ],
            fields: vec![("next".to_owned(), FieldValue::Int(next.0 as i64))],
            offset: next,
            time_ns: now - now % NANOS_PER_MINUTE,
        };
        match self.write(&[position])?.pop() {
            None => Ok(()),
            Some(poison) => Err(self.connection.broken("writing a position", &poison.message)),
        }
    }
}

/// A text as Flux writes it. `$` would begin an interpolation.
fn flux_text(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for char in text.chars() {
        if matches!(char, '"' | '\\' | '$') {
            quoted.push('\\');
        }
        quoted.push(char);
    }
    quoted.push('"');
    quoted
}

/// The value in the last row; 0 if there are no rows.
fn last_value(rows: &QueryTableIter) -> Result<u64, RequestError> {
    let mut last = 0;
    let mut records = rows.result();
    while let Some(record) = records.next()? {
        let value = record.values.get("_value").and_then(|value| u64::try_from(value.i64()?).ok());
        let no_position = || RequestError::Deserializing { text: "it has no position".to_owned() };
        last = value.ok_or_else(no_position)?;
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_end_the_query() {
        assert_eq!(flux_text("a\"b\\c${d}"), "\"a\\\"b\\\\c\\${d}\"");
    }
}
