//! Writing lines: in batches, halved where the server wants less at once or refuses some of them.

use std::io::Write;
use std::ops::Range;

use assay_engine::ports::series::Point;
use assay_engine::ports::{RejectedItem, StoreError};
use flate2::Compression;
use flate2::write::GzEncoder;
use influxdb2::api::write::TimestampPrecision;

use super::error::{Failure, advice_for};
use super::line::Lines;
use super::{Database, STORE};

/// The most bytes of one request, before it is compressed. InfluxDB Cloud takes 50 MB, others less.
const MAX_BATCH_BYTES: usize = 4 << 20;

/// How the server refuses a batch, or a part of it.
enum Refusal {
    /// It is too long.
    TooLong,
    /// Some points are older than the bucket keeps them; the others are stored.
    TooOld,
    /// Some lines cannot be stored, with the server's words; all of them, if `all`.
    Bad { message: String, all: bool },
}

impl Database {
    /// Writes points. Returns those that are refused for good, by rising index.
    pub(super) fn write(&self, points: &[Point]) -> Result<Vec<RejectedItem>, StoreError> {
        let lines = Lines::of(points);
        let mut poison = Vec::new();
        for batch in lines.batches(self.batch_lines, MAX_BATCH_BYTES) {
            self.write_batch(&lines, batch, &mut poison)?;
        }
        poison.sort_by_key(|poison| poison.index);
        Ok(poison)
    }

    /// Writes a batch; where it is refused, its halves, until the lines to blame are alone. Lines may be written twice
    /// on the way, which changes nothing.
    fn write_batch(
        &self,
        lines: &Lines,
        batch: Range<usize>,
        poison: &mut Vec<RejectedItem>,
    ) -> Result<(), StoreError> {
        let mut todo = vec![batch];
        while let Some(range) = todo.pop() {
            let refusal = self.try_batch(lines.text(&range), range.len())?;
            let middle = range.start + range.len() / 2;
            match refusal {
                None => {}
                Some(Refusal::TooOld) => {
                    tracing::debug!(store = STORE, "points are older than the bucket keeps them: left out");
                }
                Some(Refusal::Bad { message, all }) if all || range.len() == 1 => {
                    poison
                        .extend(range.map(|line| RejectedItem { index: lines.point(line), message: message.clone() }));
                }
                Some(Refusal::TooLong) if range.len() == 1 => {
                    let message = format!("the point is too long for the server: {} bytes", lines.text(&range).len());
                    poison.push(RejectedItem { index: lines.point(range.start), message });
                }
                Some(Refusal::TooLong | Refusal::Bad { .. }) => todo.extend([middle..range.end, range.start..middle]),
            }
        }
        Ok(())
    }

    fn try_batch(&self, text: &[u8], lines: usize) -> Result<Option<Refusal>, StoreError> {
        let doing = "writing points";
        let body = compress(text);
        let client = self.connection.line_client();
        let written = self.connection.request(doing, || {
            let precision = TimestampPrecision::Nanoseconds;
            client.write_line_protocol_with_precision(&self.org, &self.bucket, body.clone(), precision)
        });
        match written {
            // Of all that is no failure, the client takes only 204 for success.
            Ok(()) | Err(Failure::Refused { status: 200..=299, .. }) => Ok(None),
            Err(Failure::Refused { status: 413, .. }) => Ok(Some(Refusal::TooLong)),
            Err(Failure::Refused { status: 400 | 422, message }) if message.contains("outside retention policy") => {
                Ok(Some(Refusal::TooOld))
            }
            Err(Failure::Refused { status: 400 | 422, message })
                if message.contains("unable to parse") || message.contains("partial write") =>
            {
                let all = count_dropped(&message) == Some(lines);
                Ok(Some(Refusal::Bad { message, all }))
            }
            Err(failure) => Err(self.describe(doing, failure)),
        }
    }

    /// A failure that has nothing to do with the points.
    pub(super) fn describe(&self, doing: &str, failure: Failure) -> StoreError {
        match failure {
            Failure::Store(error) => error,
            Failure::Refused { status, message } => {
                let (bucket, advice) = (&self.bucket, advice_for(status));
                self.connection.broken(doing, &format!("bucket '{bucket}': HTTP {status}: {message}{advice}"))
            }
        }
    }
}

fn compress(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 4), Compression::fast());
    // Writing to memory does not fail; if it did, the server would refuse the body.
    let _ = encoder.write_all(text);
    encoder.finish().unwrap_or_default()
}

/// How many lines a partial write left out.
fn count_dropped(message: &str) -> Option<usize> {
    let digits = message.rsplit_once("dropped=")?.1;
    let end = digits.find(|char: char| !char.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_dropped_lines_is_found() {
        assert_eq!(count_dropped("partial write: field type conflict dropped=3 for database: x"), Some(3));
        assert_eq!(count_dropped("partial write: field type conflict dropped=12"), Some(12));
        assert_eq!(count_dropped("unable to parse 'm': missing fields"), None);
    }
}
