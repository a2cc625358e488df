//! Reads records that are not in a tail from brokers, at any offset. A reader is kept for a while at its position, so that
//! the next read of a sequence continues with it.

mod lost_records;
mod reader;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use assay_core::names::Offset;
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Lost, Records, Topic};
use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::blocks::BlockBuilder;
use super::client::{self, LoggingContext};
use super::config::Config;
use super::error::failed;
use super::format::{Codec, MessageDecoder};
use super::topics::StreamTopics;
use lost_records::LostRecords;
use reader::BrokerReader;

/// The number of idle readers that are kept.
const MAX_IDLE_READERS: usize = 16;
/// An idle reader is closed after this time.
const MAX_IDLE_TIME: Duration = Duration::from_secs(10);
/// The bytes that a reader prefetches, about.
const PREFETCH_BYTES: usize = 8 << 20;
/// The longest time that a broker holds back an empty answer. A seek waits for the request in flight.
const BROKER_WAIT_MS: u32 = 20;
/// The delay before asking again for the leader of a partition.
const RETRY_DELAY: Duration = Duration::from_millis(20);

/// A read from an offset on.
pub(super) struct ReadRequest<'a> {
    pub(super) topics: &'a Arc<StreamTopics>,
    pub(super) topic: Topic,
    /// The number of the schema to decode events to.
    pub(super) schema: u32,
    pub(super) partition: i32,
    pub(super) from: Offset,
    pub(super) max_records: usize,
    pub(super) max_bytes: usize,
}

/// Reads from brokers.
pub(super) struct History {
    settings: ClientConfig,
    timeout: Duration,
    /// Reads the ends of partitions.
    watermark_client: BaseConsumer<LoggingContext>,
    idle: Mutex<Vec<BrokerReader>>,
    lost: LostRecords,
    is_closed: AtomicBool,
}

impl History {
    pub(super) fn open(config: &Config) -> Result<Self, StoreError> {
        let settings = client::reader_settings(config, PREFETCH_BYTES, BROKER_WAIT_MS);
        Ok(Self {
            watermark_client: open_consumer(&settings)?,
            settings,
            timeout: config.request_timeout,
            idle: Mutex::default(),
            lost: LostRecords::default(),
            is_closed: AtomicBool::new(false),
        })
    }

    /// The first offset of a partition, and the offset after its last committed record.
    pub(super) fn read_ends(&self, topic: &str, partition: i32) -> Result<(u64, u64), StoreError> {
        let deadline = Instant::now() + self.timeout;
        loop {
            match self.watermark_client.fetch_watermarks(topic, partition, self.timeout) {
                // Offsets are not negative.
                Ok((low, high)) => return Ok((low as u64, high as u64)),
                // The leader changes when brokers come and go, and the leader of a new topic learns of it late.
                Err(error) if is_between_leaders(&error) && Instant::now() < deadline => thread::sleep(RETRY_DELAY),
                Err(error) => return Err(failed(format_args!("asking for the end of {topic}/{partition}"), &error)),
            }
        }
    }

    /// The number of records of a topic that retention deleted before they were read.
    pub(super) fn lost(&self, stream: &Arc<str>, topic: Topic) -> Lost {
        self.lost.get(stream, topic)
    }

    /// Counts and logs the records from a reader's position on that retention deleted. Returns the first remaining offset
    /// and the end of the partition.
    pub(super) fn note_lost(
        &self,
        topics: &StreamTopics,
        topic: Topic,
        partition: i32,
        from: u64,
    ) -> Result<(u64, u64), StoreError> {
        let name = &**topics.topic(topic);
        let (low, end) = self.read_ends(name, partition)?;
        if from == 0 && low > 0 {
            // A new reader of an old topic has not missed anything.
            tracing::debug!(topic = name, partition, first_left = low, "reading from the first record that is left");
            return Ok((low, end));
        }
        let lost = self.lost.note(&topics.stream, topic, partition, from, low);
        if lost > 0 {
            tracing::error!(
                topic = name,
                partition,
                lost,
                from,
                first_left = low,
                "records were deleted by the topic's retention before they were read, and are lost to whoever reads \
                 here; raise retention.ms"
            );
        }
        Ok((low, end))
    }

