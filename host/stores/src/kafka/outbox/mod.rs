//! Publishes verdicts and dead letters for other programs.
//!
//! How far it has come is written in the topics themselves: each record says which event it is of (`assay-offset`),
//! which rule spoke (`assay-rule`) and where the verdict stands in the engine's log (`assay-block`). Who goes on reads
//! the last record of each topic's partition and passes over what is there, so that stops, crashes and repeated calls
//! double nothing.
//!
//! What can double: a process that has lost a partition without knowing it yet may still have records on their way
//! after the next owner has read the last one. Both say the same of the same event, so that a reader who must not count
//! anything twice tells them by (partition, `assay-offset`, `assay-rule`), or passes over whatever does not come after
//! the last (`assay-offset`, rule) that it has seen in the partition.

mod letter;
mod mark;
mod positions;
mod verdict;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use assay_core::names::Offset;
use assay_core::verdict::Outcome;
use assay_engine::ports::log::Appended;
use assay_engine::ports::outbox::Outbox;
use assay_engine::ports::{StoreError, StreamPartition};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use rdkafka::ClientConfig;
use rdkafka::message::OwnedHeaders;

use super::client;
use super::config::Config;
use super::error::closed;
use super::produce::{Outgoing, Producer, lock};
use super::schemas::Schemas;
use super::topics::Topics;
use mark::Mark;
use positions::Positions;

/// How long verdicts wait for others to share a request: those of a batch come one behind the other. Without it they
/// go out in five small requests, and librdkafka burns a core while it has to hold back a sixth.
const LINGER: Duration = Duration::from_millis(1);
/// Bytes that are fetched ahead when the last record is looked for.
const AHEAD_BYTES: usize = 1 << 20;
/// How often who waits looks whether the process ends.
const LOOK: Duration = Duration::from_millis(100);
/// How long it still waits then.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Publishes verdicts and dead letters.
pub(super) struct KafkaOutbox {
    topics: Arc<Topics>,
    schemas: Arc<dyn Schemas>,
    producer: Producer,
    settings: ClientConfig,
    positions: Positions,
    timeout: Duration,
    is_ending: Arc<AtomicBool>,
    streams: Mutex<HashMap<Arc<str>, Arc<Published>>>,
    marks: Mutex<HashMap<StreamPartition, Marks>>,
    under_way: Mutex<Vec<UnderWay>>,
}

/// Verdicts of a partition that are on their way into its topic.
struct UnderWay {
    of: StreamPartition,
    answered: Option<Answered>,
    /// When they are there.
    marks: Marks,
    next: Offset,
}

type Answered = Receiver<Result<Vec<Appended>, StoreError>>;

/// The topics of one stream that others read.
struct Published {
    verdicts: Arc<str>,
    letters: Arc<str>,
    /// Confluent's frame with the id of the verdicts' schema.
    frame: Vec<u8>,
}

/// The last records of one partition.
#[derive(Clone, Default)]
struct Marks {
    verdict: Option<Mark>,
    letter: Option<Mark>,
}

/// A record that is to be published.
struct Ready {
    mark: Mark,
    key: Vec<u8>,
    payload: Vec<u8>,
    headers: OwnedHeaders,
}

impl KafkaOutbox {
    pub(super) fn open(
        config: &Config,
        topics: Arc<Topics>,
        schemas: Arc<dyn Schemas>,
        is_ending: Arc<AtomicBool>,
    ) -> Result<Self, StoreError> {
        let settings = client::producer(config, LINGER, config.append_timeout.as_millis().max(1));
        Ok(Self {
            topics,
            schemas,
            producer: Producer::open("outbox", settings, config.in_flight_bytes, is_ending.clone())?,
            settings: client::reader(config, AHEAD_BYTES, 20),
            timeout: config.request_timeout,
            is_ending,
            positions: Positions::open(config)?,
            streams: Mutex::default(),
            marks: Mutex::default(),
            under_way: Mutex::default(),
        })
    }

    pub(super) fn close(&self, deadline: Instant) {
        self.producer.close(deadline);
        self.positions.close();
    }

    /// The topics of a stream; made when they are asked for the first time.
    fn published(&self, of: &StreamPartition) -> Result<Arc<Published>, StoreError> {
        // One makes them, the others wait.
        let mut streams = lock(&self.streams);
        if let Some(published) = streams.get(&of.stream) {
            return Ok(published.clone());
        }
        let (verdicts, letters) = self.topics.create_outbox(&*self.topics.get(&of.stream)?)?;
        let id = self.schemas.register(&format!("{verdicts}-value"), verdict::SCHEMA)?;
        let frame = [&[0][..], &id.to_be_bytes()].concat();
        let published = Arc::new(Published { verdicts, letters, frame });
        streams.insert(of.stream.clone(), published.clone());
        Ok(published)
    }

    /// Reads the last records of a partition.
    fn read_marks(&self, of: &StreamPartition, published: &Published) -> Result<Marks, StoreError> {
        let partition = self.topics.get(&of.stream)?.number(of.partition)?;
        let read = |topic: &str| mark::read(&self.settings, topic, partition, self.timeout);
        Ok(Marks { verdict: read(&published.verdicts)?, letter: read(&published.letters)? })
    }

