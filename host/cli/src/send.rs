//! Sends events in batches, one after the other, so that their order is kept.
//!
//! While one batch is under way the next one is read and put together; a batch that gets no answer, or is told to come
//! back later, is sent again.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use crate::client::{Body, Client, RequestError, escape};

/// The largest body of one request, in bytes.
const MAX_BODY: usize = 4 << 20;
/// How often a request is tried.
const TRIES: u32 = 8;

/// What became of the events.
#[derive(Debug, Default)]
pub struct Summary {
    /// Events that are stored.
    pub accepted: u64,
    /// Events that were refused.
    pub rejected: u64,
    /// Why, with line numbers: as many as the server told, which is the first 100 of a request.
    pub errors: Vec<String>,
    /// From the first event to the last answer.
    pub took: Duration,
}

/// Sends events to one stream.
pub struct Sender {
    client: Client,
    path: String,
    batch: usize,
    body: Vec<u8>,
    /// The line numbers of the events in `body`.
    lines: Vec<u64>,
    under_way: Option<JoinHandle<Result<Summary>>>,
    summary: Summary,
    started: Instant,
}

impl Sender {
    /// A sender of batches of at most so many events.
    pub fn new(client: Client, stream: &str, batch: usize) -> Self {
        let path = format!("/v1/streams/{}/events", escape(stream));
        Self {
            client,
            path,
            batch,
            body: Vec::new(),
            lines: Vec::new(),
            under_way: None,
            summary: Summary::default(),
            started: Instant::now(),
        }
    }

    /// Adds an event, one JSON object without line breaks, that stood on some line.
    ///
    /// # Errors
    /// A batch before it was refused whole.
    pub fn push(&mut self, line: u64, event: &[u8]) -> Result<()> {
        if self.lines.len() >= self.batch || self.body.len() + event.len() > MAX_BODY {
            self.send()?;
        }
        self.body.extend_from_slice(event);
        self.body.push(b'\n');
        self.lines.push(line);
        Ok(())
    }

    /// Sends what was pushed so far.
    ///
    /// # Errors
    /// A batch before it was refused whole.
    pub fn send(&mut self) -> Result<()> {
        self.settle()?;
        if self.lines.is_empty() {
            return Ok(());
        }
        let (client, path) = (self.client.clone(), self.path.clone());
        let (body, lines) = (std::mem::take(&mut self.body), std::mem::take(&mut self.lines));
        self.under_way = Some(std::thread::spawn(move || deliver(&client, &path, &body, &lines)));
        Ok(())
    }

    /// Sends the rest and waits for all answers.
    ///
    /// # Errors
    /// A batch was refused whole.
    pub fn finish(mut self) -> Result<Summary> {
        self.send()?;
        self.settle()?;
        self.summary.took = self.started.elapsed();
        Ok(self.summary)
    }

    fn settle(&mut self) -> Result<()> {
        let Some(under_way) = self.under_way.take() else { return Ok(()) };
        let delivered = under_way.join().map_err(|_| anyhow!("sending failed"))??;
        self.summary.accepted += delivered.accepted;
        self.summary.rejected += delivered.rejected;
        self.summary.errors.extend(delivered.errors);
        Ok(())
    }
}

fn deliver(client: &Client, path: &str, body: &[u8], lines: &[u64]) -> Result<Summary> {
    let mut delay = Duration::from_millis(100);
    for attempt in 1..=TRIES {
        match client.request("POST", path, &Body::Bytes("application/x-ndjson", body)) {
            Ok(answer) => return Ok(summary(&answer, lines)),
            // Every event of the batch is bad.
            Err(RequestError::Refused { status: 422, problem, .. }) if problem["errors"].is_array() => {
                return Ok(Summary { rejected: lines.len() as u64, ..summary(&problem, lines) });
            }
            Err(error) if error.is_passing() && attempt < TRIES => {
                eprintln!("{error}; trying again in {} ms", delay.as_millis());
                std::thread::sleep(delay);
                delay = (delay * 2).min(Duration::from_secs(5));
            }
            Err(error) => {
                let first = lines.first().copied().unwrap_or_default();
                return Err(error).with_context(|| format!("the events from line {first} on could not be sent"));
            }
        }
    }
    bail!("the events could not be sent")
}

fn summary(answer: &Value, lines: &[u64]) -> Summary {
    let line = |error: &Value| {
        let row = error["row"].as_u64().and_then(|row| usize::try_from(row).ok()).unwrap_or_default();
        lines.get(row.wrapping_sub(1)).copied().unwrap_or_default()
    };
    let errors = answer["errors"].as_array().into_iter().flatten();
    Summary {
        accepted: answer["accepted"].as_u64().unwrap_or_default(),
        rejected: answer["rejected"].as_u64().unwrap_or_default(),
        errors: errors
            .map(|error| format!("line {}: {}", line(error), error["message"].as_str().unwrap_or_default()))
            .collect(),
        took: Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_rows_are_told_by_the_lines_they_stood_on() {
        let answer = serde_json::json!({
            "accepted": 1, "rejected": 2,
            "errors": [{ "row": 1, "message": "bad" }, { "row": 3, "message": "worse" }],
        });
        let summary = summary(&answer, &[10, 12, 15]);
        assert_eq!((summary.accepted, summary.rejected), (1, 2));
        assert_eq!(summary.errors, ["line 10: bad", "line 15: worse"]);
    }
}
