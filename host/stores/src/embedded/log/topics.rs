//! The streams' topics: how many partitions each has, and where each ends.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use assay_core::names::Partition;
use assay_core::wire::{Reader, put_varint};
use assay_engine::ports::StoreError;
use assay_engine::ports::log::Appended;
use assay_engine::ports::log::{Records, Topic};
use tokio::sync::oneshot;

use super::super::database::{Database, Durability};
use super::super::error::{broken, damaged, failed};
use super::super::keys::{PartitionId, StreamId, TopicPartition};
use super::reader::LogReader;

const PREFIX: &[u8] = b"log/";

/// Where an append's answer goes.
pub(super) type Answer = oneshot::Sender<Result<Vec<Appended>, StoreError>>;

/// An append under way.
pub(super) struct Append {
    pub(super) stream: Arc<StreamTopics>,
    pub(super) topic: Topic,
    pub(super) batches: Vec<(Partition, Records)>,
    /// About how much memory it holds.
    pub(super) bytes: usize,
    pub(super) answer: Answer,
}

/// The topics of one stream.
pub(super) struct StreamTopics {
    name: Arc<str>,
    id: StreamId,
    /// Per partition, the offset that the next record gets: of the events, then of the verdicts.
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
        // The number came as a u32.
        self.ends[0].len() as u32
    }

    pub(super) fn place(&self, topic: Topic, partition: Partition) -> TopicPartition {
        TopicPartition { of: PartitionId { stream: self.id, partition: partition.0 }, topic }
    }

    /// Where a partition ends; none if there is no such partition.
    pub(super) fn end(&self, topic: Topic, partition: Partition) -> Option<&AtomicU64> {
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
    /// Finds all streams, and the end of each partition by its last block.
    pub(super) fn load(database: &Database, reader: &LogReader) -> Result<Self, StoreError> {
        let mut streams = HashMap::new();
        for row in database.meta.prefix(PREFIX) {
            let (key, value) = row.into_inner().map_err(|error| failed("reading the streams", &error))?;
            let name = String::from_utf8_lossy(&key[PREFIX.len()..]).into_owned();
            let partitions = Reader::new(&value).u32();
            let partitions = partitions.map_err(|error| damaged(format_args!("the log of {name}"), &error))?;
            let id = database.streams.number(database, &name)?;
            let topics = StreamTopics::new(&name, id, partitions);
            for topic in [Topic::Events, Topic::Verdicts] {
                for partition in (0..partitions).map(Partition) {
                    let place = topics.place(topic, partition);
                    let end = reader.stored_end(place)?;
                    reader.begin_at(place, reader.stored_head(place)?);
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
        // Inserts are the only change, so a map that a panic left behind is whole.
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        let found = streams.get(stream).cloned();
        found.ok_or_else(|| broken(format!("the log has no stream '{stream}'")))
    }

    /// Every partition of every topic, with its stream's name and where it ends.
    pub(super) fn all(&self) -> Vec<(TopicPartition, Arc<str>, u64)> {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        let mut all = Vec::new();
        for topics in streams.values() {
            for topic in [Topic::Events, Topic::Verdicts] {
                for partition in (0..topics.partitions()).map(Partition) {
                    let end = topics.end(topic, partition).map_or(0, |end| end.load(Ordering::Acquire));
                    all.push((topics.place(topic, partition), topics.name.clone(), end));
                }
            }
        }
        all
    }

    /// Sets where a partition ends, after records were added by other means than an append.
    pub(super) fn set_end(&self, stream: &str, place: TopicPartition, end: u64) {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) =
            streams.get(stream).and_then(|topics| topics.end(place.topic, Partition(place.of.partition)))
        {
            slot.store(end, Ordering::Release);
        }
    }

    /// Makes a stream's topics, durably, or does nothing if they are there.
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
        if !(1..=4096).contains(&partitions) {
            return Err(broken(format!("a stream has 1 to 4096 partitions, not {partitions}")));
        }
        let id = database.streams.number(database, stream)?;
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
    /// An append of nothing.
    pub(super) fn for_tests() -> Self {
        let stream = Arc::new(StreamTopics::new("none", StreamId(0), 1));
        Self { stream, topic: Topic::Events, batches: Vec::new(), bytes: 0, answer: oneshot::channel().0 }
    }
}
