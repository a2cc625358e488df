//! How the Kafka adapters are set up. The config file fills this in.

use std::collections::BTreeMap;
use std::time::Duration;

/// How the Kafka adapters are set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the cluster is: `host:port`, several separated by commas.
    pub brokers: String,
    /// The consumer group that shares the partitions out among processes. Positions are committed under its name.
    pub group: String,
    /// Handed to every librdkafka client as they are: `security.protocol`, `sasl.mechanism`, `ssl.ca.location`...
    /// They win over what the adapters set themselves.
    pub properties: BTreeMap<String, String>,
    /// Handed to every topic that is made, such as `min.insync.replicas`.
    pub topic_properties: BTreeMap<String, String>,
    /// How many copies of each partition a topic that is made has. 3 in production.
    pub replication_factor: i32,
    /// After how long without a sign of life a process loses its partitions. Brokers allow 6 s to 30 min by default.
    pub session_timeout: Duration,
    /// How long the engine may take to save a partition that goes to another process.
    pub revoke_timeout: Duration,
    /// How long an append of events may take before it is given up. What the engine itself appends is never given up.
    pub append_timeout: Duration,
    /// How long to wait for a broker's answer to anything else.
    pub request_timeout: Duration,
    /// How long events wait for others to share a request. Each millisecond is added to the latency; with 0 they share
    /// one only while earlier requests are on their way, which was fast enough for 670,000 events/s on two cores.
    pub linger: Duration,
    /// Bytes of records on their way to the brokers, about; an append waits while there are more.
    pub in_flight_bytes: usize,
    /// Bytes of records, about, that are kept in memory of each topic's partition that this process has.
    pub tail_bytes_per_partition: usize,
    /// How keys are mapped to partitions. Producers must use the same.
    pub partitioner: Partitioner,
    /// The engine's own log of verdicts is the events' topic and this.
    pub verdict_log_suffix: String,
    /// The outbox's verdicts are in the events' topic and this.
    pub verdicts_suffix: String,
    /// The outbox's dead letters are in the events' topic and this.
    pub dead_letters_suffix: String,
}

/// How keys are mapped to partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Partitioner {
    /// The default of Java clients, and `murmur2_random` of librdkafka.
    #[default]
    Murmur2,
    /// The default of librdkafka (`consistent_random`).
    Crc32,
    /// What the embedded log uses.
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
