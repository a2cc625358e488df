//! Publishes verdicts and dead letters for other programs.
//!
//! The topics themselves hold its position: each record has headers with the offset of its event (`assay-offset`), its rule
//! (`assay-rule`) and the offset of its verdict block in the engine's log (`assay-block`). A new owner reads the last record
//! of each topic's partition and skips published records, so that stops, crashes and repeated calls cause no duplicates.
//!
//! One case causes duplicates: a process that has lost a partition without noticing may have records in flight after the
//! next owner has read the last one. Duplicates have the same content. A consumer that must not count anything twice
//! identifies records by (partition, `assay-offset`, `assay-rule`), or ignores every record that does not come after the
//! last (`assay-offset`, rule) of its partition.

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
use assay_engine::ports::{PartitionId, StoreError};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use rdkafka::ClientConfig;
use rdkafka::message::OwnedHeaders;

use super::client;
use super::config::Config;
use super::error::closed;
use super::produce::{Producer, RecordToSend, lock};
use super::schemas::Schemas;
use super::topics::Topics;
use mark::Mark;
use positions::Positions;

/// The time for which verdicts wait to share a request. Those of a batch are sent in quick succession: without it they fill
/// the five requests that may be in flight, and librdkafka spins on a core while it holds back a sixth.
const LINGER: Duration = Duration::from_millis(1);
/// The prefetched bytes when the last record is read.
const PREFETCH_BYTES: usize = 1 << 20;
/// The interval at which a wait checks whether the process ends.
const ENDING_CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// The longest wait for acknowledgements once the process ends.
const MAX_ENDING_WAIT: Duration = Duration::from_secs(5);

/// Publishes verdicts and dead letters.
pub(super) struct KafkaOutbox {
    topics: Arc<Topics>,
    schemas: Arc<dyn Schemas>,
    producer: Producer,
    settings: ClientConfig,
    positions: Positions,
    timeout: Duration,
    is_ending: Arc<AtomicBool>,
    streams: Mutex<HashMap<Arc<str>, Arc<OutboxTopics>>>,
    marks: Mutex<HashMap<PartitionId, Marks>>,
    in_flight: Mutex<Vec<InFlightVerdicts>>,
}

/// Verdicts of a partition that are not acknowledged yet.
struct InFlightVerdicts {
    partition: PartitionId,
    acks: Option<AckReceiver>,
    /// The marks after the acknowledgement.
    marks: Marks,
    next: Offset,
}

type AckReceiver = Receiver<Result<Vec<Appended>, StoreError>>;

/// The outbox's topics of one stream.
struct OutboxTopics {
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

/// A record to publish.
struct OutboxRecord {
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
        let settings = client::producer_settings(config, LINGER, config.append_timeout.as_millis().max(1));
        Ok(Self {
            topics,
            schemas,
            producer: Producer::open("outbox", settings, config.in_flight_bytes, is_ending.clone())?,
            settings: client::reader_settings(config, PREFETCH_BYTES, 20),
            timeout: config.request_timeout,
            is_ending,
            positions: Positions::open(config)?,
            streams: Mutex::default(),
            marks: Mutex::default(),
            in_flight: Mutex::default(),
        })
    }

    pub(super) fn close(&self, deadline: Instant) {
        self.producer.close(deadline);
        self.positions.close();
    }

    /// The outbox's topics of a stream. The first call creates them and registers the schema.
    fn get_or_create_topics(&self, partition: &PartitionId) -> Result<Arc<OutboxTopics>, StoreError> {
        // The lock is held meanwhile, so that only one thread creates them.
        let mut streams = lock(&self.streams);
        if let Some(topics_of_stream) = streams.get(&partition.stream) {
            return Ok(topics_of_stream.clone());
        }
        let (verdicts, letters) = self.topics.create_outbox(&*self.topics.get(&partition.stream)?)?;
        let id = self.schemas.register(&format!("{verdicts}-value"), verdict::SCHEMA)?;
        let frame = [&[0][..], &id.to_be_bytes()].concat();
        let topics_of_stream = Arc::new(OutboxTopics { verdicts, letters, frame });
        streams.insert(partition.stream.clone(), topics_of_stream.clone());
        Ok(topics_of_stream)
    }

    /// Reads the marks of the last records of a partition.
    fn read_marks(&self, partition_id: &PartitionId, topics_of_stream: &OutboxTopics) -> Result<Marks, StoreError> {
        let partition = self.topics.get(&partition_id.stream)?.partition_number(partition_id.partition)?;
        let read = |topic: &str| mark::read_mark(&self.settings, topic, partition, self.timeout);
        Ok(Marks { verdict: read(&topics_of_stream.verdicts)?, letter: read(&topics_of_stream.letters)? })
    }

    /// Sends records. Returns the receiver of the acknowledgement; none without records.
    fn send_records(
        &self,
        partition_id: &PartitionId,
        topic: &Arc<str>,
        records: Vec<OutboxRecord>,
    ) -> Result<Option<AckReceiver>, StoreError> {
        if records.is_empty() {
            return Ok(None);
        }
        let partition = self.topics.get(&partition_id.stream)?.partition_number(partition_id.partition)?;
        let bytes = records.iter().map(|record| record.payload.len() + record.key.len()).sum();
        let (answer, acks) = crossbeam_channel::bounded(1);
        // The receiver may be gone at the end of the process.
        let on_acknowledged = Box::new(move |result| drop(answer.send(result)));
        let mut sending =
            self.producer.begin(topic, &[(partition_id.partition, records.len())], bytes, on_acknowledged)?;
        for OutboxRecord { key, payload, headers, .. } in records {
            let key = (!key.is_empty()).then_some(&*key);
            sending
                .send(0, RecordToSend { partition, key, payload: &payload, timestamp: None, headers: Some(headers) });
        }
        Ok(Some(acks))
    }

