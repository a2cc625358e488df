//! Reads what no tail holds: from a broker, at any offset. Who goes on where he stopped finds his reader waiting.

mod lost;
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

use super::blocks::Blocks;
use super::client::{self, Logged};
use super::config::Config;
use super::error::failed;
use super::format::{Codec, Reading};
use super::topics::StreamTopics;
use lost::LostRecords;
use reader::Reader;

/// Readers that wait for whoever goes on, at most.
const MOST_IDLE: usize = 16;
/// How long one waits.
const IDLE: Duration = Duration::from_secs(10);
/// Bytes that a reader fetches ahead, about.
const AHEAD_BYTES: usize = 8 << 20;
/// How long a broker holds an answer back when there is nothing: a reader that is sent elsewhere waits for it.
const BROKER_WAIT_MS: u32 = 20;
/// How long to wait before asking again who leads a partition.
const AGAIN: Duration = Duration::from_millis(20);

/// Which records are wanted.
pub(super) struct Wanted<'a> {
    pub(super) topics: &'a Arc<StreamTopics>,
    pub(super) topic: Topic,
    /// The number of the schema that events are to come in.
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
    /// Asks for ends.
    asker: BaseConsumer<Logged>,
    idle: Mutex<Vec<Reader>>,
    lost: LostRecords,
    is_closed: AtomicBool,
}

impl History {
    pub(super) fn open(config: &Config) -> Result<Self, StoreError> {
        let settings = client::reader(config, AHEAD_BYTES, BROKER_WAIT_MS);
        Ok(Self {
            asker: consumer(&settings)?,
            settings,
            timeout: config.request_timeout,
            idle: Mutex::default(),
            lost: LostRecords::default(),
            is_closed: AtomicBool::new(false),
        })
    }

    /// The first offset of a partition, and the one behind its last record that can be read.
    pub(super) fn ends(&self, topic: &str, partition: i32) -> Result<(u64, u64), StoreError> {
        let deadline = Instant::now() + self.timeout;
        loop {
            match self.asker.fetch_watermarks(topic, partition, self.timeout) {
                // Offsets are not negative.
                Ok((low, high)) => return Ok((low as u64, high as u64)),
                // Leaders change when brokers come and go, and a new topic's leader has to hear of it first.
                Err(error) if is_between_leaders(&error) && Instant::now() < deadline => thread::sleep(AGAIN),
                Err(error) => return Err(failed(format_args!("asking for the end of {topic}/{partition}"), &error)),
            }
        }
    }

    /// How many records of a topic were deleted before they were read.
    pub(super) fn lost(&self, stream: &Arc<str>, topic: Topic) -> Lost {
        self.lost.of(stream, topic)
    }

