//! The log port: appends through the producers, reads from the tails and from brokers.

use std::sync::Arc;

use assay_core::names::{Offset, PartitionIndex};
use assay_core::stream::{Format, StreamDef};
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Durability, Kept, Log, Lost, Receipt, Records, Topic, WakeSignal};
use rdkafka::message::OwnedHeaders;
use tokio::sync::oneshot;

use super::append_signals::AppendSignals;
use super::config::Partitioner;
use super::error::broken;
use super::fetch::Fetcher;
use super::format::{Codec, Keys};
use super::history::{History, ReadRequest};
use super::in_flight::InFlightAppend;
use super::produce::{Producer, RecordToSend};
use super::retention::Retention;
use super::tail::TailRead;
use super::topics::{StreamTopics, Topics};

/// The log on Kafka.
pub(super) struct KafkaLog {
    pub(super) topics: Arc<Topics>,
    pub(super) history: Arc<History>,
    pub(super) fetcher: Arc<Fetcher>,
    pub(super) append_signals: Arc<AppendSignals>,
    /// For appends of callers. It gives up after the append timeout, because a caller waits for the answer.
    pub(super) caller_producer: Producer,
    /// For appends of the engine. It retries forever, because they must be in order and without gaps.
    pub(super) engine_producer: Producer,
    pub(super) partitioner: Partitioner,
}

/// The parts of the messages of a batch of events.
struct EncodedBatch<'a> {
    codec: &'a Codec,
    keys: Keys,
    frame: Vec<u8>,
    headers: Option<OwnedHeaders>,
}

impl KafkaLog {
    /// Sends an append. The receipt gets the offsets or the error.
    fn send_append(
        &self,
        topics: &Arc<StreamTopics>,
        topic: Topic,
        batches: Vec<(PartitionIndex, Records)>,
        durability: Durability,
    ) -> Result<Receipt, StoreError> {
        let codecs = match topic {
            Topic::Verdicts => Vec::new(),
            Topic::Events => {
                let encoded = |(_, records): &(PartitionIndex, Records)| {
                    let codec = topics.codec(records.schema)?;
                    Ok(EncodedBatch {
                        keys: codec.extract_keys(records)?,
                        frame: codec.make_frame()?,
                        headers: codec.make_headers(),
                        codec,
                    })
                };
                batches.iter().map(encoded).collect::<Result<Vec<_>, StoreError>>()?
            }
        };
        let counts: Vec<(PartitionIndex, usize)> = batches.iter().map(|(at, records)| (*at, records.len())).collect();
        let bytes = batches.iter().map(|(_, records)| records.data.len()).sum();
        let (answer, receipt) = oneshot::channel();
        let batches = Arc::new(batches);
        let in_flight = InFlightAppend {
            topics: topics.clone(),
            topic,
            batches: batches.clone(),
            ends: self.find_ends_of_empty_batches(topics, topic, &batches)?,
            fetcher: self.fetcher.clone(),
            append_signals: self.append_signals.clone(),
        };
        // The receiver is gone if the caller does not wait for the receipt.
        let on_acknowledged = Box::new(move |result: Result<_, _>| {
            drop(answer.send(result.map(|places| in_flight.on_acknowledged(places))))
        });
        let producer = match durability {
            Durability::Synced => &self.caller_producer,
            Durability::Ordered => &self.engine_producer,
        };
        let mut sending = producer.begin(topics.topic(topic), &counts, bytes, on_acknowledged)?;
        let mut message = Vec::new();
        for (index, (partition, records)) in batches.iter().enumerate() {
            let (partition, timestamp) = (topics.partition_number(*partition)?, Some(records.appended_at));
            for at in 0..records.len() {
                let record = records.get(at).unwrap_or_default();
                let (key, payload, headers) = match codecs.get(index) {
                    None => (None, record, None),
                    Some(EncodedBatch { codec, keys, frame, headers }) => {
                        codec.write(frame, record, &mut message)?;
                        (Some(keys.get(at)), &*message, headers.clone())
                    }
                };
                sending.send(index, RecordToSend { partition, key, payload, timestamp, headers });
            }
        }
        Ok(receipt)
    }

