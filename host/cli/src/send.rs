//! Sends events in batches, one after the other, so that their order is kept.
//!
//! A thread of its own puts batches together, so that an event is sent soon even when no other one follows, and the next
//! batch is filled while one is under way. A batch that gets no answer, or is told to come back later, is sent again.

mod deliver;

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::client::{Client, escape};
use deliver::{Destination, deliver};

/// The largest body of one request, in bytes. One event may be larger.
const MAX_BODY_BYTES: usize = 4 << 20;
/// How long an event waits for others before it is sent.
const FLUSH_INTERVAL: Duration = Duration::from_millis(200);
/// How often an answer that is awaited is looked for.
const ANSWER_POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How many events, or blocks of a file, wait to be put into a batch.
const MAX_WAITING: usize = 256;

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

impl Summary {
    fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.errors.extend(other.errors);
    }
}

/// How events are sent.
pub struct SendOptions {
    /// The most events of a request.
    pub max_events: usize,
    /// Whether requests are compressed.
    pub is_compressed: bool,
    /// Blocks of an Avro file with this header are sent, instead of lines of JSON.
    pub avro_header: Option<Vec<u8>>,
}

/// Sends events to one stream.
pub struct Sender {
    items: Option<SyncSender<Item>>,
    batcher: Option<JoinHandle<Result<Summary>>>,
    /// What was refused before it was sent.
    refused: Summary,
    started: Instant,
}

/// Something to be sent, with the numbers of its events: of their lines, or in their file.
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
        let to = Destination {
            client,
            path: format!("/v1/streams/{}/events", escape(stream)),
            content_type,
            head: options.avro_header.unwrap_or_default(),
            is_compressed: options.is_compressed,
            unit,
        };
        let (items, waiting) = sync_channel(MAX_WAITING);
        let batcher = Batcher::new(to, options.max_events);
        let batcher = std::thread::spawn(move || batcher.run(&waiting));
        let refused = Summary::default();
        Self { items: Some(items), batcher: Some(batcher), refused, started: Instant::now() }
    }

    /// Adds a block of an Avro file, of `events` events.
    ///
    /// # Errors
    /// A batch before it was refused whole; [`Sender::finish`] says why.
    pub fn push_block(&mut self, first: u64, events: u64, block: Vec<u8>) -> Result<()> {
        self.push_item(Item { first, events, bytes: block })
    }

    /// Adds an event, one JSON object without line breaks, that stood on some line.
    ///
    /// # Errors
    /// A batch before it was refused whole; [`Sender::finish`] says why.
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

    /// Counts an event that is no event, and is not sent.
    pub fn reject(&mut self, line: u64, why: &str) {
        self.refused.rejected += 1;
        self.refused.errors.push(format!("line {line}: {why}"));
    }

    /// Sends the rest and waits for all answers.
    ///
    /// # Errors
    /// A batch was refused whole.
    pub fn finish(mut self) -> Result<Summary> {
        drop(self.items.take());
        let batcher = self.batcher.take().ok_or_else(|| anyhow!("sending failed"))?;
        let mut summary = batcher.join().map_err(|_| anyhow!("sending failed"))??;
        summary.add(self.refused);
        summary.took = self.started.elapsed();
        Ok(summary)
    }
}

/// Puts batches together.
struct Batcher {
    to: Destination,
    max_events: usize,
    body: Vec<u8>,
    /// The numbers of the events in `body`.
    numbers: Vec<u64>,
    /// Since when the first of them waits.
    oldest: Option<Instant>,
    under_way: Option<JoinHandle<Result<Summary>>>,
    summary: Summary,
}

impl Batcher {
    fn new(to: Destination, max_events: usize) -> Self {
        let (body, numbers, summary) = (Vec::new(), Vec::new(), Summary::default());
        Self { to, max_events, body, numbers, oldest: None, under_way: None, summary }
    }

    fn run(mut self, items: &Receiver<Item>) -> Result<Summary> {
        loop {
            let item = match self.patience() {
                Some(patience) => items.recv_timeout(patience),
                None => items.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match item {
                Ok(item) => self.add(item)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.under_way.as_ref().is_none_or(JoinHandle::is_finished) {
                // A refused batch is told at once, not when the next one is full.
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

    /// How long the next event is waited for; none: nothing else is to be done.
    fn patience(&self) -> Option<Duration> {
        if self.under_way.is_some() {
            return Some(ANSWER_POLL_INTERVAL);
        }
        self.oldest.map(|oldest| FLUSH_INTERVAL.saturating_sub(oldest.elapsed()))
    }

    fn add(&mut self, item: Item) -> Result<()> {
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

    /// Sends what is there, after the answer to what was sent before.
    fn send(&mut self) -> Result<()> {
        self.collect_answer()?;
        self.oldest = None;
        if self.numbers.is_empty() {
            return Ok(());
        }
        let to = self.to.clone();
        let (body, numbers) = (std::mem::take(&mut self.body), std::mem::take(&mut self.numbers));
        self.under_way = Some(std::thread::spawn(move || deliver(&to, &body, &numbers)));
        Ok(())
    }

    fn collect_answer(&mut self) -> Result<()> {
        let Some(under_way) = self.under_way.take() else { return Ok(()) };
        self.summary.add(under_way.join().map_err(|_| anyhow!("sending failed"))??);
        Ok(())
    }
}