    /// Looks whether records from an offset on were deleted before they were read; counts them, loudly. Returns the
    /// first that is left, and the partition's end.
    pub(super) fn note_lost(
        &self,
        of: &StreamTopics,
        topic: Topic,
        partition: i32,
        from: u64,
    ) -> Result<(u64, u64), StoreError> {
        let name = &**of.topic(topic);
        let (low, end) = self.ends(name, partition)?;
        if from == 0 && low > 0 {
            // Nothing was ever read here: the topic is older than who reads it.
            tracing::debug!(topic = name, partition, first_left = low, "reading from the first record that is left");
            return Ok((low, end));
        }
        let lost = self.lost.note(&of.stream, topic, partition, from, low);
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

    /// Reads records. With none it says up to which offset there are none: the partition's end as it was a moment ago.
    pub(super) fn read(&self, wanted: &Wanted<'_>) -> Result<(Vec<Records>, Offset), StoreError> {
        let Some(mut reader) = self.reader_at(wanted)? else { return Ok((Vec::new(), wanted.from)) };
        let collected = match reader.nothing_before < reader.end {
            true => reader.collect(wanted, self.timeout, &self.is_closed),
            false => Ok(()),
        };
        let records = reader.blocks.take();
        if records.first().is_some_and(|first| first.first.0 > reader.position) {
            // Markers of transactions stand there, or retention was faster than a reader that waited.
            self.note_lost(wanted.topics, wanted.topic, wanted.partition, reader.position)?;
        }
        if let Some(last) = records.last() {
            reader.position = last.next().0;
            reader.nothing_before = reader.position;
        }
        reader.is_fresh = false;
        if collected.is_err() {
            // The reader has lost a message. What came before it is good.
            return if records.is_empty() {
                collected.map(|()| (records, wanted.from))
            } else {
                Ok((records, wanted.from))
            };
        }
        let nothing_before = Offset(reader.nothing_before);
        reader.used = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MOST_IDLE {
            idle.push(reader);
        }
        Ok((records, nothing_before))
    }

    /// A reader that stands at the offset; none: that is the partition's end.
    fn reader_at(&self, wanted: &Wanted<'_>) -> Result<Option<Reader>, StoreError> {
        let topic = wanted.topics.topic(wanted.topic);
        let codec = match wanted.topic {
            Topic::Events => Some(wanted.topics.codec(wanted.schema)?),
            Topic::Verdicts => None,
        };
        if let Some(mut reader) = self.idle_at(topic, wanted.partition, wanted.from.0, codec) {
            if reader.nothing_before >= reader.end {
                (_, reader.end) = self.ends(topic, wanted.partition)?;
            }
            return Ok(Some(reader));
        }
        let (low, end) = self.note_lost(wanted.topics, wanted.topic, wanted.partition, wanted.from.0)?;
        let position = wanted.from.0.max(low);
        if position >= end {
            return Ok(None);
        }
        let mut reader = Reader {
            consumer: self.any_consumer()?,
            topic: topic.clone(),
            partition: wanted.partition,
            position,
            end,
            nothing_before: position,
            is_fresh: false,
            blocks: Blocks::new(codec.cloned().map(Reading::new)),
            used: Instant::now(),
        };
        reader.go()?;
        Ok(Some(reader))
    }

    fn idle_at(&self, topic: &str, partition: i32, position: u64, codec: Option<&Arc<Codec>>) -> Option<Reader> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |reader: &Reader| {
            let is_at = reader.position == position && reader.partition == partition && *reader.topic == *topic;
            is_at && reader.blocks.codec().map(Arc::as_ptr) == codec.map(Arc::as_ptr)
        };
        let index = idle.iter().position(is_it)?;
        Some(idle.swap_remove(index))
    }

    /// The consumer that waits longest, if there are many; else a new one.
    fn any_consumer(&self) -> Result<BaseConsumer<Logged>, StoreError> {
        {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() >= MOST_IDLE / 2 {
                let oldest = idle.iter().enumerate().min_by_key(|(_, reader)| reader.used).map(|(index, _)| index);
                if let Some(oldest) = oldest {
                    return Ok(idle.swap_remove(oldest).consumer);
                }
            }
        }
        consumer(&self.settings)
    }

    /// Lets go of readers that nobody has come back to. To be called now and then.
    pub(super) fn sweep(&self) {
        // Its logs wait in its queue.
        let _ = self.asker.poll(Duration::ZERO);
        let old = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let (old, young) = std::mem::take(&mut *idle).into_iter().partition(|reader| reader.used.elapsed() > IDLE);
            *idle = young;
            old
        };
        // Closing a consumer takes a while: outside of the lock.
        drop::<Vec<Reader>>(old);
    }

    /// Ends reads that wait.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn is_between_leaders(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(error.rdkafka_error_code(), Some(Code::NotLeaderForPartition | Code::LeaderNotAvailable))
}

fn consumer(settings: &ClientConfig) -> Result<BaseConsumer<Logged>, StoreError> {
    BaseConsumer::from_config_and_context(settings, Logged).map_err(|error| failed("making a reader", &error))
}
