//! The outbox publishes every record once, across restarts and repeated calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use assay_core::names::{Digest, Offset, PartitionIndex};
use assay_core::rule::Mode;
use assay_core::schema::{Schema, to_json};
use assay_core::stream::Format;
use assay_core::verdict::{Failure, Outcome, PluginStamp, RuleStamp, Verdict};
use assay_engine::ports::PartitionId;
use assay_engine::ports::log::{Durability, Records, Topic};
use assay_engine::ports::outbox::Outbox;
use assay_kafka::{Kafka, Schemas as _};
use rdkafka::Message as _;
use rdkafka::message::{Headers as _, OwnedMessage};
use serde_json::Value;

use super::formats::payments;
use super::peer::{consume, key};
use super::support::{MemoryRegistry, config, unique};

fn partition() -> PartitionId {
    PartitionId { stream: Arc::from("payments"), partition: PartitionIndex(1) }
}

fn stamp(rule: &str) -> Arc<RuleStamp> {
    let digest = Digest::of(b"velocity");
    let plugin = PluginStamp { name: "velocity".to_owned(), version: "1.0.0".to_owned(), digest };
    let [tags, reasons, edges, attributes, inputs] = [const { Vec::new() }; 5];
    Arc::new(RuleStamp {
        rule: rule.to_owned(),
        revision: 2,
        mode: Mode::Active,
        plugin: Some(plugin),
        tags,
        reasons,
        edges,
        attributes,
        inputs,
    })
}

/// The outcome of an event: verdicts of these rules, and on every fifth event a failure of the rule `broken`.
fn outcome(offset: u64, rules: &[&str]) -> Outcome {
    let verdict = |rule: &&str| Verdict {
        by: stamp(rule),
        score: Some(offset as f64),
        tags: vec!["seen".to_owned()],
        reasons: vec![],
        edges: vec![],
        attributes: vec![],
        inputs: vec![],
    };
    let failure = || Failure { by: Some(stamp("broken")), code: "plugin-trap".into(), message: "oh".to_owned() };
    Outcome {
        offset: Offset(offset),
        time: 1_700_000_000_000,
        key: format!("card-{offset}"),
        id: String::new(),
        verdicts: rules.iter().map(verdict).collect(),
        failures: offset.is_multiple_of(5).then(failure).into_iter().collect(),
    }
}

/// The blocks of the engine's log: ten events each.
fn blocks(from: u64, to: u64) -> Vec<(Offset, Outcome)> {
    (from * 10..to * 10).map(|offset| (Offset(offset / 10), outcome(offset, &["a", "b"]))).collect()
}

fn open(topic: &str, registry: &Arc<MemoryRegistry>) -> (Kafka, Arc<dyn Outbox>) {
    let kafka = Kafka::open(config(topic), registry.clone()).unwrap();
    payments(&*kafka.log(), topic, Format::Confluent, 2);
    let outbox = kafka.outbox();
    (kafka, outbox)
}

fn header<'a>(message: &'a OwnedMessage, name: &str) -> &'a str {
    let header = message.headers().unwrap().iter().find(|header| header.key == name).unwrap();
    std::str::from_utf8(header.value.unwrap()).unwrap()
}

/// The number of records for each (event, rule).
fn published(topic: &str) -> BTreeMap<(u64, String), u32> {
    let mut found = BTreeMap::new();
    for message in consume(topic, 1) {
        let event = header(&message, "assay-offset").parse().unwrap();
        *found.entry((event, header(&message, "assay-rule").to_owned())).or_default() += 1;
    }
    found
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn records_are_published_once_across_owners() {
    let (topic, registry) = (unique(), Arc::<MemoryRegistry>::default());
    let (first, outbox) = open(&topic, &registry);
    // The engine's log has as many blocks as are published in the end.
    let mut log = Records::default();
    (0..7).for_each(|_| log.push(b"a block"));
    let appended = first.log().append("payments", Topic::Verdicts, vec![(PartitionIndex(1), log)], Durability::Ordered);
    appended.unwrap().blocking_recv().unwrap().unwrap();
    assert_eq!(outbox.position(&partition()).unwrap(), Offset(0));
    outbox.publish(&partition(), blocks(0, 3), Offset(3)).unwrap();
    // Stopped in the middle of a block, and of an event.
    let mut half = blocks(3, 4);
    half.truncate(5);
    half.push((Offset(3), outcome(35, &["a"])));
    outbox.publish(&partition(), half, Offset(3)).unwrap();
    outbox.flush().unwrap();
    drop((outbox, first));
    let (second, outbox) = open(&topic, &registry);
    assert_eq!(outbox.position(&partition()).unwrap(), Offset(3));
    outbox.publish(&partition(), blocks(3, 5), Offset(5)).unwrap();
    // A sink that repeats itself.
    outbox.publish(&partition(), blocks(2, 6), Offset(6)).unwrap();
    outbox.publish(&partition(), vec![], Offset(7)).unwrap();
    outbox.flush().unwrap();
    let events = (0..60).flat_map(|event| ["a", "b"].map(|rule| ((event, rule.to_owned()), 1)));
    assert_eq!(published(&format!("{topic}.verdicts")), events.collect());
    let failures = (0..60).step_by(5).map(|event| ((event, "broken".to_owned()), 1));
    assert_eq!(published(&format!("{topic}.dead-letters")), failures.collect());
    drop((second, outbox));
    // The blocks after the last record have no verdicts; the committed position covers them.
    let (_third, outbox) = open(&topic, &registry);
    super::support::wait_until("the position is committed", || outbox.position(&partition()).unwrap() == Offset(7));
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn messages_hold_the_verdict() {
    let (topic, registry) = (unique(), Arc::<MemoryRegistry>::default());
    let (_kafka, outbox) = open(&topic, &registry);
    outbox.publish(&partition(), vec![(Offset(8), outcome(40, &["a"]))], Offset(9)).unwrap();
    outbox.flush().unwrap();
    let messages = consume(&format!("{topic}.verdicts"), 1);
    assert_eq!((key(&messages[0]), header(&messages[0], "assay-block")), ("card-40", "8"));
    let payload = messages[0].payload().unwrap();
    let id = i32::from_be_bytes(payload[1..5].try_into().unwrap());
    let schema = registry.by_id(id).unwrap().unwrap();
    assert!(registry.registered().contains(&(format!("{topic}.verdicts-value"), schema.clone())));
    let verdict = to_json(&Schema::parse(&schema).unwrap(), &payload[5..]).unwrap();
    assert_eq!((&verdict["rule"], &verdict["mode"], &verdict["score"]), (&"a".into(), &"active".into(), &40.0.into()));
    let letters = consume(&format!("{topic}.dead-letters"), 1);
    let letter: Value = serde_json::from_slice(letters[0].payload().unwrap()).unwrap();
    assert_eq!(
        (&letter["offset"], &letter["code"], &letter["rule"]),
        (&40.into(), &"plugin-trap".into(), &"broken".into())
    );
    assert_eq!(header(&letters[0], "assay-code"), "plugin-trap");
    assert_eq!(header(&letters[0], "assay-plugin"), "velocity@1.0.0");
}
