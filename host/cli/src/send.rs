//! Sends events in batches, one after the other, so that their order is kept.
//!
//! A thread fills the batches, so that an event is sent soon even if no other event comes, and the next batch is filled
//! while one is in flight. A batch is sent again if the server does not answer, or asks to try again later.

mod deliver;

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::client::{Client, escape};
use crate::commands::Output;
use deliver::{Destination, deliver_batch};

/// The largest body of one request, in bytes. One event may be larger.
const MAX_BODY_BYTES: usize = 4 << 20;
/// The time an event waits for others before it is sent.
const FLUSH_INTERVAL: Duration = Duration::from_millis(200);
/// The interval at which the answer to a batch in flight is polled.
const ANSWER_POLL_INTERVAL: Duration = Duration::from_millis(20);
/// The number of events, or blocks of a file, that may wait for a batch.
const MAX_WAITING: usize = 256;

/// The results of sending events.
#[derive(Debug, Default)]
pub struct Summary {
    /// Events that are stored.
    pub accepted: u64,
    /// Events that were refused.
    pub rejected: u64,
    /// The refused events: the first 100 of each request, which is the server's limit.
    pub errors: Vec<RefusedEvent>,
    /// The time from the first event to the last answer.
    pub took: Duration,
}

/// An event that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedEvent {
    /// The counted unit: `line` or `event`.
    pub unit: &'static str,
    /// The number of its line, or of the event in its file.
    pub number: u64,
    /// The reason.
    pub message: String,
}

impl fmt::Display for RefusedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.unit, self.number, self.message)
    }
}

impl Summary {
    fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.errors.extend(other.errors);
    }
}

/// The options of sending events.
pub struct SendOptions {
    /// The largest number of events of a request.
    pub max_events: usize,
    /// True if requests are compressed.
    pub is_compressed: bool,
    /// The header of an Avro file, whose blocks are sent instead of lines of JSON.
    pub avro_header: Option<Vec<u8>>,
    /// The format of warnings about requests that are sent again.
    pub output: Output,
}

/// Sends events to one stream.
pub struct Sender {
    items: Option<SyncSender<Item>>,
    batcher: Option<JoinHandle<Result<Summary>>>,
    /// Events that were refused before they were sent.
    refused: Summary,
    started: Instant,
}

/// Events to send, with their numbers: of their lines, or in their file.
struct Item {
    first: u64,
    events: u64,
    bytes: Vec<u8>,
}

impl Sender {
    /// Starts a sender.
    pub fn start(client: Client, stream: &str, options: SendOptions) -> Self {
        let (content_type, unit) = match options.avro_header {
            Some(_) => ("application/avro", "event"),
            None => ("application/x-ndjson", "line"),
        };
        let destination = Destination {
            client,
            path: format!("/v1/streams/{}/events", escape(stream)),
            content_type,
            head: options.avro_header.unwrap_or_default(),
            is_compressed: options.is_compressed,
            unit,
            output: options.output,
        };
        let (items, waiting) = sync_channel(MAX_WAITING);
        let batcher = Batcher::new(destination, options.max_events);
        let batcher = std::thread::spawn(move || batcher.run(&waiting));
        let refused = Summary::default();
        Self { items: Some(items), batcher: Some(batcher), refused, started: Instant::now() }
    }

    /// Adds a block of an Avro file, of `events` events.
    ///
    /// # Errors
    /// An earlier batch failed; [`Sender::finish`] returns its error.
    pub fn push_block(&mut self, first: u64, events: u64, block: Vec<u8>) -> Result<()> {
        self.push_item(Item { first, events, bytes: block })
    }

    /// Adds an event of a line: one JSON object without line breaks.
    ///
    /// # Errors
    /// An earlier batch failed; [`Sender::finish`] returns its error.
    pub fn push(&mut self, line: u64, event: &[u8]) -> Result<()> {
        let mut bytes = Vec::with_capacity(event.len() + 1);
        bytes.extend_from_slice(event);
        bytes.push(b'\n');
        self.push_item(Item { first: line, events: 1, bytes })
    }