    /// Sends records. Nothing to wait for if there are none.
    fn send(&self, of: &StreamPartition, topic: &Arc<str>, ready: Vec<Ready>) -> Result<Option<Answered>, StoreError> {
        if ready.is_empty() {
            return Ok(None);
        }
        let partition = self.topics.get(&of.stream)?.number(of.partition)?;
        let bytes = ready.iter().map(|ready| ready.payload.len() + ready.key.len()).sum();
        let (answer, answered) = crossbeam_channel::bounded(1);
        // Whoever waits does so until the end.
        let done = Box::new(move |result| drop(answer.send(result)));
        let mut sending = self.producer.begin(topic, &[(of.partition, ready.len())], bytes, done)?;
        for Ready { key, payload, headers, .. } in ready {
            let key = (!key.is_empty()).then_some(&*key);
            sending.send(0, Outgoing { partition, key, payload: &payload, timestamp: None, headers: Some(headers) });
        }
        Ok(Some(answered))
    }

    /// Waits for the answer; not for long when the process ends.
    fn wait(&self, answered: &Answered) -> Result<(), StoreError> {
        let mut ends_at = None;
        loop {
            match answered.recv_timeout(LOOK) {
                Ok(result) => return result.map(drop),
                Err(RecvTimeoutError::Disconnected) => return Err(closed()),
                Err(RecvTimeoutError::Timeout) if self.is_ending.load(Ordering::Acquire) => {
                    if Instant::now() >= *ends_at.get_or_insert_with(|| Instant::now() + LAST_WAIT) {
                        return Err(closed());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn settle_one(&self, UnderWay { of, answered, marks, next }: UnderWay) -> Result<(), StoreError> {
        if let Some(answered) = answered {
            self.wait(&answered)?;
        }
        let topics = self.topics.get(&of.stream)?;
        self.positions.note(&topics.verdict_log, topics.number(of.partition)?, next);
        lock(&self.marks).insert(of, marks);
        Ok(())
    }

    /// Sends what is not published yet, behind the marks, and moves them on.
    fn publish_behind(
        &self,
        of: &StreamPartition,
        marks: &mut Marks,
        published: &Published,
        outcomes: &[(Offset, Outcome)],
    ) -> Result<Option<Answered>, StoreError> {
        let (mut verdicts, mut letters) = (Vec::new(), Vec::new());
        for (block, outcome) in outcomes {
            let speakers: Vec<&str> = outcome.verdicts.iter().map(|verdict| verdict.by.rule.as_str()).collect();
            let from = mark::first_behind(marks.verdict.as_ref(), outcome.offset, &speakers);
            for verdict in &outcome.verdicts[from..] {
                verdicts.push(verdict::ready(&published.frame, of, *block, outcome, verdict));
            }
            let failed: Vec<&str> = outcome.failures.iter().map(letter::rule_of).collect();
            let from = mark::first_behind(marks.letter.as_ref(), outcome.offset, &failed);
            for failure in &outcome.failures[from..] {
                letters.push(letter::ready(of, *block, outcome, failure)?);
            }
        }
        let last = |ready: &[Ready], before: Option<Mark>| ready.last().map(|last| last.mark.clone()).or(before);
        marks.letter = last(&letters, marks.letter.take());
        marks.verdict = last(&verdicts, marks.verdict.take());
        // Letters first: where the verdicts' topic says that a block is published, its letters are.
        if let Some(answered) = self.send(of, &published.letters, letters)? {
            self.wait(&answered)?;
        }
        self.send(of, &published.verdicts, verdicts)
    }
}

impl Outbox for KafkaOutbox {
    /// The block that the last published verdict stands in, which may be published in part; or where an earlier call
    /// of `publish` ended, if that is farther.
    fn position(&self, of: &StreamPartition) -> Result<Offset, StoreError> {
        let published = self.published(of)?;
        let marks = self.read_marks(of, &published)?;
        let topics = self.topics.get(&of.stream)?;
        let known = self.positions.read(&topics.verdict_log, topics.number(of.partition)?)?;
        let position = marks.verdict.as_ref().map_or(known, |mark| mark.block.max(known));
        lock(&self.marks).insert(of.clone(), marks);
        Ok(position)
    }

    fn publish(&self, of: &StreamPartition, outcomes: Vec<(Offset, Outcome)>, next: Offset) -> Result<(), StoreError> {
        if lock(&self.under_way).iter().any(|under_way| under_way.of == *of) {
            self.settle()?;
        }
        let published = self.published(of)?;
        // While they are taken out, a failure leaves none behind: they are read again then.
        let known = lock(&self.marks).remove(of);
        let mut marks = match known {
            Some(marks) => marks,
            None => self.read_marks(of, &published)?,
        };
        let answered = self.publish_behind(of, &mut marks, &published, &outcomes)?;
        lock(&self.under_way).push(UnderWay { of: of.clone(), answered, marks, next });
        Ok(())
    }

    fn settle(&self) -> Result<(), StoreError> {
        let under_way = std::mem::take(&mut *lock(&self.under_way));
        // All are waited for, whatever becomes of the others.
        let settled: Vec<_> = under_way.into_iter().map(|under_way| self.settle_one(under_way)).collect();
        settled.into_iter().collect()
    }
}