    /// Waits for an acknowledgement. Once the process ends it waits at most [`MAX_ENDING_WAIT`].
    fn wait_for_ack(&self, acks: &AckReceiver) -> Result<(), StoreError> {
        let mut ends_at = None;
        loop {
            match acks.recv_timeout(ENDING_CHECK_INTERVAL) {
                Ok(result) => return result.map(drop),
                Err(RecvTimeoutError::Disconnected) => return Err(closed()),
                Err(RecvTimeoutError::Timeout) if self.is_ending.load(Ordering::Acquire) => {
                    if Instant::now() >= *ends_at.get_or_insert_with(|| Instant::now() + MAX_ENDING_WAIT) {
                        return Err(closed());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn complete_in_flight(
        &self,
        InFlightVerdicts { partition, acks, marks, next }: InFlightVerdicts,
    ) -> Result<(), StoreError> {
        if let Some(acks) = acks {
            self.wait_for_ack(&acks)?;
        }
        let topics = self.topics.get(&partition.stream)?;
        self.positions.note(&topics.verdict_log, topics.partition_number(partition.partition)?, next);
        lock(&self.marks).insert(partition, marks);
        Ok(())
    }

    /// Sends the records after the marks, and advances the marks.
    fn send_unpublished(
        &self,
        partition: &PartitionId,
        marks: &mut Marks,
        topics_of_stream: &OutboxTopics,
        outcomes: &[(Offset, Outcome)],
    ) -> Result<Option<AckReceiver>, StoreError> {
        let (mut verdicts, mut letters) = (Vec::new(), Vec::new());
        for (block, outcome) in outcomes {
            let rules: Vec<&str> = outcome.verdicts.iter().map(|verdict| verdict.by.rule.as_str()).collect();
            let from = mark::count_published(marks.verdict.as_ref(), outcome.offset, &rules);
            for verdict in &outcome.verdicts[from..] {
                verdicts.push(verdict::encode_record(&topics_of_stream.frame, partition, *block, outcome, verdict));
            }
            let failed: Vec<&str> = outcome.failures.iter().map(letter::failed_rule).collect();
            let from = mark::count_published(marks.letter.as_ref(), outcome.offset, &failed);
            for failure in &outcome.failures[from..] {
                letters.push(letter::encode_record(partition, *block, outcome, failure)?);
            }
        }
        let last =
            |records: &[OutboxRecord], before: Option<Mark>| records.last().map(|last| last.mark.clone()).or(before);
        marks.letter = last(&letters, marks.letter.take());
        marks.verdict = last(&verdicts, marks.verdict.take());
        // Dead letters are acknowledged before the verdicts are sent: the position follows from the verdicts' topic, so a
        // block that it covers must have its letters.
        if let Some(acks) = self.send_records(partition, &topics_of_stream.letters, letters)? {
            self.wait_for_ack(&acks)?;
        }
        self.send_records(partition, &topics_of_stream.verdicts, verdicts)
    }
}

impl Outbox for KafkaOutbox {
    /// The block that the last topics_of_stream verdict stands in, which may be topics_of_stream in part; or where an earlier call
    /// of `publish` ended, if that is farther.
    fn position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        let topics_of_stream = self.get_or_create_topics(partition)?;
        let marks = self.read_marks(partition, &topics_of_stream)?;
        let topics = self.topics.get(&partition.stream)?;
        let known = self.positions.read(&topics.verdict_log, topics.partition_number(partition.partition)?)?;
        let position = marks.verdict.as_ref().map_or(known, |mark| mark.block.max(known));
        lock(&self.marks).insert(partition.clone(), marks);
        Ok(position)
    }

    fn publish(
        &self,
        partition: &PartitionId,
        outcomes: Vec<(Offset, Outcome)>,
        next: Offset,
    ) -> Result<(), StoreError> {
        if lock(&self.in_flight).iter().any(|in_flight| in_flight.partition == *partition) {
            self.flush()?;
        }
        let topics_of_stream = self.get_or_create_topics(partition)?;
        // The marks are removed here, so that after a failure they are read from the topics again.
        let known = lock(&self.marks).remove(partition);
        let mut marks = match known {
            Some(marks) => marks,
            None => self.read_marks(partition, &topics_of_stream)?,
        };
        let acks = self.send_unpublished(partition, &mut marks, &topics_of_stream, &outcomes)?;
        lock(&self.in_flight).push(InFlightVerdicts { partition: partition.clone(), acks, marks, next });
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        let in_flight = std::mem::take(&mut *lock(&self.in_flight));
        // All are awaited, also if one fails.
        let results: Vec<_> = in_flight.into_iter().map(|in_flight| self.complete_in_flight(in_flight)).collect();
        results.into_iter().collect()
    }
}
