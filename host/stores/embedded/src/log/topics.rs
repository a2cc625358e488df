//! The topics of streams: the number of partitions, and the end of each.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use assay_core::names::PartitionIndex;
use assay_core::wire::{Reader, put_varint};
use assay_engine::ports::StoreError;
use assay_engine::ports::log::Appended;
use assay_engine::ports::log::{Records, Topic};
use tokio::sync::oneshot;

use super::super::database::{Database, Durability};
use super::super::error::{broken, damaged, failed};
use super::super::keys::{NumberedPartition, StreamId, TopicPartition};
use super::reader::LogReader;

/// The prefix of the keys of streams in the keyspace `meta`.
const PREFIX: &[u8] = b"log/";
/// A stream cannot have more partitions.
const MAX_PARTITIONS: u32 = 4096;

/// The sender of an append's receipt.
pub(super) type AppendAnswer = oneshot::Sender<Result<Vec<Appended>, StoreError>>;

/// An append in flight.
pub(super) struct Append {
    pub(super) stream: Arc<StreamTopics>,
    pub(super) topic: Topic,
    pub(super) batches: Vec<(PartitionIndex, Records)>,
    /// An estimate of its memory.
    pub(super) bytes: usize,
    pub(super) answer: AppendAnswer,
}

/// The topics of one stream.
pub(super) struct StreamTopics {
    name: Arc<str>,
    id: StreamId,
    /// The next offset of each partition: of the events, and of the verdicts.
    ends: [Vec<AtomicU64>; 2],
}

impl StreamTopics {
    fn new(name: &str, id: StreamId, partitions: u32) -> Self {
        let ends = || (0..partitions).map(|_| AtomicU64::new(0)).collect();
        Self { name: name.into(), id, ends: [ends(), ends()] }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn partitions(&self) -> u32 {
        // The vector was made from a u32, so the cast is exact.
        self.ends[0].len() as u32
    }

    pub(super) fn topic_partition(&self, topic: Topic, partition: PartitionIndex) -> TopicPartition {
        TopicPartition { partition: NumberedPartition { stream: self.id, partition: partition.0 }, topic }
    }

    /// The next offset of a partition; none if there is no such partition.
    pub(super) fn end(&self, topic: Topic, partition: PartitionIndex) -> Option<&AtomicU64> {
        let ends = match topic {
            Topic::Events => &self.ends[0],
            Topic::Verdicts => &self.ends[1],
        };
        ends.get(partition.0 as usize)
    }
}

/// All streams of the log.
pub(super) struct Topics {
    streams: RwLock<HashMap<String, Arc<StreamTopics>>>,
}

impl Topics {
    /// Loads all streams. The end of a partition follows from its last block.
    pub(super) fn load(database: &Database, reader: &LogReader) -> Result<Self, StoreError> {
        let mut streams = HashMap::new();
        for row in database.meta.prefix(PREFIX) {
            let (key, value) = row.into_inner().map_err(|error| failed("reading the streams", &error))?;
            let name = String::from_utf8_lossy(&key[PREFIX.len()..]).into_owned();
            let partitions = Reader::new(&value).u32();
            let partitions = partitions.map_err(|error| damaged(format_args!("the log of {name}"), &error))?;
            let id = database.streams.find_or_add(database, &name)?;
            let topics = StreamTopics::new(&name, id, partitions);
            for topic in [Topic::Events, Topic::Verdicts] {
                for partition in (0..partitions).map(PartitionIndex) {
                    let topic_partition = topics.topic_partition(topic, partition);
                    let end = reader.read_stored_end(topic_partition)?;
                    reader.set_start_offset(topic_partition, reader.read_stored_start(topic_partition)?);
                    if let Some(slot) = topics.end(topic, partition) {
                        slot.store(end, Ordering::Release);
                    }
                }
            }
            streams.insert(name, Arc::new(topics));
        }
        Ok(Self { streams: RwLock::new(streams) })
    }

    /// A stream's topics.
    pub(super) fn get(&self, stream: &str) -> Result<Arc<StreamTopics>, StoreError> {
        // A poisoned lock is safe: inserts are the only change.
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        let found = streams.get(stream).cloned();
        found.ok_or_else(|| broken(format!("the log has no stream '{stream}'")))
    }

    /// Every partition of every topic, with the stream's name and the end.
    pub(super) fn all(&self) -> Vec<(TopicPartition, Arc<str>, u64)> {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        let mut all = Vec::new();
        for topics in streams.values() {
            for topic in [Topic::Events, Topic::Verdicts] {
                for partition in (0..topics.partitions()).map(PartitionIndex) {
                    let end = topics.end(topic, partition).map_or(0, |end| end.load(Ordering::Acquire));
                    all.push((topics.topic_partition(topic, partition), topics.name.clone(), end));
                }
            }
        }
        all
    }

    /// Sets the end of a partition after records were written without an append.
    pub(super) fn set_end(&self, stream: &str, topic_partition: TopicPartition, end: u64) {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = streams
            .get(stream)
            .and_then(|topics| topics.end(topic_partition.topic, PartitionIndex(topic_partition.partition.partition)))
        {
            slot.store(end, Ordering::Release);
        }
    }

    /// Creates a stream's topics durably, or does nothing if they exist with as many partitions.
    ///
    /// # Errors
    /// They exist with another number of partitions, the number is out of range, or the store fails.
    pub(super) fn create(&self, database: &Database, stream: &str, partitions: u32) -> Result<(), StoreError> {
        let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(topics) = streams.get(stream) {
            let have = topics.partitions();
            if have == partitions {
                return Ok(());
            }
            return Err(broken(format!(
                "the stream '{stream}' has {have} partitions and cannot be given {partitions}: its entities would \
                 move to other partitions; make a new stream"
            )));
        }
        if !(1..=MAX_PARTITIONS).contains(&partitions) {
            return Err(broken(format!("a stream has 1 to {MAX_PARTITIONS} partitions, not {partitions}")));
        }
        let id = database.streams.find_or_add(database, stream)?;
        let mut value = Vec::new();
        put_varint(&mut value, u64::from(partitions));
        let mut batch = database.batch(1);
        batch.insert(&database.meta, [PREFIX, stream.as_bytes()].concat(), value);
        database.commit(batch, Durability::Power, format_args!("making the log of '{stream}'"))?;
        streams.insert(stream.to_owned(), Arc::new(StreamTopics::new(stream, id, partitions)));
        Ok(())
    }
}

#[cfg(test)]
impl Append {
    /// An empty append.
    pub(super) fn for_tests() -> Self {
        let stream = Arc::new(StreamTopics::new("none", StreamId(0), 1));
        Self { stream, topic: Topic::Events, batches: Vec::new(), bytes: 0, answer: oneshot::channel().0 }
    }
}
