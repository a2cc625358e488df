//! The log on Kafka.

use std::sync::Arc;

use assay_core::names::{Offset, Partition};
use assay_core::stream::{Format, StreamDef};
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Bell, Durability, Kept, Log, Lost, Receipt, Records, Topic};
use rdkafka::message::OwnedHeaders;
use tokio::sync::oneshot;

use super::acked::Acked;
use super::bells::Bells;
use super::config::Partitioner;
use super::error::broken;
use super::fetch::Fetcher;
use super::format::{Codec, Keys};
use super::history::{History, Wanted};
use super::produce::{Outgoing, Producer};
use super::retention::Retention;
use super::tail::Found;
use super::topics::{StreamTopics, Topics};

/// The log on Kafka.
pub(super) struct KafkaLog {
    pub(super) topics: Arc<Topics>,
    pub(super) history: Arc<History>,
    pub(super) fetcher: Arc<Fetcher>,
    pub(super) bells: Arc<Bells>,
    /// Gives up after a while: who appended over HTTP waits for the answer.
    pub(super) for_callers: Producer,
    /// Tries for ever: what the engine itself appends must come in its order, without a hole.
    pub(super) for_engine: Producer,
    pub(super) partitioner: Partitioner,
}

/// What is needed to write a batch of events.
struct Written<'a> {
    codec: &'a Codec,
    keys: Keys,
    frame: Vec<u8>,
    headers: Option<OwnedHeaders>,
}

impl KafkaLog {
    /// Sends what to append. Answers through the receipt.
    fn send(
        &self,
        of: &Arc<StreamTopics>,
        topic: Topic,
        batches: Vec<(Partition, Records)>,
        durability: Durability,
    ) -> Result<Receipt, StoreError> {
        let codecs = match topic {
            Topic::Verdicts => Vec::new(),
            Topic::Events => {
                let written = |(_, records): &(Partition, Records)| {
                    let codec = of.codec(records.schema)?;
                    Ok(Written { keys: codec.keys(records)?, frame: codec.frame()?, headers: codec.headers(), codec })
                };
                batches.iter().map(written).collect::<Result<Vec<_>, StoreError>>()?
            }
        };
        let counts: Vec<(Partition, usize)> = batches.iter().map(|(at, records)| (*at, records.len())).collect();
        let bytes = batches.iter().map(|(_, records)| records.data.len()).sum();
        let (answer, receipt) = oneshot::channel();
        let batches = Arc::new(batches);
        let acked = Acked {
            of: of.clone(),
            topic,
            batches: batches.clone(),
            ends: self.ends_of_empty(of, topic, &batches)?,
            fetcher: self.fetcher.clone(),
            bells: self.bells.clone(),
        };
        // Whoever does not wait for the receipt does not want it.
        let done = Box::new(move |result: Result<_, _>| drop(answer.send(result.map(|places| acked.note(places)))));
        let producer = match durability {
            Durability::Synced => &self.for_callers,
            Durability::Ordered => &self.for_engine,
        };
        let mut sending = producer.begin(of.topic(topic), &counts, bytes, done)?;
        let mut message = Vec::new();
        for (index, (partition, records)) in batches.iter().enumerate() {
            let (partition, timestamp) = (of.number(*partition)?, Some(records.appended_at));
            for at in 0..records.len() {
                let record = records.get(at).unwrap_or_default();
                let (key, payload, headers) = match codecs.get(index) {
                    None => (None, record, None),
                    Some(Written { codec, keys, frame, headers }) => {
                        codec.write(frame, record, &mut message)?;
                        (Some(keys.get(at)), &*message, headers.clone())
                    }
                };
                sending.send(index, Outgoing { partition, key, payload, timestamp, headers });
            }
        }
        Ok(receipt)
    }

    /// Reads from the tail, if it has what is wanted in the schema that is wanted; else from a broker.
    fn read_as(&self, partition: Partition, wanted: Wanted<'_>) -> Result<Vec<Records>, StoreError> {
        let Wanted { topics, topic, from, max_records, max_bytes, .. } = wanted;
        let mut tail = self.fetcher.tails().get(&topics.stream, topic, partition);
        if topic == Topic::Events
            && let Some(schema) = tail.as_ref().map(|tail| tail.schema())
            && schema != wanted.schema
        {
            if schema < wanted.schema {
                self.fetcher.renew(&topics.stream, partition, topics.codec(wanted.schema)?);
            }
            tail = None;
        }
        if let Some(tail) = &tail
            && let Found::Records(records) = tail.read(from, max_records, max_bytes)?
        {
            return Ok(records);
        }
        let (records, nothing_before) = self.history.read(&wanted)?;
        if let Some(tail) = tail.filter(|_| records.is_empty()) {
            tail.note_nothing(from, nothing_before);
        }
        Ok(records)
    }