    fn push_item(&mut self, item: Item) -> Result<()> {
        let items = self.items.as_ref();
        let sent = items.and_then(|items| items.send(item).ok());
        sent.ok_or_else(|| anyhow!("a batch could not be sent"))
    }

    /// Counts a malformed event, which is not sent.
    pub fn reject(&mut self, line: u64, why: &str) {
        self.refused.rejected += 1;
        self.refused.errors.push(RefusedEvent { unit: "line", number: line, message: why.to_owned() });
    }

    /// Sends the rest and waits for all answers.
    ///
    /// # Errors
    /// A batch failed.
    pub fn finish(mut self) -> Result<Summary> {
        drop(self.items.take());
        let batcher = self.batcher.take().ok_or_else(|| anyhow!("sending failed"))?;
        let mut summary = batcher.join().map_err(|_| anyhow!("sending failed"))??;
        summary.add(self.refused);
        summary.took = self.started.elapsed();
        Ok(summary)
    }
}

/// Fills batches and sends them.
struct Batcher {
    destination: Destination,
    max_events: usize,
    body: Vec<u8>,
    /// The numbers of the events in `body`.
    numbers: Vec<u64>,
    /// The time at which the first of them was added.
    oldest: Option<Instant>,
    in_flight: Option<JoinHandle<Result<Summary>>>,
    summary: Summary,
}

impl Batcher {
    fn new(destination: Destination, max_events: usize) -> Self {
        let (body, numbers, summary) = (Vec::new(), Vec::new(), Summary::default());
        Self { destination, max_events, body, numbers, oldest: None, in_flight: None, summary }
    }

    fn run(mut self, items: &Receiver<Item>) -> Result<Summary> {
        loop {
            let item = match self.time_until_flush() {
                Some(timeout) => items.recv_timeout(timeout),
                None => items.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match item {
                Ok(item) => self.add_item(item)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.in_flight.as_ref().is_none_or(JoinHandle::is_finished) {
                // A failed batch is reported at once, not when the next one is full.
                self.collect_answer()?;
                if self.oldest.is_some_and(|oldest| oldest.elapsed() >= FLUSH_INTERVAL) {
                    self.send()?;
                }
            }
        }
        self.send()?;
        self.collect_answer()?;
        Ok(self.summary)
    }

    /// The time to wait for the next event; none if there is nothing to send.
    fn time_until_flush(&self) -> Option<Duration> {
        if self.in_flight.is_some() {
            return Some(ANSWER_POLL_INTERVAL);
        }
        self.oldest.map(|oldest| FLUSH_INTERVAL.saturating_sub(oldest.elapsed()))
    }

    fn add_item(&mut self, item: Item) -> Result<()> {
        let Item { first, events, bytes } = item;
        let count = usize::try_from(events)?;
        if self.numbers.len() + count > self.max_events || self.body.len() + bytes.len() > MAX_BODY_BYTES {
            self.send()?;
        }
        self.oldest.get_or_insert_with(Instant::now);
        self.body.extend_from_slice(&bytes);
        self.numbers.extend(first..first + events);
        Ok(())
    }

    /// Sends the current batch, after the answer to the batch before.
    fn send(&mut self) -> Result<()> {
        self.collect_answer()?;
        self.oldest = None;
        if self.numbers.is_empty() {
            return Ok(());
        }
        let destination = self.destination.clone();
        let (body, numbers) = (std::mem::take(&mut self.body), std::mem::take(&mut self.numbers));
        self.in_flight = Some(std::thread::spawn(move || deliver_batch(&destination, &body, &numbers)));
        Ok(())
    }

    fn collect_answer(&mut self) -> Result<()> {
        let Some(in_flight) = self.in_flight.take() else { return Ok(()) };
        self.summary.add(in_flight.join().map_err(|_| anyhow!("sending failed"))??);
        Ok(())
    }
}
