//! Other programs on the same cluster: a plain producer and a plain consumer.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

use super::support::brokers;

const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct PlainProducer {
    producer: BaseProducer,
}

impl PlainProducer {
    /// A producer. With a transactional id it can write in transactions.
    pub(crate) fn new(transactional: Option<&str>) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers()).set("linger.ms", "0").set("message.max.bytes", "4000000");
        if let Some(id) = transactional {
            config.set("transactional.id", id);
        }
        let producer: BaseProducer = config.create().unwrap();
        if transactional.is_some() {
            producer.init_transactions(TIMEOUT).unwrap();
        }
        Self { producer }
    }

    /// Sends messages without waiting for them.
    pub(crate) fn send<T: AsRef<[u8]>>(&self, topic: &str, partition: i32, payloads: &[Option<T>]) {
        for payload in payloads {
            let mut record: BaseRecord<'_, str, [u8]> = BaseRecord::to(topic).partition(partition).key("k");
            record.payload = payload.as_ref().map(AsRef::as_ref);
            self.producer.send(record).map_err(|(error, _)| error).unwrap();
        }
    }

    pub(crate) fn flush(&self) {
        self.producer.flush(TIMEOUT).unwrap();
    }

    /// Sends messages in a transaction.
    pub(crate) fn transact<T: AsRef<[u8]>>(&self, topic: &str, payloads: &[Option<T>], commits: bool) {
        self.producer.begin_transaction().unwrap();
        self.send(topic, 0, payloads);
        match commits {
            true => self.producer.commit_transaction(TIMEOUT).unwrap(),
            false => {
                self.flush();
                self.producer.abort_transaction(TIMEOUT).unwrap();
            }
        }
    }
}

/// All messages of a partition.
pub(crate) fn consume(topic: &str, partition: i32) -> Vec<OwnedMessage> {
    let consumer = consumer("plain");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let deadline = Instant::now() + TIMEOUT;
    let mut messages = Vec::new();
    loop {
        assert!(Instant::now() < deadline, "{topic}/{partition} does not end");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => messages.push(message.detach()),
            Some(Err(KafkaError::PartitionEOF(_))) => return messages,
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
}

/// The position that a group has committed.
pub(crate) fn committed(group: &str, topic: &str, partition: i32) -> Option<i64> {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    let found = consumer(group).committed_offsets(list, TIMEOUT).unwrap();
    match found.find_partition(topic, partition)?.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }
}

/// Deletes the records of a partition before an offset, as retention does.
pub(crate) fn delete_before(topic: &str, partition: i32, offset: i64) {
    let mut config = ClientConfig::new();
    let admin: AdminClient<DefaultClientContext> = config.set("bootstrap.servers", brokers()).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let deleted = runtime.block_on(admin.delete_records(&list, &options)).unwrap();
    assert_eq!(deleted.find_partition(topic, partition).unwrap().error(), Ok(()));
}

fn consumer(group: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers()).set("group.id", group).set("enable.partition.eof", "true");
    config.create().unwrap()
}

/// A payload in Confluent's wire format.
pub(crate) fn framed(id: i32, avro: &[u8]) -> Option<Vec<u8>> {
    Some([&[0][..], &id.to_be_bytes(), avro].concat())
}

/// The key of a message, as text.
pub(crate) fn key(message: &OwnedMessage) -> &str {
    std::str::from_utf8(message.key().unwrap_or_default()).unwrap()
}
