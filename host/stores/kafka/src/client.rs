//! The settings of all librdkafka clients, and the forwarding of their logs.

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

/// Forwards librdkafka's logs to ours.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LoggingContext;

impl ClientContext for LoggingContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ConsumerContext for LoggingContext {}

/// Forwards a log line of librdkafka. Its errors, such as an unreachable broker, are warnings here: it retries by itself.
pub(super) fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(facility, "Kafka client: {message}");
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => tracing::warn!(facility, "Kafka client: {message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(facility, "Kafka client: {message}"),
        RDKafkaLogLevel::Debug => tracing::debug!(facility, "Kafka client: {message}"),
    }
}

/// The shortest interval between two logs that no broker is reachable. Each client reports this at each attempt.
const ALL_DOWN_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Logs an error of a whole client.
pub(super) fn log_error(error: &KafkaError, reason: &str) {
    static ALL_DOWN_LOGGED_AT: Mutex<Option<Instant>> = Mutex::new(None);
    match error.rdkafka_error_code() {
        // Consumers with `enable.partition.eof` also report each end of a partition here.
        Some(RDKafkaErrorCode::PartitionEOF) => return,
        Some(RDKafkaErrorCode::AllBrokersDown) => {
            // A poisoned lock is safe: it guards a single time.
            let mut logged_at = ALL_DOWN_LOGGED_AT.lock().unwrap_or_else(PoisonError::into_inner);
            if logged_at.is_some_and(|logged_at| logged_at.elapsed() < ALL_DOWN_LOG_INTERVAL) {
                return;
            }
            *logged_at = Some(Instant::now());
        }
        _ => {}
    }
    tracing::warn!(%error, "Kafka client: {reason}");
}

/// Settings of every client.
fn common_settings(config: &Config) -> ClientConfig {
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

/// Settings of the client that creates and inspects topics.
pub(super) fn admin_settings(config: &Config) -> ClientConfig {
    with_properties(common_settings(config), config)
}

/// Settings of a producer. It is idempotent, so retries neither duplicate nor reorder records. With a `timeout_ms` of 0 it
/// retries forever.
pub(super) fn producer_settings(config: &Config, linger: Duration, timeout_ms: u128) -> ClientConfig {
    let mut client = common_settings(config);
    client
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "lz4")
        .set("linger.ms", linger.as_millis().to_string())
        .set("message.timeout.ms", timeout_ms.to_string())
        .set("message.max.bytes", (MAX_BLOCK_BYTES + (1 << 20)).to_string())
        .set("batch.size", "1000000")
        // `InFlightBytes` bounds the records in flight.
        .set("queue.buffering.max.messages", "0")
        .set("queue.buffering.max.kbytes", "2097151");
    with_properties(client, config)
}

/// Settings of a consumer that reads partitions by offset. It joins no group; librdkafka demands a group's name all the
/// same. `wait_ms` is the longest time that a broker holds back an empty answer.
pub(super) fn reader_settings(config: &Config, queued_bytes: usize, wait_ms: u32) -> ClientConfig {
    let mut client = common_settings(config);
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
        // The default of a second pauses a consumer whose queue is nearly full for that long: measured 126,000 events/s
        // with it, and 540,000 to 700,000 events/s with 5 ms.
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.error.backoff.ms", "100")
        .set("queued.max.messages.kbytes", (queued_bytes / 1024).max(1024).to_string());
    with_properties(client, config)
}

/// Settings of the member of the group. It consumes no messages.
pub(super) fn member_settings(config: &Config) -> ClientConfig {
    let mut client = common_settings(config);
    let session = config.session_timeout.as_millis();
    // During a revoke the engine saves its partitions and the consumer is not polled, so the interval is longer than that.
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
        // Before its partitions are paused it may fetch messages; these bounds keep them few.
        .set("queued.min.messages", "1")
        .set("fetch.message.max.bytes", "1024");
    with_properties(client, config)
}
