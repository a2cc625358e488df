//! What Assay is measured beside: librdkafka alone. A loop that takes one message after the other and writes one for
//! each, which is what the simplest service on Kafka would do.

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

/// Settings of a producer that loses and doubles nothing, with the compression of Assay's and librdkafka's own linger.
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

/// Waits until everything is acked.
pub(crate) fn wait(producer: &BaseProducer) {
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::from_millis(1));
    }
}

/// A consumer that reads nothing yet.
pub(crate) fn idle_consumer() -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers()).set("group.id", "bench").set("enable.auto.commit", "false");
    // As in Assay's: the default of a second makes a consumer that is nearly full wait so long.
    config.set("fetch.queue.backoff.ms", "5");
    config.create().unwrap()
}

/// Makes a consumer read all partitions of a topic, each from an offset on.
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
pub(crate) fn next(consumer: &BaseConsumer, patience: Duration) -> Option<rdkafka::message::BorrowedMessage<'_>> {
    match consumer.poll(patience)? {
        Ok(message) => Some(message),
        Err(KafkaError::PartitionEOF(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Reads so many messages and writes one of a size for each, with its key, into the same partition of another topic.
/// Done when all are acked.
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
    wait(&producer);
    Run::new(count, clock.lap())
}
