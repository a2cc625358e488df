//! The cost of the log on Kafka compared with bare librdkafka loops over the same topics, in the same run.
//!
//! `ASSAY_TEST_KAFKA=host:port cargo bench --profile release --bench kafka_log`. The broker's share is in all figures.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench fails by panicking")]

use assay_contract::streams;

use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_core::names::{Offset, PartitionIndex};
use assay_core::stream::StreamDef;
use assay_core::wire::put_signed;
use assay_engine::ports::log::{Durability, Log, Records, Topic, WakeSignal};
use assay_engine::ports::membership::PartitionOwner;
use assay_engine::ports::{PartitionId, StoreError};
use assay_kafka::{Config, Kafka, Schemas};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

const PARTITIONS: u32 = 4;
const EVENTS: u64 = 1_000_000;
const BATCH: usize = 4_096;
/// The bytes of verdicts per event, about.
const VERDICT_BYTES: usize = 40;
const LATENCY_SAMPLES: usize = 1_000;

struct OneSchema;

impl Schemas for OneSchema {
    fn by_id(&self, _: i32) -> Result<Option<String>, StoreError> {
        Ok(Some(streams::stream("payments", 1).schema.to_string()))
    }

    fn register(&self, _: &str, _: &str) -> Result<i32, StoreError> {
        Ok(1)
    }
}

struct IgnoringOwner;

impl PartitionOwner for IgnoringOwner {
    fn assign(&self, _: Vec<PartitionId>) {}
    fn revoke(&self, _: Vec<PartitionId>, _: Duration) {}
    fn lose(&self, _: Vec<PartitionId>) {}
}

fn main() {
    let brokers = std::env::var("ASSAY_TEST_KAFKA").expect("ASSAY_TEST_KAFKA says where Kafka is");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let topic = format!("bench{}", now.as_millis());
    let linger = std::env::var("LINGER_MS").ok().and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
    let config = Config { brokers: brokers.clone(), group: topic.clone(), ..Config::default() };
    let config = Config { linger: linger.unwrap_or(config.linger), ..config };
    println!("linger {:?}", config.linger);
    let kafka = Kafka::open(config, Arc::new(OneSchema)).unwrap();
    let log = kafka.log();
    let def = StreamDef { topic: Some(topic.clone()), ..streams::stream("payments", PARTITIONS) };
    log.create(&def).unwrap();
    measure("append events, keys taken out, acked", || append(&*log));
    measure("bare producer: the same messages", || produce(&brokers, &format!("{topic}.bare")));
    measure("read them, 4,096 at once", || read(&*log, false));
    measure("bare consumer", || loop_bare(&brokers, &topic, None));
    measure("log to log: read, append a verdict block per batch", || read(&*log, true));
    measure("bare consumer and producer: a message for each", || {
        loop_bare(&brokers, &topic, Some(&format!("{topic}.bare2")));
    });
    latency(&kafka, &*log);
}

fn measure(what: &str, run: impl FnOnce()) {
    let (start, cpu) = (Instant::now(), cpu());
    run();
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), self::cpu() - cpu);
    let rate = EVENTS as f64 / seconds;
    println!("{what:<52} {rate:>10.0} events/s {:>6.0} ns of CPU each", cpu * 1e9 / EVENTS as f64);
}

/// The CPU time of this process, in seconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn event(number: u64, out: &mut Vec<u8>) {
    let card = format!("card-{:012}", number % 100_000);
    put_signed(out, card.len() as i64);
    out.extend_from_slice(card.as_bytes());
    put_signed(out, 1_700_000_000_000 + number as i64);
}

fn append(log: &dyn Log) {
    let mut receipts = Vec::new();
    for first in (0..EVENTS).step_by(BATCH) {
        let mut batches: Vec<(PartitionIndex, Records)> =
            (0..PARTITIONS).map(|p| (PartitionIndex(p), Records::default())).collect();
        for number in first..(first + BATCH as u64).min(EVENTS) {
            let records = &mut batches[(number % u64::from(PARTITIONS)) as usize].1;
            records.appended_at = 1_700_000_000_000;
            event(number, &mut records.data);
            records.end_record();
        }
        receipts.push(log.append("payments", Topic::Events, batches, Durability::Synced).unwrap());
    }
    receipts.into_iter().for_each(|receipt| drop(receipt.blocking_recv().unwrap().unwrap()));
}

