//! The log on Kafka.

use std::sync::Arc;

use assay_core::names::{Offset, Partition};
use assay_core::stream::StreamDef;
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Appended, Bell, Durability, Log, Offsets, Receipt, Records, Topic};
use tokio::sync::oneshot;

use super::bells::Bells;
use super::config::Partitioner;
use super::error::broken;
use super::fetch::Fetcher;
use super::history::{History, Wanted};
use super::produce::{Outgoing, Producer};
use super::tail::Found;
use super::topics::{StreamTopics, Topics};

/// The log on Kafka.
pub(super) struct KafkaLog {
    pub(super) topics: Arc<Topics>,
    pub(super) history: Arc<History>,
    pub(super) fetcher: Arc<Fetcher>,
    pub(super) bells: Arc<Bells>,
    /// Gives up after a while: who appended over HTTP waits for the answer.
    pub(super) events: Producer,
    /// Tries for ever.
    pub(super) verdicts: Producer,
    pub(super) partitioner: Partitioner,
}

impl KafkaLog {
    /// Sends what to append. Answers through the receipt.
    fn send(
        &self,
        of: &Arc<StreamTopics>,
        topic: Topic,
        batches: Vec<(Partition, Records)>,
    ) -> Result<Receipt, StoreError> {
        let (frame, keys) = match topic {
            Topic::Verdicts => (Vec::new(), None),
            Topic::Events => {
                let keys: Result<Vec<_>, _> = batches.iter().map(|(_, records)| of.codec.keys(records)).collect();
                (of.codec.frame()?, Some(keys?))
            }
        };
        let counts: Vec<(Partition, usize)> = batches.iter().map(|(at, records)| (*at, records.len())).collect();
        let bytes = batches.iter().map(|(_, records)| records.data.len()).sum();
        let (answer, receipt) = oneshot::channel();
        let batches = Arc::new(batches);
        let done = self.done(of, topic, batches.clone(), answer)?;
        let producer = match topic {
            Topic::Events => &self.events,
            Topic::Verdicts => &self.verdicts,
        };
        let mut sending = producer.begin(of.topic(topic), &counts, bytes, done)?;
        let mut message = Vec::new();
        for (index, (partition, records)) in batches.iter().enumerate() {
            let (partition, timestamp) = (of.number(*partition)?, Some(records.appended_at));
            for at in 0..records.len() {
                let record = records.get(at).unwrap_or_default();
                let key = keys.as_ref().map(|keys| keys[index].get(at));
                let payload = match topic {
                    Topic::Verdicts => record,
                    Topic::Events => {
                        of.codec.write(&frame, record, &mut message)?;
                        &message
                    }
                };
                sending.send(index, Outgoing { partition, key, payload, timestamp, headers: None });
            }
        }
        Ok(receipt)
    }

    /// What happens when everything is appended.
    fn done(
        &self,
        of: &Arc<StreamTopics>,
        topic: Topic,
        batches: Arc<Vec<(Partition, Records)>>,
        answer: oneshot::Sender<Result<Vec<Appended>, StoreError>>,
    ) -> Result<super::produce::Done, StoreError> {
        let mut ends = Vec::new();
        for (index, (partition, _)) in batches.iter().enumerate().filter(|(_, (_, records))| records.is_empty()) {
            // Nothing goes there, but the receipt says where it would have.
            ends.push((index, self.history.ends(of.topic(topic), of.number(*partition)?)?.1));
        }
        let (of, fetcher, bells) = (of.clone(), self.fetcher.clone(), self.bells.clone());
        Ok(Box::new(move |result: Result<Vec<Appended>, StoreError>| {
            let result = result.map(|mut appended| {
                ends.into_iter().for_each(|(index, end)| appended[index].offsets = Offsets::From(Offset(end)));
                let own = match topic {
                    Topic::Verdicts => Arc::try_unwrap(batches).unwrap_or_else(|batches| (*batches).clone()),
                    Topic::Events => Vec::new(),
                };
                let mut rings = topic == Topic::Verdicts;
                for ((partition, records), appended) in own.into_iter().zip(&appended) {
                    if let Some(tail) = fetcher.tails().get(&of.stream, topic, partition) {
                        at_their_offsets(records, &appended.offsets).for_each(|records| tail.push_own(records));
                    }
                }
                if topic == Topic::Events {
                    // Where this process has the partition, the bell rings when the events have come back.
                    let is_foreign = |at: &Appended| fetcher.tails().get(&of.stream, topic, at.partition).is_none();
                    rings = appended.iter().any(is_foreign);
                }
                if rings {
                    bells.ring(topic);
                }
                appended
            });
            // Whoever does not wait for the receipt does not want it.
            let _ = answer.send(result);
        }))
    }
}

/// Records with the offsets that they got: one block, or one each.
fn at_their_offsets(records: Records, offsets: &Offsets) -> impl Iterator<Item = Records> {
    let blocks: Vec<Records> = match offsets {
        _ if records.is_empty() => Vec::new(),
        Offsets::From(first) => vec![Records { first: *first, ..records }],
        Offsets::Each(offsets) => (0..records.len())
            .zip(offsets)
            .map(|(index, offset)| {
                let mut one = Records { first: *offset, appended_at: records.appended_at, ..Records::default() };
                one.push(records.get(index).unwrap_or_default());
                one
            })
            .collect(),
    };
    blocks.into_iter()
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

    /// Every receipt says that all replicas that are in sync have the records: `durability` makes no difference.
    fn append(
        &self,
        stream: &str,
        topic: Topic,
        batches: Vec<(Partition, Records)>,
        _durability: Durability,
    ) -> Result<Receipt, StoreError> {
        let of = self.topics.get(stream)?;
        for (partition, records) in &batches {
            of.number(*partition)?;
            if !is_well_formed(records) {
                return Err(broken(format!("records for {stream}/{partition} whose ends do not fit their data")));
            }
        }
        self.send(&of, topic, batches)
    }

    fn read(
        &self,
        stream: &str,
        topic: Topic,
        partition: Partition,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Records>, StoreError> {
        let of = self.topics.get(stream)?;
        let number = of.number(partition)?;
        if let Some(tail) = self.fetcher.tails().get(&of.stream, topic, partition)
            && let Found::Records(records) = tail.read(from, max_records, max_bytes)?
        {
            return Ok(records);
        }
        self.history.read(&Wanted { topics: &of, topic, partition: number, from, max_records, max_bytes })
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

    fn on_append(&self, topic: Topic, bell: Arc<Bell>) {
        self.bells.add(topic, bell);
    }
}

fn is_well_formed(records: &Records) -> bool {
    let ends = &records.ends;
    ends.is_sorted() && ends.last().copied().unwrap_or(0) as usize == records.data.len()
}
