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
/// Fast, and events become a fifth of their size or less.
const ZSTD_LEVEL: i32 = 1;
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

/// Where batches go, and as what.
#[derive(Clone)]
struct Destination {
    client: Client,
    path: String,
    content_type: &'static str,
    /// What every body begins with: the header of an Avro file.
    head: Vec<u8>,
    is_compressed: bool,
    /// What numbers count, for people.
    unit: &'static str,
}

/// Sends events to one stream.
pub struct Sender {
    to: Destination,
    batch: usize,
    body: Vec<u8>,
    /// The numbers of the events in `body`: of their lines, or in their file.
    numbers: Vec<u64>,
    under_way: Option<JoinHandle<Result<Summary>>>,
    summary: Summary,
    started: Instant,
}

impl Sender {
    /// A sender of batches of at most so many events.
    pub fn new(client: Client, stream: &str, batch: usize) -> Self {
        let path = format!("/v1/streams/{}/events", escape(stream));
        let (content_type, unit) = ("application/x-ndjson", "line");
        Self {
            to: Destination { client, path, content_type, head: Vec::new(), is_compressed: false, unit },
            batch,
            body: Vec::new(),
            numbers: Vec::new(),
            under_way: None,
            summary: Summary::default(),
            started: Instant::now(),
        }
    }

    /// Compresses what is sent.
    pub fn compressed(mut self, is_compressed: bool) -> Self {
        self.to.is_compressed = is_compressed;
        self
    }

    /// Sends blocks of an Avro file with this header instead of lines.
    pub fn with_blocks_of(mut self, head: Vec<u8>) -> Self {
        (self.to.head, self.to.content_type, self.to.unit) = (head, "application/avro", "event");
        self
    }

    /// Adds a block of an Avro file, of `count` events.
    ///
    /// # Errors
    /// A batch before it was refused whole.
    pub fn push_block(&mut self, first: u64, count: u64, block: &[u8]) -> Result<()> {
        self.make_room(usize::try_from(count)?, block.len())?;
        self.body.extend_from_slice(block);
        self.numbers.extend(first..first + count);
        Ok(())
    }

    /// Sends what is there already, if more would be too much.
    fn make_room(&mut self, events: usize, bytes: usize) -> Result<()> {
        let is_full = self.numbers.len() + events > self.batch || self.body.len() + bytes > MAX_BODY;
        if is_full { self.send() } else { Ok(()) }
    }

    /// Adds an event, one JSON object without line breaks, that stood on some line.
    ///
    /// # Errors
    /// A batch before it was refused whole.
    pub fn push(&mut self, line: u64, event: &[u8]) -> Result<()> {
        self.make_room(1, event.len())?;
        self.body.extend_from_slice(event);
        self.body.push(b'\n');
        self.numbers.push(line);
        Ok(())
    }

    /// Sends what was pushed so far.
    ///
    /// # Errors
    /// A batch before it was refused whole.
    pub fn send(&mut self) -> Result<()> {
        self.settle()?;
        if self.numbers.is_empty() {
            return Ok(());
        }
        let to = self.to.clone();
        let (body, numbers) = (std::mem::take(&mut self.body), std::mem::take(&mut self.numbers));
        self.under_way = Some(std::thread::spawn(move || deliver(&to, &body, &numbers)));
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

fn deliver(to: &Destination, events: &[u8], numbers: &[u64]) -> Result<Summary> {
    let whole = [to.head.as_slice(), events].concat();
    let packed = if to.is_compressed { zstd::encode_all(whole.as_slice(), ZSTD_LEVEL)? } else { Vec::new() };
    let body = match to.is_compressed {
        true => Body::Zstd(to.content_type, &packed),
        false => Body::Bytes(to.content_type, &whole),
    };
    let mut delay = Duration::from_millis(100);
    for attempt in 1..=TRIES {
        match to.client.request("POST", &to.path, &body) {
            Ok(answer) => return Ok(summary(&answer, numbers, to.unit)),
            // Every event of the batch is bad.
            Err(RequestError::Refused { status: 422, problem, .. }) if problem["errors"].is_array() => {
                return Ok(Summary { rejected: numbers.len() as u64, ..summary(&problem, numbers, to.unit) });
            }
            Err(error) if error.is_passing() && attempt < TRIES => {
                eprintln!("{error}; trying again in {} ms", delay.as_millis());
                std::thread::sleep(delay);
                delay = (delay * 2).min(Duration::from_secs(5));
            }
            Err(error) => {
                let first = numbers.first().copied().unwrap_or_default();
                return Err(error).with_context(|| format!("the events from {} {first} on could not be sent", to.unit));
            }
        }
    }
    bail!("the events could not be sent")
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
