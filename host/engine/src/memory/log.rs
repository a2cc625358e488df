//! The log port: partitions of topics in memory. The way of an append stands in `append`.

use std::collections::BTreeMap;
use std::sync::Arc;

use assay_core::names::{Offset, PartitionIndex};
use assay_core::stream::StreamDef;

use super::client::{Client, Port};
use super::topic::TopicPartition;
use super::world::Write;
use crate::ports::log::{Durability, Kept, Log, Receipt, Records, Topic, Trim, TrimResult, WakeSignal};
use crate::ports::{PartitionId, StoreError};

/// The topics of all streams.
#[derive(Clone, Default)]
pub(super) struct LogTable {
    streams: BTreeMap<Arc<str>, Topics>,
}

/// The topics of one stream, by partition.
#[derive(Clone)]
struct Topics {
    events: Vec<TopicPartition>,
    verdicts: Vec<TopicPartition>,
}

impl LogTable {
    fn create(&mut self, stream: &str, partitions: u32) -> Result<(), StoreError> {
        if let Some(topics) = self.streams.get(stream) {
            let have = topics.events.len();
            if have == partitions as usize {
                return Ok(());
            }
            return Err(Port::Log.broken(format!("'{stream}' has {have} partitions already, not {partitions}")));
        }
        if partitions == 0 {
            return Err(Port::Log.broken(format!("'{stream}' needs at least one partition")));
        }
        let empty = vec![TopicPartition::default(); partitions as usize];
        self.streams.insert(stream.into(), Topics { events: empty.clone(), verdicts: empty });
        Ok(())
    }

    /// One partition of a topic.
    fn find(&self, stream: &str, topic: Topic, partition: PartitionIndex) -> Result<&TopicPartition, StoreError> {
        let topics = self.streams.get(stream).ok_or_else(|| Port::Log.broken(format!("no stream '{stream}'")))?;
        let partitions = match topic {
            Topic::Events => &topics.events,
            Topic::Verdicts => &topics.verdicts,
        };
        let found = partitions.get(partition.0 as usize);
        found.ok_or_else(|| Port::Log.broken(format!("'{stream}' has no partition {partition}")))
    }

    /// One partition of a topic; none if it was not made.
    pub(super) fn get(&self, partition: &PartitionId, topic: Topic) -> Option<&TopicPartition> {
        self.find(&partition.stream, topic, partition.partition).ok()
    }

    /// One partition of a topic, to be changed; none if it was not made.
    pub(super) fn get_mut(&mut self, partition: &PartitionId, topic: Topic) -> Option<&mut TopicPartition> {
        let topics = self.streams.get_mut(&partition.stream)?;
        let partitions = match topic {
            Topic::Events => &mut topics.events,
            Topic::Verdicts => &mut topics.verdicts,
        };
        partitions.get_mut(partition.partition.0 as usize)
    }

    /// Stores records. Returns the offset of the first.
    pub(super) fn append(
        &mut self,
        partition: &PartitionId,
        topic: Topic,
        records: Arc<Records>,
    ) -> Result<Offset, StoreError> {
        let found =
            self.get_mut(partition, topic).ok_or_else(|| Port::Log.broken(format!("no partition {partition}")))?;
        Ok(Offset(found.append(records)))
    }
}

/// Whether the ends are those of records that fill the data.
fn is_well_formed(records: &Records) -> bool {
    let last = records.ends.last().map_or(0, |end| *end as usize);
    last == records.data.len() && records.ends.is_sorted()
}

impl Log for Client {
    fn create(&self, stream: &StreamDef) -> Result<(), StoreError> {
        let (name, partitions) = (stream.stream.clone(), stream.partitions.unwrap_or(0));
        self.execute(Write::new(Port::Log, move |tables, _| tables.log.create(&name, partitions)).synced())
    }

    fn append(
        &self,
        stream: &str,
        topic: Topic,
        batches: Vec<(PartitionIndex, Records)>,
        durability: Durability,
    ) -> Result<Receipt, StoreError> {
        let mut world = self.enter(Port::Log)?;
        for (partition, records) in &batches {
            world.tables.log.find(stream, topic, *partition)?;
            if !is_well_formed(records) {
                let message = format!("records for {stream}/{partition} whose ends do not fit their data");
                return Err(Port::Log.broken(message));
            }
        }
        Ok(world.append(self.process, (stream, topic), batches, durability))
    }

    fn read(
        &self,
        stream: &str,
        topic: Topic,
        partition: PartitionIndex,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Records>, StoreError> {
        let mut world = self.enter(Port::Log)?;
        let rate = world.faults.rates.short_reads;
        let mut max_records = max_records;
        if self.process.is_some() && world.faults.happens(rate) {
            max_records = world.faults.random.index(max_records.min(8));
            if max_records == 0 {
                // As if all were still on their way to this reader: it is woken when they are there.
                world.signals.delay(self.process, topic);
                return Ok(Vec::new());
            }
        }
        Ok(world.tables.log.find(stream, topic, partition)?.read(from.0, max_records, max_bytes))
    }

    fn end(&self, stream: &str, topic: Topic, partition: PartitionIndex) -> Result<Offset, StoreError> {
        self.query(Port::Log, |tables| tables.log.find(stream, topic, partition).map(|found| Offset(found.end())))
    }

    fn kept(&self, stream: &str, topic: Topic, partition: PartitionIndex) -> Result<Kept, StoreError> {
        self.query(Port::Log, |tables| {
            let first = Offset(tables.log.find(stream, topic, partition)?.first());
            Ok(Kept { first, max_age: None, max_bytes: None })
        })
    }

    fn trims(&self) -> bool {
        true
    }

    fn trim(
        &self,
        stream: &str,
        topic: Topic,
        partition: PartitionIndex,
        wish: &Trim,
    ) -> Result<TrimResult, StoreError> {
        let (partition_id, wish) = (PartitionId { stream: stream.into(), partition }, *wish);
        self.execute(Write::new(Port::Log, move |tables, _| {
            let found = tables.log.get_mut(&partition_id, topic);
            Ok(found.ok_or_else(|| Port::Log.broken(format!("no partition {partition_id}")))?.trim(&wish))
        }))
    }

    fn on_append(&self, topic: Topic, signal: Arc<WakeSignal>) {
        self.world.lock().signals.subscribe(self.process, Some(topic), signal);
    }
}
