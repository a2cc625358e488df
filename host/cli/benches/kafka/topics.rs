//! Creates and deletes topics, and reads their ends.

use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;

use crate::bare;
use crate::events::PARTITIONS;

const KAFKA_TIMEOUT: Duration = Duration::from_secs(30);

/// The addresses of Kafka.
pub(crate) fn brokers() -> String {
    std::env::var("ASSAY_TEST_KAFKA").expect("run: cargo xtask bench kafka")
}

fn admin() -> (AdminClient<DefaultClientContext>, tokio::runtime::Runtime) {
    let client = ClientConfig::new().set("bootstrap.servers", brokers()).create().unwrap();
    (client, tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap())
}

/// Creates a topic and waits until it accepts writes.
pub(crate) fn create(topic: &str) {
    let (client, runtime) = admin();
    let new = NewTopic::new(topic, PARTITIONS as i32, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(KAFKA_TIMEOUT));
    let made = runtime.block_on(client.create_topics([&new], &options)).unwrap();
    made.into_iter().for_each(|result| drop(result.unwrap()));
    ends(topic);
}

/// Deletes topics, because a backlog is large.
pub(crate) fn delete(topics: &[&str]) {
    let (client, runtime) = admin();
    // Missing topics are not an error.
    runtime.block_on(client.delete_topics(topics, &AdminOptions::new())).unwrap();
}

/// The ends of all partitions of a topic.
pub(crate) fn ends(topic: &str) -> Vec<u64> {
    ends_by(&bare::idle_consumer(), topic)
}

fn ends_by(consumer: &BaseConsumer, topic: &str) -> Vec<u64> {
    let end = |partition| {
        let deadline = Instant::now() + KAFKA_TIMEOUT;
        loop {
            match consumer.fetch_watermarks(topic, partition, KAFKA_TIMEOUT) {
                Ok((_, end)) => return end as u64,
                // The leader of a new topic may not know it yet.
                Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
                Err(error) => panic!("the end of {topic}/{partition}: {error}"),
            }
        }
    };
    (0..PARTITIONS as i32).map(end).collect()
}

/// Reads the last record of each partition of a topic, within some milliseconds.
pub(crate) struct LastRecords<'a> {
    topic: &'a str,
    consumer: BaseConsumer,
}

impl<'a> LastRecords<'a> {
    /// Connects.
    pub(crate) fn of(topic: &'a str) -> Self {
        let consumer = bare::idle_consumer();
        ends_by(&consumer, topic);
        Self { topic, consumer }
    }

    /// The last record of each partition, none of which is empty.
    pub(crate) fn read(&self) -> Vec<(usize, Vec<u8>)> {
        let ends = ends_by(&self.consumer, self.topic);
        bare::assign(&self.consumer, self.topic, |partition| Offset::Offset(ends[partition] as i64 - 1));
        let mut found: Vec<(usize, Vec<u8>)> = Vec::new();
        while found.len() < ends.len() {
            let message = bare::next(&self.consumer, KAFKA_TIMEOUT).expect("a last record in each partition");
            let partition = message.partition() as usize;
            // A newer record may have been appended meanwhile.
            if found.iter().all(|(of, _)| *of != partition) {
                found.push((partition, message.payload().unwrap_or_default().to_vec()));
            }
        }
        found
    }
}

/// The bytes of all records of a topic.
pub(crate) fn bytes(topic: &str) -> u64 {
    let mut left: u64 = ends(topic).iter().sum();
    let consumer = bare::consumer(topic, Offset::Beginning);
    let mut bytes = 0;
    while left > 0 {
        let message = bare::next(&consumer, KAFKA_TIMEOUT).expect("all records of the topic");
        bytes += message.payload_len() as u64;
        left -= 1;
    }
    bytes
}