    /// Reads records. Also returns the offset before which there are no further records: without records it is the recent
    /// end of the partition.
    pub(super) fn read(&self, request: &ReadRequest<'_>) -> Result<(Vec<Records>, Offset), StoreError> {
        let Some(mut reader) = self.get_reader_at(request)? else { return Ok((Vec::new(), request.from)) };
        let collected = match reader.nothing_before < reader.end {
            true => reader.collect(request, self.timeout, &self.is_closed),
            false => Ok(()),
        };
        let records = reader.blocks.take();
        if records.first().is_some_and(|first| first.first.0 > reader.position) {
            // The gap has transaction markers, or retention deleted records while the reader was idle.
            self.note_lost(request.topics, request.topic, request.partition, reader.position)?;
        }
        if let Some(last) = records.last() {
            reader.position = last.next().0;
            reader.nothing_before = reader.position;
        }
        reader.has_sought_since_end = false;
        if collected.is_err() {
            // The reader has consumed a message that it could not decode, so it is dropped. The records before are good.
            return if records.is_empty() {
                collected.map(|()| (records, request.from))
            } else {
                Ok((records, request.from))
            };
        }
        let nothing_before = Offset(reader.nothing_before);
        reader.last_used = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE_READERS {
            idle.push(reader);
        }
        Ok((records, nothing_before))
    }

    /// A reader at the requested offset; none if that is the end of the partition.
    fn get_reader_at(&self, request: &ReadRequest<'_>) -> Result<Option<BrokerReader>, StoreError> {
        let topic = request.topics.topic(request.topic);
        let codec = match request.topic {
            Topic::Events => Some(request.topics.codec(request.schema)?),
            Topic::Verdicts => None,
        };
        if let Some(mut reader) = self.take_idle_at(topic, request.partition, request.from.0, codec) {
            if reader.nothing_before >= reader.end {
                (_, reader.end) = self.read_ends(topic, request.partition)?;
            }
            return Ok(Some(reader));
        }
        let (low, end) = self.note_lost(request.topics, request.topic, request.partition, request.from.0)?;
        let position = request.from.0.max(low);
        if position >= end {
            return Ok(None);
        }
        let mut reader = BrokerReader {
            consumer: self.take_consumer()?,
            topic: topic.clone(),
            partition: request.partition,
            position,
            end,
            nothing_before: position,
            has_sought_since_end: false,
            blocks: BlockBuilder::new(codec.cloned().map(MessageDecoder::new)),
            last_used: Instant::now(),
        };
        reader.seek()?;
        Ok(Some(reader))
    }

    fn take_idle_at(
        &self,
        topic: &str,
        partition: i32,
        position: u64,
        codec: Option<&Arc<Codec>>,
    ) -> Option<BrokerReader> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let is_match = |reader: &BrokerReader| {
            let is_at = reader.position == position && reader.partition == partition && *reader.topic == *topic;
            is_at && reader.blocks.codec().map(Arc::as_ptr) == codec.map(Arc::as_ptr)
        };
        let index = idle.iter().position(is_match)?;
        Some(idle.swap_remove(index))
    }

    /// A consumer for a new reader: that of the longest idle reader if there are many, else a new one.
    fn take_consumer(&self) -> Result<BaseConsumer<LoggingContext>, StoreError> {
        {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() >= MAX_IDLE_READERS / 2 {
                let oldest = idle.iter().enumerate().min_by_key(|(_, reader)| reader.last_used).map(|(index, _)| index);
                if let Some(oldest) = oldest {
                    return Ok(idle.swap_remove(oldest).consumer);
                }
            }
        }
        open_consumer(&self.settings)
    }

    /// Closes readers that were idle for too long. The fetch thread calls it periodically.
    pub(super) fn close_idle_readers(&self) {
        // A poll is needed for the client to forward its logs.
        let _ = self.watermark_client.poll(Duration::ZERO);
        let old = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let (old, recent) =
                std::mem::take(&mut *idle).into_iter().partition(|reader| reader.last_used.elapsed() > MAX_IDLE_TIME);
            *idle = recent;
            old
        };
        // Closing a consumer is slow, so it happens outside of the lock.
        drop::<Vec<BrokerReader>>(old);
    }

    /// Aborts waiting reads and closes idle readers.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn is_between_leaders(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(error.rdkafka_error_code(), Some(Code::NotLeaderForPartition | Code::LeaderNotAvailable))
}

fn open_consumer(settings: &ClientConfig) -> Result<BaseConsumer<LoggingContext>, StoreError> {
    BaseConsumer::from_config_and_context(settings, LoggingContext).map_err(|error| failed("making a reader", &error))
}
