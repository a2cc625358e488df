//! Sends one batch to the server: again if there is no answer, in halves if it is too large.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{RefusedEvent, Summary};
use crate::client::{Body, Client, RequestError};
use crate::commands::Output;
use crate::failure::report_retry;

/// A fast level, which compresses events to a fifth of their size or less.
const ZSTD_LEVEL: i32 = 1;
/// How many times a request is tried.
const MAX_TRIES: u32 = 8;
/// The longest pause between two tries.
const MAX_DELAY: Duration = Duration::from_secs(5);

/// The destination and the format of batches.
#[derive(Clone)]
pub(super) struct Destination {
    pub(super) client: Client,
    pub(super) path: String,
    pub(super) content_type: &'static str,
    /// The beginning of every body: the header of an Avro file.
    pub(super) head: Vec<u8>,
    pub(super) is_compressed: bool,
    /// The counted unit in messages: `line` or `event`.
    pub(super) unit: &'static str,
    /// The format of warnings.
    pub(super) output: Output,
}

/// Sends a batch.
///
/// # Errors
/// The whole batch was refused, or there was no answer.
pub(super) fn deliver_batch(destination: &Destination, events: &[u8], numbers: &[u64]) -> Result<Summary> {
    let whole = [destination.head.as_slice(), events].concat();
    let packed = if destination.is_compressed { zstd::encode_all(whole.as_slice(), ZSTD_LEVEL)? } else { Vec::new() };
    let body = match destination.is_compressed {
        true => Body::Zstd(destination.content_type, &packed),
        false => Body::Bytes(destination.content_type, &whole),
    };
    let mut delay = Duration::from_millis(100);
    for attempt in 1..=MAX_TRIES {
        match destination.client.request("POST", &destination.path, &body) {
            Ok(answer) => return Ok(read_summary(&answer, numbers, destination.unit)),
            // Every event of the batch was refused.
            Err(RequestError::Refused { status: 422, problem, .. }) if problem["errors"].is_array() => {
                return Ok(Summary {
                    rejected: numbers.len() as u64,
                    ..read_summary(&problem, numbers, destination.unit)
                });
            }
            // The limit of the server is lower than usual: halves may pass.
            Err(RequestError::Refused { status: 413, .. }) if destination.head.is_empty() && numbers.len() > 1 => {
                let (first, second) = split_lines_at(events, numbers.len() / 2);
                let (before, after) = numbers.split_at(numbers.len() / 2);
                let mut summary = deliver_batch(destination, first, before)?;
                summary.add(deliver_batch(destination, second, after)?);
                return Ok(summary);
            }
            Err(error) if error.is_temporary() && attempt < MAX_TRIES => {
                report_retry(&error, delay, destination.output);
                std::thread::sleep(delay);
                delay = (delay * 2).min(MAX_DELAY);
            }
            Err(error) => {
                let first = numbers.first().copied().unwrap_or_default();
                return Err(error)
                    .with_context(|| format!("the events from {} {first} on could not be sent", destination.unit));
            }
        }
    }
    bail!("the events could not be sent")
}

/// Splits lines after a number of them.
fn split_lines_at(lines: &[u8], count: usize) -> (&[u8], &[u8]) {
    let breaks = lines.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let end = breaks.map(|(index, _)| index + 1).nth(count.saturating_sub(1)).unwrap_or(lines.len());
    lines.split_at(end)
}

fn read_summary(answer: &Value, numbers: &[u64], unit: &'static str) -> Summary {
    let number = |error: &Value| {
        let row = error["row"].as_u64().and_then(|row| usize::try_from(row).ok()).unwrap_or_default();
        numbers.get(row.wrapping_sub(1)).copied().unwrap_or_default()
    };
    let errors = answer["errors"].as_array().into_iter().flatten();
    Summary {
        accepted: answer["accepted"].as_u64().unwrap_or_default(),
        rejected: answer["rejected"].as_u64().unwrap_or_default(),
        errors: errors
            .map(|error| RefusedEvent {
                unit,
                number: number(error),
                message: error["message"].as_str().unwrap_or_default().to_owned(),
            })
            .collect(),
        took: Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_after_a_line() {
        assert_eq!(split_lines_at(b"a\nbc\nd\n", 1), (&b"a\n"[..], &b"bc\nd\n"[..]));
        assert_eq!(split_lines_at(b"a\nbc\nd\n", 2), (&b"a\nbc\n"[..], &b"d\n"[..]));
    }

    #[test]
    fn refused_rows_have_the_numbers_of_their_lines() {
        let answer = serde_json::json!({
            "accepted": 1, "rejected": 2,
            "errors": [{ "row": 1, "message": "bad" }, { "row": 3, "message": "worse" }],
        });
        let summary = read_summary(&answer, &[10, 12, 15], "line");
        assert_eq!((summary.accepted, summary.rejected), (1, 2));
        let errors: Vec<String> = summary.errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, ["line 10: bad", "line 15: worse"]);
    }
}
