//! The baseline: librdkafka alone. A loop that reads messages and writes one for each, like the simplest service on
//! Kafka.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::events::PARTITIONS;
use crate::topics::brokers;
use crate::watch::{Clock, Run};

/// The settings of an idempotent producer, with Assay's compression and librdkafka's default linger.
pub(crate) fn producer_settings() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers()).set("enable.idempotence", "true").set("acks", "all");
    config.set("compression.type", "lz4").set("batch.size", "1000000").set("queue.buffering.max.messages", "0");
    config
}

/// A producer with these settings.
pub(crate) fn producer() -> BaseProducer {
    producer_settings().create().unwrap()
}

/// Waits until all messages are acknowledged.
pub(crate) fn wait_for_acks(producer: &BaseProducer) {
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::from_millis(1));
    }
}

/// A consumer without partitions.
pub(crate) fn idle_consumer() -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers()).set("group.id", "bench").set("enable.auto.commit", "false");
    // As in Assay. With the default, a consumer whose queue is nearly full waits for a second.
    config.set("fetch.queue.backoff.ms", "5");
    config.create().unwrap()
}

/// Assigns all partitions of a topic to a consumer, each from an offset on.
pub(crate) fn assign(consumer: &BaseConsumer, topic: &str, from: impl Fn(usize) -> Offset) {
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS as usize {
        list.add_partition_offset(topic, partition as i32, from(partition)).unwrap();
    }
    consumer.assign(&list).unwrap();
}

/// A consumer of all partitions of a topic.
pub(crate) fn consumer(topic: &str, from: Offset) -> BaseConsumer {
    let consumer = idle_consumer();
    assign(&consumer, topic, |_| from);
    consumer
}

/// The next message, if one comes in time.
pub(crate) fn next(consumer: &BaseConsumer, timeout: Duration) -> Option<rdkafka::message::BorrowedMessage<'_>> {
    match consumer.poll(timeout)? {
        Ok(message) => Some(message),
        Err(KafkaError::PartitionEOF(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Reads a number of messages, and writes one of a given size for each, with its key, to the same partition of another
/// topic. Returns when all are acknowledged.
pub(crate) fn run(from: &str, to: &str, count: usize, size: usize) -> Run {
    let producer = producer();
    let payload = vec![7_u8; size];
    let clock = Clock::start(std::process::id());
    let consumer = consumer(from, Offset::Beginning);
    let mut taken = 0;
    while taken < count {
        let Some(message) = next(&consumer, Duration::from_millis(100)) else { continue };
        let record = BaseRecord::to(to).partition(message.partition()).key(message.key().unwrap_or_default());
        producer.send(record.payload(&payload)).map_err(|(error, _)| error).unwrap();
        taken += 1;
        if taken % 1024 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    wait_for_acks(&producer);
    Run::new(count, clock.lap())
}
