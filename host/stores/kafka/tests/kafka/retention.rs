//! Retention of topics: the kept records, the count of lost ones, and the warning before a loss.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use assay_core::names::{Offset, PartitionIndex};
use assay_core::stream::Format;
use assay_embedded::Embedded;
use assay_engine::ports::catalog::{Change, Kind};
use assay_engine::ports::log::{Durability, Kept, Log, Records, Topic};
use assay_engine::ports::series::{Point, TimeSeries};
use assay_engine::ports::state::{Checkpoint, StateRow, StateStore};
use assay_engine::ports::{PartitionId, Ports, RejectedItem, StoreError};
use assay_engine::{Engine, EngineConfig, Metrics, now_ms};
use assay_kafka::{Config, Kafka};
use assay_runtime::{Runtime, RuntimeConfig};
use serde_json::json;

use super::contract::{card, events};
use super::formats::payments;
use super::peer::delete_before;
use super::support::{MemoryRegistry, config, unique, wait_until};

const HOUR_MS: i64 = 3_600_000;

/// Settings of topics that keep records for an hour and 100 MB.
fn config_with_retention(topic: &str) -> Config {
    let keep =
        [("retention.ms", "3600000"), ("retention.bytes", "100000000"), ("message.timestamp.type", "CreateTime")];
    let topic_properties = keep.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Config { topic_properties, ..config(topic) }
}

fn append(log: &dyn Log, records: Records) {
    let batches = vec![(PartitionIndex(0), records)];
    let receipt = log.append("payments", Topic::Events, batches, Durability::Synced).unwrap();
    receipt.blocking_recv().unwrap().unwrap();
}

/// Appends events of these cards with an age, in ms.
fn append_aged(log: &dyn Log, cards: std::ops::Range<u64>, age: i64) {
    let cards: Vec<String> = cards.map(|card| card.to_string()).collect();
    append(log, Records { appended_at: now_ms() - age, ..events(&cards) });
}

/// The offsets of the records from an offset on; waits for the first one.
fn read(log: &dyn Log, from: u64) -> Vec<u64> {
    let mut offsets = Vec::new();
    wait_until("there is something", || {
        let blocks = log.read("payments", Topic::Events, PartitionIndex(0), Offset(from), 1000, 1 << 20).unwrap();
        for (offset, record) in blocks.iter().flat_map(Records::iter) {
            assert_eq!(card(record), offset.to_string());
            offsets.push(offset.0);
        }
        !offsets.is_empty()
    });
    offsets
}

/// The numbers of lost events and of lost verdict blocks.
fn lost(log: &dyn Log) -> [u64; 2] {
    let lost = log.lost();
    assert!(lost.iter().all(|one| &*one.stream == "payments") && lost.len() == 2, "{lost:?}");
    [Topic::Events, Topic::Verdicts].map(|topic| lost.iter().find(|one| one.topic == topic).unwrap().records)
}

