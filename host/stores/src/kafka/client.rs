//! What all librdkafka clients have in common: their settings, and where their logs go.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::config::Config;

/// The largest verdict block, and the largest message of the engine's own topics.
pub(super) const MAX_BLOCK_BYTES: usize = 16 << 20;

/// Takes librdkafka's logs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Logged;

impl ClientContext for Logged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        report(&error, reason);
    }
}

impl ConsumerContext for Logged {}

/// Writes a line of librdkafka's to our log. What it calls an error (a broker that does not answer) it mends by itself.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(facility, "Kafka client: {message}");
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => tracing::warn!(facility, "Kafka client: {message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(facility, "Kafka client: {message}"),
        RDKafkaLogLevel::Debug => tracing::debug!(facility, "Kafka client: {message}"),
    }
}

/// How often it is said at most that no broker can be reached: each client says so at each attempt.
const ALL_DOWN_EVERY: Duration = Duration::from_secs(10);

/// Writes an error of a client as a whole to our log.
pub(super) fn report(error: &KafkaError, reason: &str) {
    static ALL_DOWN_SAID: Mutex<Option<Instant>> = Mutex::new(None);
    match error.rdkafka_error_code() {
        // Who asks for the ends of partitions is told of each one here too.
        Some(RDKafkaErrorCode::PartitionEOF) => return,
        Some(RDKafkaErrorCode::AllBrokersDown) => {
            // A time cannot be left half-written by a panic.
            let mut said = ALL_DOWN_SAID.lock().unwrap_or_else(PoisonError::into_inner);
            if said.is_some_and(|said| said.elapsed() < ALL_DOWN_EVERY) {
                return;
            }
            *said = Some(Instant::now());
        }
        _ => {}
    }
    tracing::warn!(%error, "Kafka client: {reason}");
}

/// Settings of any client.
fn common(config: &Config) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &config.brokers)
        .set("client.id", "assay")
        .set("socket.keepalive.enable", "true")
        .set("socket.nagle.disable", "true")
        .set("reconnect.backoff.max.ms", "2000")
        .set_log_level(RDKafkaLogLevel::Info);
    client
}

fn with_properties(mut client: ClientConfig, config: &Config) -> ClientConfig {
    for (name, value) in &config.properties {
        client.set(name, value);
    }
    client
}

/// Settings of the client that makes topics and looks at them.
pub(super) fn admin(config: &Config) -> ClientConfig {
    with_properties(common(config), config)
}

/// Settings of a producer. Idempotent: retries neither double nor reorder. `timeout_ms` 0: tries for ever.
pub(super) fn producer(config: &Config, linger: Duration, timeout_ms: u128) -> ClientConfig {
    let mut client = common(config);
    client
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "lz4")
        .set("linger.ms", linger.as_millis().to_string())
        .set("message.timeout.ms", timeout_ms.to_string())
        .set("message.max.bytes", (MAX_BLOCK_BYTES + (1 << 20)).to_string())
        .set("batch.size", "1000000")
        // We bound what is under way ourselves, by bytes.
        .set("queue.buffering.max.messages", "0")
        .set("queue.buffering.max.kbytes", "2097151");
    with_properties(client, config)
}

/// Settings of a consumer that reads partitions by offset. It belongs to no group; librdkafka wants the name of one.
pub(super) fn reader(config: &Config, queued_bytes: usize, wait_ms: u32) -> ClientConfig {
    let mut client = common(config);
    client
        .set("group.id", &config.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("check.crcs", "true")
        .set("fetch.wait.max.ms", wait_ms.to_string())
        .set("fetch.message.max.bytes", (4 << 20).to_string())
        // The default of a second makes a consumer that is nearly full wait so long (540,000 to 700,000 events/s
        // instead of 126,000).
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.error.backoff.ms", "100")
        .set("queued.max.messages.kbytes", (queued_bytes / 1024).max(1024).to_string());
    with_properties(client, config)
}

/// Settings of the member of the group. It reads nothing.
pub(super) fn member(config: &Config) -> ClientConfig {
    let mut client = common(config);
    let session = config.session_timeout.as_millis();
    // While the engine saves what it must give away, nobody polls for new assignments.
    let poll_interval = (config.revoke_timeout.as_millis() * 3).max(session).max(60_000);
    client
        .set("group.id", &config.group)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", session.to_string())
        .set("heartbeat.interval.ms", (session / 4).min(3000).to_string())
        .set("max.poll.interval.ms", poll_interval.to_string())
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "latest")
        .set("topic.metadata.refresh.interval.ms", "10000")
        // Until its partitions are paused it may fetch a little.
        .set("queued.min.messages", "1")
        .set("fetch.message.max.bytes", "1024");
    with_properties(client, config)
}
