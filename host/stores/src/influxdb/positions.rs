//! How far followers are: points of a measurement of their own, read by Flux.

use std::time::{SystemTime, UNIX_EPOCH};

use assay_core::names::Offset;
use assay_engine::ports::series::{FieldValue, Point};
use assay_engine::ports::{StoreError, StreamPartition};

use super::Database;
use super::write::said;
use crate::http::Post;

/// The measurement of positions.
const MEASUREMENT: &str = "assay_position";
const NANOS_PER_MINUTE: i64 = 60_000_000_000;

/// Which follower a position is of.
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
    pub(super) fn position(&self, follower: Follower, of: &StreamPartition) -> Result<Offset, StoreError> {
        let query = format!(
            "from(bucket: {}) |> range(start: 0, stop: 2200-01-01T00:00:00Z) \
             |> filter(fn: (r) => r._measurement == \"{MEASUREMENT}\" and r._field == \"next\") \
             |> filter(fn: (r) => r.follower == \"{}\" and r.stream == {} and r.partition == \"{}\") \
             |> last() |> keep(columns: [\"_value\"])",
            flux_text(&self.bucket),
            follower.name(),
            flux_text(&of.stream),
            of.partition.0,
        );
        let doing = "reading a position";
        let answer = self.client.post(Post {
            doing,
            path: &self.query_path,
            content_type: "application/vnd.flux",
            body: query.as_bytes(),
            gzip: false,
        })?;
        if answer.status != 200 {
            return Err(self.refused(doing, answer.status, &said(&answer)));
        }
        let csv = String::from_utf8_lossy(&answer.body);
        last_value(&csv).map(Offset).ok_or_else(|| self.client.broken(doing, &format!("answered {}", answer.text())))
    }

    /// Writes a position.
    pub(super) fn put_position(
        &self,
        follower: Follower,
        of: &StreamPartition,
        next: Offset,
    ) -> Result<(), StoreError> {
        // Of the same minute there is one point, the last one: a year of positions stays small.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i64;
        let position = Point {
            measurement: MEASUREMENT.to_owned(),
            tags: vec![
                ("follower".to_owned(), follower.name().to_owned()),
                ("partition".to_owned(), of.partition.0.to_string()),
                ("stream".to_owned(), of.stream.to_string()),
            ],
            fields: vec![("next".to_owned(), FieldValue::Int(next.0 as i64))],
            offset: next,
            time_ns: now - now % NANOS_PER_MINUTE,
        };
        match self.write(&[position])?.pop() {
            None => Ok(()),
            Some(poison) => Err(self.client.broken("writing a position", &poison.message)),
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

/// The value in the last row of an answer in annotated CSV with columns that need no quotes; 0 if there are no rows,
/// none if it is something else.
fn last_value(csv: &str) -> Option<u64> {
    let mut rows = csv.lines().filter(|row| !row.is_empty() && !row.starts_with('#'));
    let Some(header) = rows.next() else { return Some(0) };
    let column = header.split(',').position(|name| name == "_value")?;
    rows.last().map_or(Some(0), |row| row.split(',').nth(column)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        assert_eq!(last_value(",result,table,_value\r\n,_result,0,123\r\n\r\n"), Some(123));
        assert_eq!(last_value("\r\n"), Some(0));
        assert_eq!(last_value(""), Some(0));
        assert_eq!(last_value("error,reference\r\nfailed to read,897\r\n"), None);
    }

    #[test]
    fn texts_cannot_end_the_query() {
        assert_eq!(flux_text("a\"b\\c${d}"), "\"a\\\"b\\\\c\\${d}\"");
    }
}