/// A log of its own on a stream with one partition.
fn open(topic: &str) -> (Kafka, Arc<dyn Log>) {
    let kafka = Kafka::open(config_with_retention(topic), Arc::<MemoryRegistry>::default()).unwrap();
    let log = kafka.log();
    payments(&*log, topic, Format::Avro, 1);
    (kafka, log)
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn kept_follows_the_settings_of_the_topic() {
    let topic = unique();
    let (_kafka, log) = open(&topic);
    append_aged(&*log, 0..10, 0);
    let hour = Some(std::time::Duration::from_secs(3600));
    let kept = |topic| log.kept("payments", topic, PartitionIndex(0)).unwrap();
    let all = Kept { first: Offset(0), max_age: hour, max_bytes: Some(100_000_000) };
    assert_eq!(kept(Topic::Events), all);
    assert_eq!(kept(Topic::Verdicts), all);
    delete_before(&topic, 0, 4);
    wait_until("the first four are gone", || kept(Topic::Events) == Kept { first: Offset(4), ..all });
    delete_before(&topic, 0, 10);
    wait_until("all are gone", || kept(Topic::Events).first == Offset(10));
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn lost_records_are_counted_once() {
    let topic = unique();
    let (_first, log) = open(&topic);
    append_aged(&*log, 0..20, 0);
    delete_before(&topic, 0, 8);
    let (_second, log) = open(&topic);
    assert_eq!(lost(&*log), [0, 0]);
    assert_eq!(read(&*log, 0)[0], 8, "who begins finds the first that is left");
    assert_eq!(lost(&*log), [0, 0], "and has lost nothing");
    assert_eq!(read(&*log, 5)[0], 8);
    assert_eq!(lost(&*log), [3, 0]);
    // Another reader, and one that tries again.
    assert_eq!((read(&*log, 6)[0], read(&*log, 5)[0]), (8, 8));
    assert_eq!(lost(&*log), [3, 0]);
    assert_eq!(read(&*log, 1)[0], 8);
    assert_eq!(lost(&*log), [7, 0]);
    assert_eq!(read(&*log, 12)[0], 12);
    assert_eq!(lost(&*log), [7, 0]);
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn an_idle_reader_counts_lost_records() {
    let topic = unique();
    let (_kafka, log) = open(&topic);
    append_aged(&*log, 0..10, 0);
    assert_eq!(read(&*log, 0).len(), 10);
    // Its reader waits at the end, and may or may not fetch what comes before it is deleted.
    append_aged(&*log, 10..20, 0);
    delete_before(&topic, 0, 15);
    let (mut found, mut next) = (Vec::new(), 10);
    while next < 20 {
        found.extend(read(&*log, next));
        next = found.last().unwrap() + 1;
    }
    assert_eq!(found.len() as u64 + lost(&*log)[0], 10, "{found:?}");
    assert!(found.ends_with(&[15, 16, 17, 18, 19]), "{found:?}");
}

/// Stores that can be switched off; then every write fails.
struct SwitchableStores {
    is_down: AtomicBool,
    series: Mutex<Offset>,
    state: Arc<dyn StateStore>,
}

impl SwitchableStores {
    fn check(&self) -> Result<(), StoreError> {
        match self.is_down.load(Ordering::SeqCst) {
            true => Err(StoreError::Unavailable { store: "switched", message: "off".to_owned() }),
            false => Ok(()),
        }
    }
}

impl TimeSeries for SwitchableStores {
    fn events_position(&self, _: &PartitionId) -> Result<Offset, StoreError> {
        Ok(*self.series.lock().unwrap())
    }

    fn write_events(&self, _: &PartitionId, _: Vec<Point>, next: Offset) -> Result<Vec<RejectedItem>, StoreError> {
        self.check()?;
        *self.series.lock().unwrap() = next;
        Ok(Vec::new())
    }

    fn verdicts_position(&self, _: &PartitionId) -> Result<Offset, StoreError> {
        Ok(Offset(0))
    }

    fn write_verdicts(&self, _: &PartitionId, _: Vec<Point>, _: Offset) -> Result<Vec<RejectedItem>, StoreError> {
        Ok(Vec::new())
    }

    fn write(&self, _: Vec<Point>) -> Result<Vec<RejectedItem>, StoreError> {
        Ok(Vec::new())
    }
}

impl StateStore for SwitchableStores {
    fn checkpoint(&self, partition: &PartitionId) -> Result<Option<Checkpoint>, StoreError> {
        self.state.checkpoint(partition)
    }

    fn load(&self, partition: &PartitionId, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.state.load(partition, keys)
    }

    fn save(&self, partition: &PartitionId, checkpoint: &Checkpoint, rows: &[StateRow]) -> Result<(), StoreError> {
        self.check()?;
        self.state.save(partition, checkpoint, rows)
    }
}

fn define(engine: &Engine, topic: &str) {
    let body = json!({
        "stream": "payments", "topic": topic, "format": "avro", "key": "card", "time": "time", "partitions": 1,
        "series": { "fields": ["card"] },
        "schema": { "type": "record", "name": "payment", "fields": [
            { "name": "card", "type": "string" },
            { "name": "time", "type": { "type": "long", "logicalType": "timestamp-millis" } },
        ]},
    });
    let stream = Change::from_json(Kind::Stream, "payments", body);
    engine.catalog().change(vec![stream], "test", None, false).unwrap();
}

/// The warning of a part in the readiness report, if it has one.
fn warning(engine: &Engine, part: &str) -> Option<String> {
    let parts = engine.status().readiness().parts;
    parts.into_iter().find(|one| one.component.to_string() == part && !one.warning.is_empty()).map(|one| one.warning)
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn readers_are_warned_before_retention_outruns_them() {
    const PARTS: [&str; 2] = ["sink series-events", "partition payments/0"];
    let topic = unique();
    let kafka = Kafka::open(config_with_retention(&topic), Arc::<MemoryRegistry>::default()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let embedded = Embedded::open(dir.path(), &assay_embedded::Config::default()).unwrap();
    let state = embedded.ports().state;
    let stores = Arc::new(SwitchableStores { is_down: AtomicBool::new(false), series: Mutex::default(), state });
    let ports = Ports {
        log: kafka.log(),
        membership: kafka.membership(),
        state: stores.clone(),
        series: Some(stores.clone()),
        ..embedded.ports()
    };
    let config = EngineConfig { sinks: ["series-events".to_owned()].into(), ..EngineConfig::default() };
    let runtime = Runtime::new(RuntimeConfig::default()).unwrap();
    let engine = Engine::start(ports, runtime, config, Arc::new(Metrics::new())).unwrap();
    define(&engine, &topic);
    wait_until("the partition is open", || {
        let readiness = engine.status().readiness();
        readiness.ready && readiness.parts.iter().any(|part| part.component.to_string() == PARTS[1])
    });

    stores.is_down.store(true, Ordering::SeqCst);
    append_aged(&*kafka.log(), 0..3, HOUR_MS * 2 / 3);
    wait_until("both are warned of", || PARTS.iter().all(|part| warning(&engine, part).is_some()));
    let warning_text = warning(&engine, PARTS[0]).unwrap();
    assert!(
        warning_text.contains("series-events needs payments/0 from offset 0 on, which is 40m old"),
        "{warning_text}"
    );
    assert!(warning_text.contains("the topic keeps 1h: 19m left"), "{warning_text}");
    let warning_text = warning(&engine, PARTS[1]).unwrap();
    assert!(warning_text.contains("scoring and its checkpoint need payments/0 from offset 0 on"), "{warning_text}");
    assert!(engine.status().readiness().ready, "nothing is wrong yet");
    let measured = engine.status().encode_metrics();
    for reader in ["series-events", "scoring"] {
        let labels = format!("{{reader=\"{reader}\",stream=\"payments\"}}");
        let value = |name: &str| {
            let line = measured.lines().find_map(|line| line.strip_prefix(&format!("{name}{labels} ")));
            line.unwrap_or_else(|| panic!("{name}{labels} in {measured}")).parse::<i64>().unwrap()
        };
        assert_eq!(value("assay_partitions_near_retention"), 1);
        assert!((1100..=1200).contains(&value("assay_retention_left_seconds")), "{measured}");
    }
    for topic in ["events", "verdicts"] {
        let line = format!("assay_log_lost_records_total{{stream=\"payments\",topic=\"{topic}\"}} 0\n");
        assert!(measured.contains(&line), "a counter that is not there before it counts alarms nobody: {measured}");
    }

    stores.is_down.store(false, Ordering::SeqCst);
    wait_until("nobody is warned of", || PARTS.iter().all(|part| warning(&engine, part).is_none()));
    assert!(!engine.status().encode_metrics().contains("reader=\""), "who is not behind is not measured");
    engine.shutdown();
    kafka.close();
}
