//! The topic of published verdicts has each verdict of the archive. One may be there again after a member was frozen;
//! it says the same then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_core::names::{Offset, PartitionIndex};
use assay_core::schema::{Schema, to_json};
use assay_core::stream::StreamDef;
use assay_engine::ports::log::{Log, Records, Topic};
use assay_kafka::{self as kafka, CatalogSchemas, Kafka};
use assay_mongodb::{self as mongodb, MongoDb};
use serde_json::{Value, json};

use crate::load::PARTITIONS;
use crate::servers::Servers;
use crate::truth::{Truth, verdicts};

const STREAM: &str = "published";
/// How long until what the log has can be read.
const READ: Duration = Duration::from_secs(60);

/// Partition, offset of the event, rule.
type Identity = (u32, u64, String);

/// Compares them, by what is published in the members' default settings.
pub(crate) fn compare(servers: &Servers, truth: &Truth) {
    let expected: BTreeMap<Identity, Value> = truth.outcomes.values().flat_map(of_outcome).collect();
    let mut found = BTreeMap::new();
    let mut again = 0;
    for published in read(servers) {
        let number = |name: &str| published[name].as_u64().unwrap();
        let rule = published["rule"].as_str().unwrap().to_owned();
        let identity = (number("partition") as u32, number("offset"), rule);
        match found.get(&identity) {
            Some(before) => {
                again += 1;
                assert_eq!(before, &published, "published twice, and not the same");
            }
            None => drop(found.insert(identity, published)),
        }
    }
    for (identity, expected) in &expected {
        assert_eq!(found.get(identity), Some(expected), "published verdict {identity:?}");
    }
    assert_eq!(found.len(), expected.len(), "verdicts are published that nobody gave");
    println!("{} verdicts published, {again} of them again", found.len());
}

fn of_outcome(outcome: &Value) -> Vec<(Identity, Value)> {
    let (partition, offset) = (&outcome["place"]["partition"], &outcome["place"]["offset"]);
    let of = |verdict: &Value| {
        let rule = verdict["rule"].as_str().unwrap().to_owned();
        let identity = (partition.as_u64().unwrap() as u32, offset.as_u64().unwrap(), rule);
        let plugin = verdict["plugin"]
            .as_object()
            .map(|plugin| format!("{}@{}", plugin["name"].as_str().unwrap(), plugin["version"].as_str().unwrap()));
        let value = json!({
            "stream": "payments", "partition": partition, "offset": offset, "key": outcome["key"], "id": outcome["id"],
            "rule": verdict["rule"], "revision": verdict["revision"], "mode": verdict["mode"], "plugin": plugin,
            "digest": verdict["plugin"]["digest"], "score": verdict["score"], "tags": verdict["tags"],
            "time": outcome["time"],
        });
        (identity, value)
    };
    verdicts(outcome).iter().map(of).collect()
}

/// The fields that are compared: a reader's own schema, as Avro has it.
fn schema() -> Value {
    let field = |name: &str, kind: Value| json!({ "name": name, "type": kind });
    let optional = |kind: &str| json!(["null", kind]);
    json!({ "type": "record", "name": "Verdict", "namespace": "assay", "fields": [
        field("stream", "string".into()), field("partition", "int".into()), field("offset", "long".into()),
        field("time", json!({ "type": "long", "logicalType": "timestamp-millis" })), field("key", "string".into()),
        field("id", optional("string")), field("rule", "string".into()), field("revision", "int".into()),
        field("mode", "string".into()), field("plugin", optional("string")), field("digest", optional("string")),
        field("score", optional("double")), field("tags", json!({ "type": "array", "items": "string" })),
    ]})
}

/// All records of the topic, as a reader of Assay's own log sees them.
fn read(servers: &Servers) -> Vec<Value> {
    let config = mongodb::Config {
        uri: servers.variable("ASSAY_TEST_MONGODB").to_owned(),
        database: "assay".to_owned(),
        ..mongodb::Config::default()
    };
    let mongodb = MongoDb::open(&config).unwrap();
    let config = kafka::Config {
        brokers: servers.variable("ASSAY_TEST_KAFKA").to_owned(),
        group: "reader-of-published-verdicts".to_owned(),
        ..kafka::Config::default()
    };
    let kafka = Kafka::open(config, Arc::new(CatalogSchemas::new(mongodb.catalog()))).unwrap();
    let def: StreamDef = serde_json::from_value(json!({
        "stream": STREAM, "topic": "payments.verdicts", "key": "key", "time": "time", "partitions": PARTITIONS,
        "schema": schema(),
    }))
    .unwrap();
    let log = kafka.log();
    log.create(&def).unwrap();
    let schema = Schema::parse_value(&def.schema).unwrap();
    let blocks = (0..PARTITIONS).flat_map(|partition| read_partition(&*log, PartitionIndex(partition)));
    let values = blocks.flat_map(|block| {
        assert!(block.refused.is_empty(), "unreadable: {:?}", block.refused);
        block.iter().map(|(_, bytes)| to_json(&schema, bytes).unwrap()).collect::<Vec<_>>()
    });
    let values = values.collect();
    kafka.close();
    values
}

fn read_partition(log: &dyn Log, partition: PartitionIndex) -> Vec<Records> {
    let (end, mut at) = (log.end(STREAM, Topic::Events, partition).unwrap(), Offset(0));
    let (mut all, deadline) = (Vec::new(), Instant::now() + READ);
    while at < end {
        let blocks = log.read(STREAM, Topic::Events, partition, at, 10_000, 4 << 20).unwrap();
        at = blocks.last().map_or(at, Records::next);
        all.extend(blocks);
        assert!(Instant::now() < deadline, "published verdicts of partition {partition} cannot be read beyond {at}");
    }
    all
}