    /// Reads from the tail if it has the records in the requested schema, else from a broker.
    fn read_request(&self, partition: PartitionIndex, request: ReadRequest<'_>) -> Result<Vec<Records>, StoreError> {
        let ReadRequest { topics, topic, from, max_records, max_bytes, .. } = request;
        let mut tail = self.fetcher.tails().get(&topics.stream, topic, partition);
        if topic == Topic::Events
            && let Some(schema) = tail.as_ref().map(|tail| tail.schema())
            && schema != request.schema
        {
            if schema < request.schema {
                self.fetcher.switch_schema(&topics.stream, partition, topics.codec(request.schema)?);
            }
            tail = None;
        }
        if let Some(tail) = &tail
            && let TailRead::Records(records) = tail.read(from, max_records, max_bytes)?
        {
            return Ok(records);
        }
        let (records, nothing_before) = self.history.read(&request)?;
        if let Some(tail) = tail.filter(|_| records.is_empty()) {
            tail.note_empty_range(from, nothing_before);
        }
        Ok(records)
    }

    /// The ends of the partitions of empty batches, by index of the batch: the receipt contains them.
    fn find_ends_of_empty_batches(
        &self,
        topics: &StreamTopics,
        topic: Topic,
        batches: &[(PartitionIndex, Records)],
    ) -> Result<Vec<(usize, Offset)>, StoreError> {
        let empty = batches.iter().enumerate().filter(|(_, (_, records))| records.is_empty());
        empty
            .map(|(index, (partition, _))| {
                let (_, end) = self.history.read_ends(topics.topic(topic), topics.partition_number(*partition)?)?;
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

    fn partition_of(&self, key: &str, partitions: u32) -> PartitionIndex {
        self.partitioner.partition_of(key, partitions)
    }

    /// A receipt means that all in-sync replicas have the records. `Ordered` appends are retried forever.
    fn append(
        &self,
        stream: &str,
        topic: Topic,
        batches: Vec<(PartitionIndex, Records)>,
        durability: Durability,
    ) -> Result<Receipt, StoreError> {
        let topics = self.topics.get(stream)?;
        for (partition, records) in &batches {
            topics.partition_number(*partition)?;
            if !is_well_formed(records) {
                return Err(broken(format!("records for {stream}/{partition} whose ends do not fit their data")));
            }
        }
        self.send_append(&topics, topic, batches, durability)
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

    /// Events are decoded to the newest schema.
    fn read(
        &self,
        stream: &str,
        topic: Topic,
        partition: PartitionIndex,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Records>, StoreError> {
        let topics = self.topics.get(stream)?;
        let number = topics.partition_number(partition)?;
        let schema = topics.newest_schema();
        self.read_request(
            partition,
            ReadRequest { topics: &topics, topic, schema, partition: number, from, max_records, max_bytes },
        )
    }

    fn read_events(
        &self,
        stream: &str,
        partition: PartitionIndex,
        from: Offset,
        schema: u32,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Records>, StoreError> {
        let (topics, topic) = (self.topics.get(stream)?, Topic::Events);
        let number = topics.partition_number(partition)?;
        self.read_request(
            partition,
            ReadRequest { topics: &topics, topic, schema, partition: number, from, max_records, max_bytes },
        )
    }

    fn end(&self, stream: &str, topic: Topic, partition: PartitionIndex) -> Result<Offset, StoreError> {
        let topics = self.topics.get(stream)?;
        let number = topics.partition_number(partition)?;
        let tail = self.fetcher.tails().get(&topics.stream, topic, partition);
        if let Some(end) = tail.and_then(|tail| tail.end()) {
            return Ok(Offset(end));
        }
        Ok(Offset(self.history.read_ends(topics.topic(topic), number)?.1))
    }

    fn kept(&self, stream: &str, topic: Topic, partition: PartitionIndex) -> Result<Kept, StoreError> {
        let topics = self.topics.get(stream)?;
        let number = topics.partition_number(partition)?;
        let name = topics.topic(topic);
        let Retention { max_age, max_bytes } = self.topics.retention(name)?;
        let (first, _) = self.history.read_ends(name, number)?;
        Ok(Kept { first: Offset(first), max_age, max_bytes })
    }

    fn lost(&self) -> Vec<Lost> {
        let lost_of = |stream| [Topic::Events, Topic::Verdicts].map(|topic| self.history.lost(&stream, topic));
        self.topics.streams().into_iter().flat_map(lost_of).collect()
    }

    fn on_append(&self, topic: Topic, wake: Arc<WakeSignal>) {
        self.append_signals.subscribe(topic, wake);
    }
}

fn is_well_formed(records: &Records) -> bool {
    let ends = &records.ends;
    ends.is_sorted() && ends.last().copied().unwrap_or(0) as usize == records.data.len()
}
