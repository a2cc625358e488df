//! The configuration of the Kafka adapters.

use std::collections::BTreeMap;
use std::time::Duration;

/// The configuration of the Kafka adapters.
#[derive(Clone, Debug)]
pub struct Config {
    /// The brokers: `host:port`, several separated by commas.
    pub brokers: String,
    /// The consumer group that assigns partitions to processes. Positions are committed under its name.
    pub group: String,
    /// Settings for every librdkafka client, such as `security.protocol`, `sasl.mechanism` and `ssl.ca.location`. They
    /// override those of the adapters.
    pub properties: BTreeMap<String, String>,
    /// Settings for every new topic, such as `min.insync.replicas`. They override those of the adapters.
    pub topic_properties: BTreeMap<String, String>,
    /// The replication factor of new topics; 3 in production.
    pub replication_factor: i32,
    /// A process that is silent for this long loses its partitions. Brokers allow 6 s to 30 min by default.
    pub session_timeout: Duration,
    /// The time for the engine to save a partition that moves to another process.
    pub revoke_timeout: Duration,
    /// The timeout of an append of events by a caller. Appends of the engine are retried forever.
    pub append_timeout: Duration,
    /// The timeout of all other requests.
    pub request_timeout: Duration,
    /// The time for which events wait for others to share a request; it adds to the latency. With 0 they share one only
    /// while earlier requests are in flight, which sufficed for 670,000 events/s on two cores.
    pub linger: Duration,
    /// An append blocks while about this many bytes of records are in flight.
    pub in_flight_bytes: usize,
    /// The bytes of the newest records that are kept in memory, about, for each topic of each owned partition.
    pub tail_bytes_per_partition: usize,
    /// The mapping of keys to partitions. Producers must use the same one.
    pub partitioner: Partitioner,
    /// The name of the engine's log of verdicts: the topic of the events and this suffix.
    pub verdict_log_suffix: String,
    /// The name of the outbox's topic of verdicts: the topic of the events and this suffix.
    pub verdicts_suffix: String,
    /// The name of the outbox's topic of dead letters: the topic of the events and this suffix.
    pub dead_letters_suffix: String,
}

/// The mapping of keys to partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Partitioner {
    /// The default of Java clients, and `murmur2_random` of librdkafka.
    #[default]
    Murmur2,
    /// The default of librdkafka (`consistent_random`).
    Crc32,
    /// The mapping of the embedded log.
    Xxh3,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".to_owned(),
            group: "assay".to_owned(),
            properties: BTreeMap::new(),
            topic_properties: BTreeMap::new(),
            replication_factor: 1,
            session_timeout: Duration::from_secs(10),
            revoke_timeout: Duration::from_secs(20),
            append_timeout: Duration::from_secs(120),
            request_timeout: Duration::from_secs(10),
            linger: Duration::ZERO,
            in_flight_bytes: 64 << 20,
            tail_bytes_per_partition: 16 << 20,
            partitioner: Partitioner::default(),
            verdict_log_suffix: ".assay-verdicts".to_owned(),
            verdicts_suffix: ".verdicts".to_owned(),
            dead_letters_suffix: ".dead-letters".to_owned(),
        }
    }
}
