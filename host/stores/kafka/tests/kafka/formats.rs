//! The formats of events in topics, and the decoding of events of other producers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use assay_core::names::{Offset, PartitionIndex};
use assay_core::schema::{Encoder, Schema, to_json};
use assay_core::stream::{Format, StreamDef};
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Durability, Log, Records, Topic};
use assay_kafka::{Kafka, Schemas as _};
use rdkafka::Message as _;
use serde_json::{Value, json};

use super::contract::streams::stream;
use super::contract::{card, event, events, read_all};
use super::peer::{PlainProducer, consume, framed, key};
use super::support::{MemoryRegistry, config, unique};

/// A stream `payments` in a topic of its own.
pub(crate) fn payments(log: &dyn Log, topic: &str, format: Format, partitions: u32) -> StreamDef {
    let def = StreamDef { topic: Some(topic.to_owned()), format, ..stream("payments", partitions) };
    log.create(&def).unwrap();
    def
}

fn read(log: &dyn Log, from: u64) -> Result<Vec<Records>, StoreError> {
    log.read("payments", Topic::Events, PartitionIndex(0), Offset(from), 1000, 4 << 20)
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn every_format_round_trips() {
    for format in [Format::Confluent, Format::SingleObject, Format::Avro, Format::Json] {
        let (topic, registry) = (unique(), Arc::<MemoryRegistry>::default());
        let kafka = Kafka::open(config(&topic), registry.clone()).unwrap();
        let def = payments(&*kafka.log(), &topic, format, 1);
        let batches = vec![(PartitionIndex(0), events(&["card-é", ""]))];
        kafka
            .log()
            .append("payments", Topic::Events, batches, Durability::Synced)
            .unwrap()
            .blocking_recv()
            .unwrap()
            .unwrap();
        assert_eq!(read_all(&*kafka.log(), Topic::Events, 0, 0), [(0, event("card-é")), (1, event(""))], "{format:?}");
        let messages = consume(&topic, 0);
        assert_eq!(key(&messages[0]), "card-é");
        let avro = event("card-é");
        let payload = messages[0].payload().unwrap();
        match format {
            Format::Confluent => {
                assert_eq!(Some(payload.to_vec()), framed(0, &avro));
                assert_eq!(registry.registered(), [(format!("{topic}-value"), def.schema.to_string())]);
            }
            Format::SingleObject => assert_eq!((&payload[..2], &payload[10..]), (&[0xc3, 0x01][..], &avro[..])),
            Format::Avro => assert_eq!(payload, avro),
            Format::Json => {
                let json: Value = serde_json::from_slice(payload).unwrap();
                assert_eq!(json, json!({"card": "card-é", "time": 0}));
            }
        }
    }
}

/// Encodes an event in a producer's own schema.
fn written(schema: &Value, event: &Value) -> Vec<u8> {
    let mut avro = Vec::new();
    Encoder::new(&Schema::parse_value(schema).unwrap()).encode_value(event, &mut avro).unwrap();
    avro
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn records_of_other_schemas_are_resolved_or_refused() {
    let (topic, registry) = (unique(), Arc::<MemoryRegistry>::default());
    let kafka = Kafka::open(config(&topic), registry.clone()).unwrap();
    let def = payments(&*kafka.log(), &topic, Format::Confluent, 1);
    let time = json!({"name": "time", "type": {"type": "long", "logicalType": "timestamp-millis"}});
    let record = |fields: Value| json!({"type": "record", "name": "payment", "fields": fields});
    let newer = record(json!([{"name": "shop", "type": "string"}, time, {"name": "card", "type": "string"}]));
    let renamed = record(json!([{"name": "card_no", "type": "string"}, time]));
    let register = |schema: &Value| registry.register("x", &schema.to_string()).unwrap();
    let (own, more, bad) = (register(&def.schema), register(&newer), register(&renamed));
    let payloads = [
        framed(own, &event("plain")),
        framed(more, &written(&newer, &json!({"shop": "s", "time": 7, "card": "other"}))),
        framed(4711, &event("x")),
        framed(bad, &event("x")),
        framed(more, &[2]),
        Some(b"{}".to_vec()),
        None,
        framed(own, &event("last")),
        framed(own, &vec![0; (1 << 20) + 100]),
    ];
    let peer = PlainProducer::new(None);
    peer.send(&topic, 0, &payloads);
    peer.flush();
    let blocks = read(&*kafka.log(), 0).unwrap();
    let all: Vec<(u64, &[u8])> = blocks.iter().flat_map(Records::iter).map(|(at, record)| (at.0, record)).collect();
    assert_eq!(all.len(), 9);
    assert_eq!((card(all[0].1), card(all[7].1)), ("plain", "last"));
    let schema = Schema::parse_value(&def.schema).unwrap();
    assert_eq!(to_json(&schema, all[1].1).unwrap(), json!({"card": "other", "time": 7}));
    let refused: Vec<(u64, &str, &str)> = blocks
        .iter()
        .flat_map(|block| block.refused.iter().map(|(at, why)| (block.first.0 + u64::from(*at), why)))
        .map(|(at, why)| (at, why.code.as_str(), why.message.as_str()))
        .collect();
    let codes: Vec<(u64, &str)> = refused.iter().map(|(at, code, _)| (*at, *code)).collect();
    assert_eq!(
        codes,
        [
            (2, "schema-unknown"),
            (3, "schema-incompatible"),
            (4, "event-malformed"),
            (5, "event-malformed"),
            (6, "event-empty"),
            (8, "event-too-large")
        ]
    );
    assert!(refused[0].2.contains("4711"), "{}", refused[0].2);
    assert!(refused[1].2.contains(&format!("id {bad}")) && refused[1].2.contains("card"), "{}", refused[1].2);
    assert_eq!(all[3].1, payloads[3].as_ref().unwrap(), "refused bytes are as they came");
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn no_record_is_refused_while_the_registry_is_down() {
    let (topic, registry) = (unique(), Arc::<MemoryRegistry>::default());
    let kafka = Kafka::open(config(&topic), registry.clone()).unwrap();
    let log = kafka.log();
    let def = payments(&*log, &topic, Format::Confluent, 1);
    let id = registry.register("x", &def.schema.to_string()).unwrap();
    registry.is_down.store(true, Ordering::SeqCst);
    let append =
        || log.append("payments", Topic::Events, vec![(PartitionIndex(0), events(&["a"]))], Durability::Synced);
    assert!(append().unwrap_err().to_string().contains("switched off"));
    let peer = PlainProducer::new(None);
    peer.send(&topic, 0, &[framed(id, &event("a"))]);
    peer.flush();
    assert!(read(&*log, 0).unwrap_err().to_string().contains("switched off"));
    registry.is_down.store(false, Ordering::SeqCst);
    super::support::wait_until("the registry is asked again", || read(&*log, 0).is_ok_and(|blocks| blocks.len() == 1));
    append().unwrap().blocking_recv().unwrap().unwrap();
    assert_eq!(read_all(&*log, Topic::Events, 0, 0), [(0, event("a")), (1, event("a"))]);
}