    /// Where batches without records would go: the receipt says so.
    fn ends_of_empty(
        &self,
        of: &StreamTopics,
        topic: Topic,
        batches: &[(Partition, Records)],
    ) -> Result<Vec<(usize, Offset)>, StoreError> {
        let empty = batches.iter().enumerate().filter(|(_, (_, records))| records.is_empty());
        empty
            .map(|(index, (partition, _))| {
                let (_, end) = self.history.ends(of.topic(topic), of.number(*partition)?)?;
                Ok((index, Offset(end)))
            })
            .collect()
    }
}

impl Log for KafkaLog {
    fn create(&self, stream: &StreamDef) -> Result<(), StoreError> {
        self.topics.create(stream)
    }

    fn partitions(&self, stream: &StreamDef) -> Result<Option<u32>, StoreError> {
        self.topics.partitions(stream)
    }

    fn partition_of(&self, key: &str, partitions: u32) -> Partition {
        self.partitioner.partition_of(key, partitions)
    }

    /// Every receipt says that all replicas that are in sync have the records. What is `Ordered` is never given up.
    fn append(
        &self,
        stream: &str,
        topic: Topic,
        batches: Vec<(Partition, Records)>,
        durability: Durability,
    ) -> Result<Receipt, StoreError> {
        let of = self.topics.get(stream)?;
        for (partition, records) in &batches {
            of.number(*partition)?;
            if !is_well_formed(records) {
                return Err(broken(format!("records for {stream}/{partition} whose ends do not fit their data")));
            }
        }
        self.send(&of, topic, batches, durability)
    }

    fn can_change_schema(&self, stream: &StreamDef) -> Result<(), String> {
        let format = match stream.format {
            Format::Confluent | Format::SingleObject => return Ok(()),
            Format::Avro => "avro",
            Format::Json => "json",
        };
        Err(format!(
            "messages of the format '{format}' do not say which schema they were written in; make a new stream, with the \
             format 'confluent' or 'single-object'"
        ))
    }

    /// Events come in the newest schema.
    fn read(
        &self,
        stream: &str,
        topic: Topic,
        partition: Partition,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Records>, StoreError> {
        let topics = self.topics.get(stream)?;
        let number = topics.number(partition)?;
        let schema = topics.newest_schema();
        self.read_as(
            partition,
            Wanted { topics: &topics, topic, schema, partition: number, from, max_records, max_bytes },
        )
    }

    fn read_events(
        &self,
        stream: &str,
        partition: Partition,
        from: Offset,
        schema: u32,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Records>, StoreError> {
        let (topics, topic) = (self.topics.get(stream)?, Topic::Events);
        let number = topics.number(partition)?;
        self.read_as(
            partition,
            Wanted { topics: &topics, topic, schema, partition: number, from, max_records, max_bytes },
        )
    }

    fn end(&self, stream: &str, topic: Topic, partition: Partition) -> Result<Offset, StoreError> {
        let of = self.topics.get(stream)?;
        let number = of.number(partition)?;
        let tail = self.fetcher.tails().get(&of.stream, topic, partition);
        if let Some(end) = tail.and_then(|tail| tail.end()) {
            return Ok(Offset(end));
        }
        Ok(Offset(self.history.ends(of.topic(topic), number)?.1))
    }

    fn kept(&self, stream: &str, topic: Topic, partition: Partition) -> Result<Kept, StoreError> {
        let of = self.topics.get(stream)?;
        let number = of.number(partition)?;
        let name = of.topic(topic);
        let Retention { max_age, max_bytes } = self.topics.retention(name)?;
        let (first, _) = self.history.ends(name, number)?;
        Ok(Kept { first: Offset(first), max_age, max_bytes })
    }

    fn lost(&self) -> Vec<Lost> {
        let of = |stream| [Topic::Events, Topic::Verdicts].map(|topic| self.history.lost(&stream, topic));
        self.topics.streams().into_iter().flat_map(of).collect()
    }

    fn on_append(&self, topic: Topic, bell: Arc<Bell>) {
        self.bells.add(topic, bell);
    }
}

fn is_well_formed(records: &Records) -> bool {
    let ends = &records.ends;
    ends.is_sorted() && ends.last().copied().unwrap_or(0) as usize == records.data.len()
}
