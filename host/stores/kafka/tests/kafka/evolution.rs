//! Changes of a stream's schema: the schema of each message stays known, and readers get the schema that they request.

use std::sync::Arc;

use assay_core::names::{Offset, PartitionIndex};
use assay_core::schema::{Encoder, Schema, to_json};
use assay_core::stream::{Format, StreamDef};
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Durability, Log, Records, Topic};
use assay_kafka::{Kafka, Schemas as _};
use serde_json::{Value, json};

use super::contract::streams::stream;
use super::members::Member;
use super::peer::{PlainProducer, framed};
use super::support::{MemoryRegistry, config, unique, wait_until};

/// Three schemas: the second adds a field, the third widens its type.
fn schemas() -> [Value; 3] {
    let first = stream("payments", 1).schema;
    let with = |more: Value| {
        let mut schema = first.clone();
        schema["fields"].as_array_mut().unwrap().push(more);
        schema
    };
    [
        first.clone(),
        with(json!({ "name": "count", "type": "int", "default": 7 })),
        with(json!({ "name": "count", "type": "double", "default": 7.0 })),
    ]
}

/// The stream with the schema of this number and the earlier ones.
fn def(topic: &str, format: Format, number: usize) -> StreamDef {
    let [earlier @ .., schema] = &schemas()[..=number] else { panic!("at least one") };
    let (schema, earlier) = (schema.clone(), earlier.to_vec());
    StreamDef { topic: Some(topic.to_owned()), format, schema, earlier, ..stream("payments", 1) }
}

/// Appends an event in a schema.
fn append(log: &dyn Log, number: usize, event: &Value) {
    let mut records = Records { schema: number as u32, appended_at: 1, ..Records::default() };
    Encoder::new(&Schema::parse_value(&schemas()[number]).unwrap()).encode_value(event, &mut records.data).unwrap();
    records.end_record();
    let batches = vec![(PartitionIndex(0), records)];
    let receipt = log.append("payments", Topic::Events, batches, Durability::Synced).unwrap();
    receipt.blocking_recv().unwrap().unwrap();
}

fn read(log: &dyn Log, from: u64, number: usize) -> Result<Vec<Records>, StoreError> {
    log.read_events("payments", PartitionIndex(0), Offset(from), number as u32, 1000, 1 << 20)
}

/// The field `count` of all events from an offset on that can be read in a schema.
fn counts(log: &dyn Log, from: u64, number: usize) -> Vec<Value> {
    let schema = Schema::parse_value(&schemas()[number]).unwrap();
    let blocks = read(log, from, number).unwrap();
    assert!(blocks.iter().all(|block| block.schema == number as u32 && block.refused.is_empty()), "{blocks:?}");
    let events = blocks.iter().flat_map(Records::iter).map(|(_, event)| to_json(&schema, event).unwrap());
    events.map(|event| event["count"].clone()).collect()
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn events_are_read_in_the_requested_schema() {
    for format in [Format::Confluent, Format::SingleObject] {
        let (topic, registry) = (unique(), Arc::<MemoryRegistry>::default());
        let [one, two] = [(); 2].map(|()| Kafka::open(config(&topic), registry.clone()).unwrap());
        let (old, new) = (one.log(), two.log());
        old.create(&def(&topic, format, 0)).unwrap();
        append(&*old, 0, &json!({ "card": "a", "time": 0 }));
        new.create(&def(&topic, format, 2)).unwrap();
        // Appends that were in flight when the schema changed.
        append(&*new, 0, &json!({ "card": "b", "time": 0 }));
        append(&*new, 1, &json!({ "card": "c", "time": 0, "count": 1 }));
        append(&*new, 2, &json!({ "card": "d", "time": 0, "count": 2.5 }));
        assert_eq!(counts(&*new, 0, 2), [json!(7.0), json!(7.0), json!(1.0), json!(2.5)], "{format:?}");
        // A reader of an earlier schema gets the events up to the first later one, and must wait then.
        assert_eq!(counts(&*new, 0, 1), [json!(7), json!(7), json!(1)], "{format:?}");
        assert_eq!(counts(&*new, 0, 0), [Value::Null, Value::Null], "{format:?}");
        for (log, from, number) in [(&new, 3, 1), (&new, 2, 0), (&old, 2, 0)] {
            let error = read(&**log, from, number).unwrap_err();
            assert!(matches!(&error, StoreError::Unavailable { .. }), "{error}");
            assert!(error.to_string().contains("this process has still to hear of the change"), "{error}");
        }
        assert!(read(&*old, 0, 1).is_err(), "a schema that this process does not know");
    }
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn a_requested_schema_applies_to_new_events() {
    let topic = unique();
    let one = Member::join(&topic, 1, config(&topic));
    wait_until("the member has it", || one.owner.owned().len() == 1);
    append(&*one.log, 0, &json!({ "card": "a", "time": 0 }));
    let wait_for_counts = |from: u64, number: usize, expected: &[Value]| {
        wait_until(&format!("{expected:?}"), || counts(&*one.log, from, number) == expected);
    };
    wait_for_counts(0, 0, &[Value::Null]);
    one.log.create(&def(&topic, Format::Confluent, 1)).unwrap();
    // The plan has not changed yet.
    append(&*one.log, 0, &json!({ "card": "a", "time": 0 }));
    wait_for_counts(0, 0, &[Value::Null, Value::Null]);
    for round in 1..20_u64 {
        append(&*one.log, 1, &json!({ "card": "a", "time": 0, "count": round }));
        wait_for_counts(1 + round, 1, &[json!(round)]);
    }
    let expected: Vec<Value> = [7, 7].into_iter().chain(1..20).map(Value::from).collect();
    wait_for_counts(0, 1, &expected);
    // Other producers still write in their own schemas.
    let written = |number: usize| {
        let schema = &schemas()[number];
        let mut avro = Vec::new();
        let event = json!({ "card": "a", "time": 0, "count": 50 });
        let event = if number == 0 { json!({ "card": "a", "time": 0 }) } else { event };
        Encoder::new(&Schema::parse_value(schema).unwrap()).encode_value(&event, &mut avro).unwrap();
        framed(one.registry.register("x", &schema.to_string()).unwrap(), &avro)
    };
    let peer = PlainProducer::new(None);
    peer.send(&topic, 0, &[written(0), written(1)]);
    peer.flush();
    wait_for_counts(21, 1, &[json!(7), json!(50)]);
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn schemas_of_formats_without_a_schema_id_cannot_change() {
    let kafka = Kafka::open(config(&unique()), Arc::<MemoryRegistry>::default()).unwrap();
    for (format, can_change) in
        [(Format::Confluent, true), (Format::SingleObject, true), (Format::Avro, false), (Format::Json, false)]
    {
        let answer = kafka.log().can_change_schema(&def("x", format, 1));
        assert_eq!(answer.is_ok(), can_change, "{answer:?}");
        if let Err(why) = answer {
            assert!(why.contains("make a new stream, with the format 'confluent'"), "{why}");
        }
    }
}