/// Reads all partitions in turn, as a worker does. With `appends` it appends a verdict block for each batch.
fn read(log: &dyn Log, appends: bool) {
    let mut next = [0_u64; PARTITIONS as usize];
    let (mut left, mut receipts) = (EVENTS, Vec::new());
    while left > 0 {
        for partition in 0..PARTITIONS {
            let from = &mut next[partition as usize];
            if log.end("payments", Topic::Events, PartitionIndex(partition)).unwrap().0 == *from {
                continue;
            }
            let blocks =
                log.read("payments", Topic::Events, PartitionIndex(partition), Offset(*from), BATCH, 4 << 20).unwrap();
            let Some(last) = blocks.last() else { continue };
            let count = last.next().0 - *from;
            (*from, left) = (last.next().0, left.saturating_sub(count));
            if appends {
                let mut records = Records { appended_at: 1_700_000_000_000, ..Records::default() };
                records.push(&vec![7; count as usize * VERDICT_BYTES]);
                let batches = vec![(PartitionIndex(partition), records)];
                receipts.push(log.append("payments", Topic::Verdicts, batches, Durability::Ordered).unwrap());
            }
        }
    }
    receipts.into_iter().for_each(|receipt| drop(receipt.blocking_recv().unwrap().unwrap()));
}

fn producer(brokers: &str) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("enable.idempotence", "true").set("compression.type", "lz4");
    config.set("queue.buffering.max.messages", "0").set("allow.auto.create.topics", "true");
    config.create().unwrap()
}

fn produce(brokers: &str, topic: &str) {
    make(brokers, topic);
    let producer = producer(brokers);
    let (mut payload, mut key) = (Vec::new(), String::new());
    for number in 0..EVENTS {
        payload.clear();
        payload.extend_from_slice(&[0, 0, 0, 0, 1]);
        event(number, &mut payload);
        key.clear();
        key.push_str(&format!("card-{:012}", number % 100_000));
        let partition = (number % u64::from(PARTITIONS)) as i32;
        producer
            .send(BaseRecord::to(topic).partition(partition).key(&key).payload(&payload))
            .map_err(|(e, _)| e)
            .unwrap();
        if number % 1024 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    wait(&producer);
}

fn wait(producer: &BaseProducer) {
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::from_millis(1));
    }
}

fn make(brokers: &str, topic: &str) {
    let config = Config { brokers: brokers.to_owned(), group: topic.to_owned(), ..Config::default() };
    let kafka = Kafka::open(config, Arc::new(OneSchema)).unwrap();
    let def = StreamDef { topic: Some(topic.to_owned()), ..streams::stream("payments", PARTITIONS) };
    kafka.log().create(&def).unwrap();
}

fn loop_bare(brokers: &str, topic: &str, to: Option<&str>) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "bare").set("enable.auto.commit", "false");
    config.set("fetch.queue.backoff.ms", "5").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS as i32 {
        list.add_partition_offset(topic, partition, KafkaOffset::Beginning).unwrap();
    }
    let target = to.map(|to| {
        make(brokers, to);
        (to, producer(brokers))
    });
    consumer.assign(&list).unwrap();
    let mut count = 0_u64;
    while count < EVENTS {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                count += 1;
                if let Some((to, producer)) = &target {
                    let payload = [7_u8; VERDICT_BYTES];
                    let record = BaseRecord::to(to).partition(message.partition()).key(message.key().unwrap());
                    producer.send(record.payload(&payload[..])).map_err(|(error, _)| error).unwrap();
                    if count.is_multiple_of(1024) {
                        producer.poll(Duration::ZERO);
                    }
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) | None => {}
            Some(Err(error)) => panic!("{error}"),
        }
    }
    if let Some((_, producer)) = &target {
        wait(producer);
    }
}

/// Measures single events: the time until the acknowledgement, and until the owner of the partition can read it.
fn latency(kafka: &Kafka, log: &dyn Log) {
    kafka.membership().join(Arc::new(IgnoringOwner));
    let all = (0..PARTITIONS).map(|p| PartitionId { stream: Arc::from("payments"), partition: PartitionIndex(p) });
    kafka.membership().set_partitions(all.collect());
    while !kafka.membership().is_member() {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_secs(1));
    let wake = Arc::new(WakeSignal::default());
    log.on_append(Topic::Events, wake.clone());
    let (mut acked, mut readable) = (Vec::new(), Vec::new());
    for number in 0..LATENCY_SAMPLES {
        let from = log.end("payments", Topic::Events, PartitionIndex(0)).unwrap();
        let mut records = Records { appended_at: 1_700_000_000_000, ..Records::default() };
        event(number as u64, &mut records.data);
        records.end_record();
        let start = Instant::now();
        let receipt =
            log.append("payments", Topic::Events, vec![(PartitionIndex(0), records)], Durability::Synced).unwrap();
        receipt.blocking_recv().unwrap().unwrap();
        acked.push(start.elapsed());
        while log.end("payments", Topic::Events, PartitionIndex(0)).unwrap() == from {
            wake.wait(Duration::from_millis(100));
        }
        readable.push(start.elapsed());
    }
    for (what, mut times) in [("acked", acked), ("in the owner's hands", readable)] {
        times.sort();
        println!("one event {what}: p50 {:?}, p99 {:?}", times[LATENCY_SAMPLES / 2], times[LATENCY_SAMPLES * 99 / 100]);
    }
}
