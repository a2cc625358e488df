//! The streams that this process knows, and their topics of events, verdicts and published records.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use assay_core::names::PartitionIndex;
use assay_core::stream::StreamDef;
use assay_engine::ports::log::Topic;
use assay_engine::ports::{PartitionId, StoreError};

use super::admin::{Admin, TopicSpec};
use super::client::MAX_BLOCK_BYTES;
use super::config::Config;
use super::error::{broken, unavailable};
use super::format::Codec;
use super::retention::{Retention, Retentions, topic_settings};
use super::schemas::Schemas;

/// `max.message.bytes` of topics of events: the largest event with its frame, key and headers.
const MAX_EVENT_MESSAGE_BYTES: usize = 2 << 20;
/// A stream cannot have more partitions.
const MAX_PARTITIONS: u32 = 4096;

/// The topics of one stream.
pub(super) struct StreamTopics {
    /// The definition of the stream.
    def: StreamDef,
    /// The stream's name.
    pub(super) stream: Arc<str>,
    pub(super) partitions: u32,
    /// The topic of the events.
    pub(super) events: Arc<str>,
    /// The topic of the engine's verdict blocks.
    pub(super) verdict_log: Arc<str>,
    /// The codecs by number of the schema.
    codecs: Vec<Arc<Codec>>,
}

impl StreamTopics {
    /// The name of a topic.
    pub(super) fn topic(&self, topic: Topic) -> &Arc<str> {
        match topic {
            Topic::Events => &self.events,
            Topic::Verdicts => &self.verdict_log,
        }
    }

    /// The codec of a schema.
    pub(super) fn codec(&self, schema: u32) -> Result<&Arc<Codec>, StoreError> {
        let (stream, known) = (&self.stream, self.codecs.len());
        let codec = self.codecs.get(schema as usize);
        codec.ok_or_else(|| broken(format!("'{stream}' has {known} schemas here, and no number {schema}")))
    }

    /// The number of the newest schema.
    pub(super) fn newest_schema(&self) -> u32 {
        // The number of schemas is far below 2^32.
        self.codecs.len().saturating_sub(1) as u32
    }

    /// Returns whether a definition has the same topics and the same codecs.
    fn is_unchanged(&self, def: &StreamDef) -> bool {
        let parts = |def: &StreamDef| (def.partitions, def.format, events_topic(def), def.key.clone());
        parts(&self.def) == parts(def) && (&self.def.schema, &self.def.earlier) == (&def.schema, &def.earlier)
    }

    /// The number of a partition for librdkafka.
    ///
    /// # Errors
    /// The stream has no such partition.
    pub(super) fn partition_number(&self, partition: PartitionIndex) -> Result<i32, StoreError> {
        if partition.0 >= self.partitions {
            let (stream, last) = (&self.stream, self.partitions - 1);
            return Err(broken(format!("'{stream}' has the partitions 0 to {last}, not {partition}")));
        }
        partition_number(partition)
    }
}

/// The number of a partition for librdkafka.
pub(super) fn partition_number(partition: PartitionIndex) -> Result<i32, StoreError> {
    i32::try_from(partition.0).map_err(|_| broken(format!("there is no partition {partition}")))
}

/// All streams.
pub(super) struct Topics {
    admin: Admin,
    config: Config,
    schemas: Arc<dyn Schemas>,
    streams: RwLock<HashMap<String, Arc<StreamTopics>>>,
    retentions: Retentions,
}

impl Topics {
    pub(super) fn new(admin: Admin, config: Config, schemas: Arc<dyn Schemas>) -> Self {
        Self { admin, config, schemas, streams: RwLock::default(), retentions: Retentions::default() }
    }

    /// A stream's topics.
    pub(super) fn get(&self, stream: &str) -> Result<Arc<StreamTopics>, StoreError> {
        // A poisoned lock is safe: entries are inserted whole.
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        let found = streams.get(stream).cloned();
        found.ok_or_else(|| broken(format!("the log has no stream '{stream}'; was it created?")))
    }

    /// The names of all streams.
    pub(super) fn streams(&self) -> Vec<Arc<str>> {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        streams.values().map(|topics| topics.stream.clone()).collect()
    }

    /// The retention of a topic, at most a minute old.
    pub(super) fn retention(&self, topic: &Arc<str>) -> Result<Retention, StoreError> {
        self.retentions.get(topic, &self.admin)
    }

    /// The partition of a stream whose events are in a topic's partition; none if the topic belongs to no stream.
    pub(super) fn find_partition_of_events(&self, topic: &str, partition: i32) -> Option<PartitionId> {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        let found = streams.values().find(|topics| &*topics.events == topic)?;
        let partition = u32::try_from(partition).ok()?;
        if partition >= found.partitions {
            tracing::error!(
                topic,
                partition,
                expected = found.partitions,
                "the topic has more partitions than its stream: events in it are not scored. Keys have moved to other \
                 partitions; make a new stream over a new topic"
            );
            return None;
        }
        Some(PartitionId { stream: found.stream.clone(), partition: PartitionIndex(partition) })
    }

