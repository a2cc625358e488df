//! Writing lines: in batches, halved where the server wants less at once or refuses some of them.

use std::ops::Range;

use assay_engine::ports::series::Point;
use assay_engine::ports::{Poison, StoreError};
use serde::Deserialize;

use super::line::Lines;
use super::{Database, STORE};
use crate::http::{Answer, Post, shorten};

/// The most bytes of one request, before it is compressed. InfluxDB Cloud takes 50 MB, others less.
const LONGEST_BATCH: usize = 4 << 20;

/// What the server said of a batch that it did not take whole.
enum Refusal {
    /// It is too long.
    TooLong,
    /// Some points are older than the bucket keeps them; the others are stored.
    TooOld,
    /// Some lines cannot be stored, with what the server said; all of them, if `all`.
    Bad { said: String, all: bool },
}

impl Database {
    /// Writes points. Returns those that are refused for good, by rising index.
    pub(super) fn write(&self, points: &[Point]) -> Result<Vec<Poison>, StoreError> {
        let lines = Lines::of(points);
        let mut poison = Vec::new();
        for batch in lines.batches(self.batch_lines, LONGEST_BATCH) {
            self.write_batch(&lines, batch, &mut poison)?;
        }
        poison.sort_by_key(|poison| poison.index);
        Ok(poison)
    }

    /// Writes a batch; where it is refused, its halves, until the lines to blame are alone. Lines may be written twice
    /// on the way, which changes nothing.
    fn write_batch(&self, lines: &Lines, batch: Range<usize>, poison: &mut Vec<Poison>) -> Result<(), StoreError> {
        let mut todo = vec![batch];
        while let Some(range) = todo.pop() {
            let refusal = self.try_batch(lines.text(&range), range.len())?;
            let middle = range.start + range.len() / 2;
            match refusal {
                None => {}
                Some(Refusal::TooOld) => {
                    tracing::debug!(store = STORE, "points are older than the bucket keeps them: left out");
                }
                Some(Refusal::Bad { said, all }) if all || range.len() == 1 => {
                    poison.extend(range.map(|line| Poison { index: lines.point(line), message: said.clone() }));
                }
                Some(Refusal::TooLong) if range.len() == 1 => {
                    let message = format!("the point is too long for the server: {} bytes", lines.text(&range).len());
                    poison.push(Poison { index: lines.point(range.start), message });
                }
                Some(Refusal::TooLong | Refusal::Bad { .. }) => todo.extend([middle..range.end, range.start..middle]),
            }
        }
        Ok(())
    }

    fn try_batch(&self, text: &[u8], lines: usize) -> Result<Option<Refusal>, StoreError> {
        let answer = self.client.post(Post {
            doing: "writing points",
            path: &self.write_path,
            content_type: "text/plain; charset=utf-8",
            body: text,
            gzip: true,
        })?;
        let said = said(&answer);
        match answer.status {
            200..=299 => Ok(None),
            413 => Ok(Some(Refusal::TooLong)),
            400 | 422 if said.contains("outside retention policy") => Ok(Some(Refusal::TooOld)),
            400 | 422 if said.contains("unable to parse") || said.contains("partial write") => {
                let all = dropped(&said) == Some(lines);
                Ok(Some(Refusal::Bad { said, all }))
            }
            _ => Err(self.refused("writing points", answer.status, &said)),
        }
    }

    /// A refusal that has nothing to do with the points.
    pub(super) fn refused(&self, doing: &str, status: u16, said: &str) -> StoreError {
        let advice = match status {
            401 => "; is the token right?",
            403 => "; give the token the rights to read and write the bucket",
            404 => "; are the organization and the bucket there? `influx bucket create` makes a bucket",
            _ => "",
        };
        let bucket = &self.bucket;
        self.client.broken(doing, &format!("bucket '{bucket}': HTTP {status}: {said}{advice}"))
    }
}

/// What the server said: the message of its error, or the body.
pub(super) fn said(answer: &Answer) -> String {
    #[derive(Deserialize)]
    struct Problem {
        message: String,
    }
    match serde_json::from_slice::<Problem>(&answer.body) {
        Ok(problem) => shorten(&problem.message),
        Err(_) => answer.text(),
    }
}

/// How many lines a partial write left out.
fn dropped(said: &str) -> Option<usize> {
    let digits = said.rsplit_once("dropped=")?.1;
    let end = digits.find(|char: char| !char.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_dropped_lines_is_found() {
        assert_eq!(dropped("partial write: field type conflict dropped=3 for database: x"), Some(3));
        assert_eq!(dropped("partial write: field type conflict dropped=12"), Some(12));
        assert_eq!(dropped("unable to parse 'm': missing fields"), None);
    }
}
