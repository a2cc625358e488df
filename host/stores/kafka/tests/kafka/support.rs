//! The configuration of the test cluster, unique topics, and a schema registry in memory.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use assay_core::names::{Offset, PartitionIndex};
use assay_core::stream::{Format, StreamDef};
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Durability, Kept, Log, Lost, Receipt, Records, Topic, WakeSignal};
use assay_kafka::{Config, Kafka, Schemas};

/// The brokers of the test cluster.
pub(crate) fn brokers() -> String {
    std::env::var("ASSAY_TEST_KAFKA").expect("ASSAY_TEST_KAFKA names no Kafka: run `cargo xtask test --servers`")
}

/// A name that is unique among tests and runs.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("t{}-{}-{}", now.as_millis(), std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The configuration of a group.
pub(crate) fn config(group: &str) -> Config {
    Config {
        brokers: brokers(),
        group: group.to_owned(),
        // The contract's records are from 2023, and are read back with that time; the default retention would delete
        // them.
        topic_properties: [("retention.ms", "-1"), ("message.timestamp.type", "CreateTime")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        session_timeout: Duration::from_secs(6),
        append_timeout: Duration::from_secs(30),
        ..Config::default()
    }
}

/// A schema registry in memory, which can be switched off.
#[derive(Default)]
pub(crate) struct MemoryRegistry {
    schemas: Mutex<Vec<(String, String)>>,
    pub(crate) is_down: AtomicBool,
}

impl MemoryRegistry {
    fn check(&self) -> Result<(), StoreError> {
        match self.is_down.load(Ordering::SeqCst) {
            true => Err(StoreError::Unavailable { store: "schema registry", message: "switched off".to_owned() }),
            false => Ok(()),
        }
    }

    /// The registered subjects and schemas.
    pub(crate) fn registered(&self) -> Vec<(String, String)> {
        self.schemas.lock().unwrap().clone()
    }
}

impl Schemas for MemoryRegistry {
    fn by_id(&self, id: i32) -> Result<Option<String>, StoreError> {
        self.check()?;
        Ok(self.schemas.lock().unwrap().get(id as usize).map(|(_, schema)| schema.clone()))
    }

    fn register(&self, subject: &str, schema: &str) -> Result<i32, StoreError> {
        self.check()?;
        let mut schemas = self.schemas.lock().unwrap();
        let found = schemas.iter().position(|(_, known)| known == schema);
        let id = found.unwrap_or(schemas.len());
        if found.is_none() {
            schemas.push((subject.to_owned(), schema.to_owned()));
        }
        Ok(id as i32)
    }
}

/// A log whose topics have a prefix of their own.
pub(crate) struct PrefixedLog {
    _kafka: Kafka,
    log: Arc<dyn Log>,
    prefix: String,
    format: Format,
}

impl PrefixedLog {
    pub(crate) fn open(prefix: &str, registry: Arc<MemoryRegistry>) -> Self {
        let kafka = Kafka::open(config(prefix), registry).unwrap();
        Self { log: kafka.log(), _kafka: kafka, prefix: prefix.to_owned(), format: Format::Confluent }
    }

    fn def(&self, stream: &StreamDef) -> StreamDef {
        let topic = Some(format!("{}.{}", self.prefix, stream.stream));
        StreamDef { topic, format: self.format, ..stream.clone() }
    }
}

impl Log for PrefixedLog {
    fn create(&self, stream: &StreamDef) -> Result<(), StoreError> {
        self.log.create(&self.def(stream))
    }

    fn partitions(&self, stream: &StreamDef) -> Result<Option<u32>, StoreError> {
        self.log.partitions(&self.def(stream))
    }

    fn partition_of(&self, key: &str, partitions: u32) -> PartitionIndex {
        self.log.partition_of(key, partitions)
    }

    fn append(
        &self,
        stream: &str,
        topic: Topic,
        batches: Vec<(PartitionIndex, Records)>,
        durability: Durability,
    ) -> Result<Receipt, StoreError> {
        self.log.append(stream, topic, batches, durability)
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
        self.log.read(stream, topic, partition, from, max_records, max_bytes)
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
        self.log.read_events(stream, partition, from, schema, max_records, max_bytes)
    }

    fn end(&self, stream: &str, topic: Topic, partition: PartitionIndex) -> Result<Offset, StoreError> {
        self.log.end(stream, topic, partition)
    }

    fn kept(&self, stream: &str, topic: Topic, partition: PartitionIndex) -> Result<Kept, StoreError> {
        self.log.kept(stream, topic, partition)
    }

    fn lost(&self) -> Vec<Lost> {
        self.log.lost()
    }

    fn on_append(&self, topic: Topic, wake: Arc<WakeSignal>) {
        self.log.on_append(topic, wake);
    }
}

/// Waits until a condition holds.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "timeout while waiting until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
