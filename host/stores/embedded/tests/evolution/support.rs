//! Definitions, events and readers of the tests.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use assay_core::names::{Offset, PartitionIndex};
use assay_core::time_range::TimeRange;
use assay_core::verdict::{Outcome, read_block};
use assay_engine::Engine;
use assay_engine::ports::Ports;
use assay_engine::ports::archive::HistoryQuery;
use assay_engine::ports::catalog::{Change, Definition, Kind};
use assay_engine::ports::log::{Records, Topic};
use serde_json::{Value, json};

use crate::manual_membership;

pub(crate) const PARTITIONS: u32 = 3;
const DERIVED_PARTITIONS: u32 = 2;
pub(crate) const CARDS: u64 = 50;
pub(crate) const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// Starts an engine that saves checkpoints only at changes, so that recovery has events to replay.
pub(crate) fn start(ports: Ports) -> Engine {
    manual_membership::start(ports, PARTITIONS, Duration::from_secs(3_600))
}

/// The stream with the common fields and these further fields.
pub(crate) fn stream(more: &Value) -> Change {
    let mut fields = vec![
        json!({ "name": "id", "type": "string" }),
        json!({ "name": "card", "type": "string" }),
        json!({ "name": "device", "type": ["null", "string"], "default": null }),
        json!({ "name": "amount", "type": "double" }),
        json!({ "name": "at", "type": { "type": "long", "logicalType": "timestamp-millis" } }),
    ];
    fields.splice(2..2, more.as_array().unwrap().iter().cloned());
    let schema = json!({ "type": "record", "name": "payment", "fields": fields });
    let body = json!({ "stream": "payments", "key": "card", "time": "at", "id": "id", "schema": schema });
    change(Kind::Stream, "payments", body)
}

pub(crate) fn change(kind: Kind, name: &str, body: Value) -> Change {
    Change::from_json(kind, name, body)
}

/// The schema of a stream that is to be changed.
pub(crate) fn schema_of(change: &mut Change) -> &mut Value {
    match &mut change.definition {
        Some(Definition::Stream(def)) => &mut def.schema,
        other => panic!("expected a stream, got {other:?}"),
    }
}

/// The further fields of four schemas. Each schema reads the events of earlier ones, and the last two read each other's.
pub(crate) fn schemas() -> [Value; 4] {
    let country = json!({ "name": "country", "type": "string", "default": "??" });
    let note = json!({ "name": "note", "type": ["null", "string"], "default": null });
    let level = |symbols: Value| {
        json!({ "name": "level", "default": "low",
                "type": { "type": "enum", "name": "level", "symbols": symbols, "default": "low" } })
    };
    [
        json!([note.clone(), { "name": "n", "type": "int", "default": 1 }]),
        json!([country.clone(), { "name": "n", "type": "long", "default": 2 }]),
        json!([level(json!(["low", "high"])), note, country.clone()]),
        json!([country, level(json!(["high", "low"])), { "name": "n", "type": "double", "default": 3.5 }]),
    ]
}

pub(crate) fn define(engine: &Engine) {
    let measures = json!({ "n": "count()", "sum": "sum(amount)" });
    let view = json!({ "view": "spend", "stream": "payments", "by": ["card"], "over": "1h", "measures": measures });
    let rule = json!({ "rule": "total", "stream": "payments", "score": "views.spend.sum + double(views.spend.n)" });
    let derived =
        json!({ "stream": "by_device", "from": "payments", "key": "device", "partitions": DERIVED_PARTITIONS });
    let seen = json!({ "view": "seen", "stream": "by_device", "by": ["device"], "measures": measures });
    let changes = vec![
        stream(&schemas()[0]),
        change(Kind::View, "spend", view),
        change(Kind::Rule, "total", rule),
        change(Kind::Stream, "by_device", derived),
        change(Kind::View, "seen", seen),
    ];
    engine.catalog().change(changes, "test", None, false).unwrap();
}

pub(crate) fn event(number: u64) -> Value {
    json!({
        "id": format!("p{number}"),
        "card": format!("card-{}", number.wrapping_mul(31) % CARDS),
        "device": format!("device-{}", number % 7),
        "amount": (number % 1000) as f64 / 8.0,
        "at": 1_700_000_000_000_i64 + number as i64 * 400,
    })
}

pub(crate) fn ingest(engine: &Engine, numbers: std::ops::Range<u64>) {
    let mut ingest = engine.ingest().begin("payments").unwrap();
    numbers.for_each(|number| ingest.push_json(event(number).to_string().as_bytes()).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(ingest.submit().unwrap().durable()).unwrap();
}

/// Reads the outcome of each event, by the event's id.
pub(crate) fn outcomes(ports: &Ports) -> BTreeMap<String, Outcome> {
    let mut outcomes = BTreeMap::new();
    for partition in (0..PARTITIONS).map(PartitionIndex) {
        let mut at = Offset(0);
        loop {
            let blocks = ports.log.read("payments", Topic::Verdicts, partition, at, 1000, 1 << 24).unwrap();
            let Some(last) = blocks.last() else { break };
            at = last.next();
            for (_, block) in blocks.iter().flat_map(Records::iter) {
                for outcome in read_block(block).unwrap().outcomes {
                    assert!(outcome.failures.is_empty(), "{outcome:?}");
                    let before = outcomes.insert(outcome.id.clone(), outcome.clone());
                    assert!(before.is_none_or(|before| before == outcome), "a repeated verdict is the same again");
                }
            }
        }
    }
    outcomes
}

pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + WAIT_TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} within {WAIT_TIMEOUT:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The number of events of each schema in the log.
pub(crate) fn count_events_by_schema(ports: &Ports) -> BTreeMap<u32, u64> {
    let mut counts = BTreeMap::new();
    for partition in (0..PARTITIONS).map(PartitionIndex) {
        let mut at = Offset(0);
        loop {
            let blocks = ports.log.read("payments", Topic::Events, partition, at, 1000, 1 << 24).unwrap();
            let Some(last) = blocks.last() else { break };
            at = last.next();
            blocks.iter().for_each(|block| *counts.entry(block.schema).or_default() += block.len() as u64);
        }
    }
    counts
}

/// The number of events in the log of the derived stream.
pub(crate) fn count_derived_events(ports: &Ports) -> u64 {
    let end = |partition| ports.log.end("by_device", Topic::Events, PartitionIndex(partition)).unwrap().0;
    (0..DERIVED_PARTITIONS).map(end).sum()
}

/// All events of an entity as JSON, from the archive.
pub(crate) fn history(engine: &Engine, ports: &Ports, stream: &str, key: &str) -> Vec<Value> {
    let partition = engine.queries().partition_of(stream, key).unwrap();
    let query = HistoryQuery { key: key.to_owned(), times: TimeRange::ALL, limit: 10_000, cursor: None };
    let events = ports.archive.history(&partition, &query).unwrap().items;
    events.iter().map(|event| engine.queries().event_json(stream, event).unwrap()).collect()
}