    /// The number of partitions of a stream's topic of events; none if the topic does not exist.
    pub(super) fn partitions(&self, def: &StreamDef) -> Result<Option<u32>, StoreError> {
        self.admin.find_partitions(&events_topic(def))
    }

    /// Creates a stream's topics unless they exist.
    ///
    /// # Errors
    /// They exist with another number of partitions, the topic belongs to another stream, or the cluster fails.
    pub(super) fn create(&self, def: &StreamDef) -> Result<(), StoreError> {
        let stream = &def.stream;
        let partitions = def.partitions.unwrap_or(0);
        if !(1..=MAX_PARTITIONS).contains(&partitions) {
            return Err(broken(format!("a stream has 1 to {MAX_PARTITIONS} partitions, not {partitions}")));
        }
        if self.get(stream).is_ok_and(|known| known.is_unchanged(def)) {
            return Ok(());
        }
        let events = events_topic(def);
        self.check_unused(stream, &events)?;
        let size = MAX_EVENT_MESSAGE_BYTES.to_string();
        let [age, bytes] = topic_settings(def.retention.events, partitions);
        let limits = [("retention.ms", age.as_deref()), ("retention.bytes", bytes.as_deref())];
        let limits = limits.into_iter().filter_map(|(name, value)| Some((name, value?)));
        // The broker's append time instead of the producer's time: `max_ahead` is measured against it, and the topic's
        // retention counts by it.
        let own = [("max.message.bytes", &*size), ("message.timestamp.type", "LogAppendTime")];
        let settings: Vec<(&str, &str)> = own.into_iter().chain(limits).collect();
        self.ensure_topic(stream, &events, partitions, &settings)?;
        let verdict_log = format!("{events}{}", self.config.verdict_log_suffix);
        let size = (MAX_BLOCK_BYTES + (1 << 20)).to_string();
        let [age, bytes] = topic_settings(def.retention.verdicts, partitions);
        // Without a limit of its own the log of verdicts keeps records as long as the events are kept.
        let [events_retention] = self.admin.read_settings(&events, ["retention.ms"])?;
        let age = age.or(events_retention).unwrap_or_else(|| "-1".to_owned());
        let bytes = bytes.unwrap_or_else(|| "-1".to_owned());
        let settings = [("max.message.bytes", &*size), ("retention.ms", &*age), ("retention.bytes", &*bytes)];
        self.ensure_topic(stream, &verdict_log, partitions, &settings)?;
        let codecs = Codec::build_all(def, &events, &self.schemas)?;
        let topics = StreamTopics {
            def: def.clone(),
            stream: Arc::from(stream.as_str()),
            partitions,
            events: Arc::from(events),
            verdict_log: Arc::from(verdict_log),
            codecs,
        };
        self.streams.write().unwrap_or_else(PoisonError::into_inner).insert(stream.clone(), Arc::new(topics));
        Ok(())
    }

    /// Creates the outbox's topics of a stream. Returns their names: of verdicts and of dead letters.
    pub(super) fn create_outbox(&self, topics: &StreamTopics) -> Result<(Arc<str>, Arc<str>), StoreError> {
        let names = [&self.config.verdicts_suffix, &self.config.dead_letters_suffix]
            .map(|suffix| Arc::from(format!("{}{suffix}", topics.events)));
        for name in &names {
            self.ensure_topic(&topics.stream, name, topics.partitions, &[])?;
        }
        let [verdicts, dead_letters] = names;
        Ok((verdicts, dead_letters))
    }

    fn check_unused(&self, stream: &str, events: &str) -> Result<(), StoreError> {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        match streams.values().find(|topics| &*topics.events == events && &*topics.stream != stream) {
            Some(other) => {
                let other = &other.stream;
                Err(broken(format!("the topic '{events}' belongs to the stream '{other}': give '{stream}' its own")))
            }
            None => Ok(()),
        }
    }

    fn ensure_topic(
        &self,
        stream: &str,
        topic: &str,
        partitions: u32,
        settings: &[(&str, &str)],
    ) -> Result<(), StoreError> {
        let have = match self.admin.find_partitions(topic)? {
            Some(0) => self.admin.wait_until_shown(topic, partitions)?,
            Some(have) => have,
            None => self.admin.create(&TopicSpec { topic, partitions, settings }, &self.config)?,
        };
        if have == partitions {
            return Ok(());
        }
        if have == 0 {
            return Err(unavailable(format!("the topic '{topic}' was made, but brokers do not show it yet")));
        }
        Err(broken(format!(
            "the topic '{topic}' of the stream '{stream}' has {have} partitions, not {partitions}: its entities would \
             move to other partitions; make a new stream over a new topic, or say 'partitions: {have}'"
        )))
    }
}

fn events_topic(def: &StreamDef) -> String {
    def.topic.clone().unwrap_or_else(|| def.stream.clone())
}
