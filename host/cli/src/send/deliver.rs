//! One batch on its way to the server: tried again when it gets no answer, halved when it is too large.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Summary;
use crate::client::{Body, Client, RequestError};

/// Fast, and events become a fifth of their size or less.
const ZSTD_LEVEL: i32 = 1;
/// How often a request is tried.
const MAX_TRIES: u32 = 8;
/// The longest wait between two tries.
const MAX_DELAY: Duration = Duration::from_secs(5);

/// Where batches go, and as what.
#[derive(Clone)]
pub(super) struct Destination {
    pub(super) client: Client,
    pub(super) path: String,
    pub(super) content_type: &'static str,
    /// What every body begins with: the header of an Avro file.
    pub(super) head: Vec<u8>,
    pub(super) is_compressed: bool,
    /// What numbers count, for people.
    pub(super) unit: &'static str,
}

/// Sends a batch.
///
/// # Errors
/// It was refused whole, or there was no answer.
pub(super) fn deliver(to: &Destination, events: &[u8], numbers: &[u64]) -> Result<Summary> {
    let whole = [to.head.as_slice(), events].concat();
    let packed = if to.is_compressed { zstd::encode_all(whole.as_slice(), ZSTD_LEVEL)? } else { Vec::new() };
    let body = match to.is_compressed {
        true => Body::Zstd(to.content_type, &packed),
        false => Body::Bytes(to.content_type, &whole),
    };
    let mut delay = Duration::from_millis(100);
    for attempt in 1..=MAX_TRIES {
        match to.client.request("POST", &to.path, &body) {
            Ok(answer) => return Ok(summary(&answer, numbers, to.unit)),
            // Every event of the batch is bad.
            Err(RequestError::Refused { status: 422, problem, .. }) if problem["errors"].is_array() => {
                return Ok(Summary { rejected: numbers.len() as u64, ..summary(&problem, numbers, to.unit) });
            }
            // The server takes less than usual: halves may pass.
            Err(RequestError::Refused { status: 413, .. }) if to.head.is_empty() && numbers.len() > 1 => {
                let (first, second) = halve(events, numbers.len() / 2);
                let (before, after) = numbers.split_at(numbers.len() / 2);
                let mut summary = deliver(to, first, before)?;
                summary.add(deliver(to, second, after)?);
                return Ok(summary);
            }
            Err(error) if error.is_passing() && attempt < MAX_TRIES => {
                eprintln!("{error}; trying again in {} ms", delay.as_millis());
                std::thread::sleep(delay);
                delay = (delay * 2).min(MAX_DELAY);
            }
            Err(error) => {
                let first = numbers.first().copied().unwrap_or_default();
                return Err(error).with_context(|| format!("the events from {} {first} on could not be sent", to.unit));
            }
        }
    }
    bail!("the events could not be sent")
}

/// Lines, cut after so many.
fn halve(lines: &[u8], count: usize) -> (&[u8], &[u8]) {
    let breaks = lines.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let end = breaks.map(|(index, _)| index + 1).nth(count.saturating_sub(1)).unwrap_or(lines.len());
    lines.split_at(end)
}

fn summary(answer: &Value, numbers: &[u64], unit: &str) -> Summary {
    let number = |error: &Value| {
        let row = error["row"].as_u64().and_then(|row| usize::try_from(row).ok()).unwrap_or_default();
        numbers.get(row.wrapping_sub(1)).copied().unwrap_or_default()
    };
    let errors = answer["errors"].as_array().into_iter().flatten();
    Summary {
        accepted: answer["accepted"].as_u64().unwrap_or_default(),
        rejected: answer["rejected"].as_u64().unwrap_or_default(),
        errors: errors
            .map(|error| format!("{unit} {}: {}", number(error), error["message"].as_str().unwrap_or_default()))
            .collect(),
        took: Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_behind_a_line() {
        assert_eq!(halve(b"a\nbc\nd\n", 1), (&b"a\n"[..], &b"bc\nd\n"[..]));
        assert_eq!(halve(b"a\nbc\nd\n", 2), (&b"a\nbc\n"[..], &b"d\n"[..]));
    }

    #[test]
    fn refused_rows_are_told_by_the_lines_they_stood_on() {
        let answer = serde_json::json!({
            "accepted": 1, "rejected": 2,
            "errors": [{ "row": 1, "message": "bad" }, { "row": 3, "message": "worse" }],
        });
        let summary = summary(&answer, &[10, 12, 15], "line");
        assert_eq!((summary.accepted, summary.rejected), (1, 2));
        assert_eq!(summary.errors, ["line 10: bad", "line 15: worse"]);
    }
}
