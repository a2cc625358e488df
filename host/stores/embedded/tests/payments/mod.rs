//! An engine with a stream of payments by card, and a derived stream of the same events by device.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_core::names::PartitionIndex;
use assay_embedded::{Config, Embedded};
use assay_engine::ports::catalog::{Change, Kind};
use assay_engine::ports::log::Topic;
use assay_engine::ports::{PartitionId, Ports};
use assay_engine::{Engine, EngineConfig, Metrics};
use assay_runtime::{Runtime, RuntimeConfig};
use serde_json::{Value, json};

/// The longest wait for a condition.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);
/// The streams and their numbers of partitions.
pub(crate) const STREAMS: [(&str, u32); 2] = [("payments", 2), ("by_device", 3)];

/// An engine over a data folder. The drop stops it.
pub(crate) struct TestEngine {
    pub(crate) engine: Engine,
    pub(crate) store: Embedded,
}

impl TestEngine {
    /// Starts an engine over a folder.
    pub(crate) fn start(dir: &Path) -> Self {
        Self::start_on(Embedded::open(dir, &Config::default()).unwrap())
    }

    /// Starts an engine over an open folder.
    pub(crate) fn start_on(store: Embedded) -> Self {
        let runtime = Runtime::new(RuntimeConfig::default()).unwrap();
        let checkpoint_every = Duration::from_millis(50);
        let config = EngineConfig { workers: 2, batch_rows: 64, checkpoint_every, ..EngineConfig::default() };
        let engine = Engine::start(store.ports(), runtime, config, Arc::new(Metrics::new())).unwrap();
        Self { engine, store }
    }

    /// Defines the streams, views and rules. `retention` is that of the payments.
    pub(crate) fn define(&self, retention: &Value) {
        let schema = json!({ "type": "record", "name": "payment", "fields": [
            { "name": "id", "type": "string" },
            { "name": "card", "type": "string" },
            { "name": "device", "type": ["null", "string"] },
            { "name": "amount", "type": "double" },
            { "name": "at", "type": { "type": "long", "logicalType": "timestamp-millis" } },
        ]});
        let [(stream, cards), (derived, devices)] = STREAMS;
        let measures = json!({ "n": "count()", "sum": "sum(amount)" });
        let change = |kind, name: &str, body| Change::from_json(kind, name, body);
        let changes = vec![
            change(
                Kind::Stream,
                stream,
                json!({ "stream": stream, "key": "card", "time": "at", "id": "id",
                "partitions": cards, "schema": schema, "retention": retention,
                "series": { "tags": [], "fields": ["card", "amount"] } }),
            ),
            change(
                Kind::View,
                "spend",
                json!({ "view": "spend", "stream": stream, "by": ["card"], "measures": measures }),
            ),
            change(
                Kind::Rule,
                "total",
                json!({ "rule": "total", "stream": stream,
                "score": "views.spend.sum + double(views.spend.n)", "tags": { "many": "views.spend.n > 3" } }),
            ),
            // Fails on an amount of 0.
            change(Kind::Rule, "ratio", json!({ "rule": "ratio", "stream": stream, "score": "1.0 / amount" })),
            change(
                Kind::Stream,
                derived,
                json!({ "stream": derived, "from": stream, "key": "device", "partitions": devices }),
            ),
            change(
                Kind::View,
                "seen",
                json!({ "view": "seen", "stream": derived, "by": ["device"], "measures": measures }),
            ),
            change(Kind::Rule, "count", json!({ "rule": "count", "stream": derived, "score": "double(views.seen.n)" })),
        ];
        self.engine.catalog().change(changes, "test", None, false).unwrap();
    }

    /// Ingests events and waits until they are durable.
    pub(crate) fn ingest(&self, events: impl Iterator<Item = Value>) {
        let mut ingest = self.engine.ingest().begin("payments").unwrap();
        events.for_each(|event| ingest.push_json(event.to_string().as_bytes()).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(ingest.submit().unwrap().durable()).unwrap();
    }

    /// The adapters.
    pub(crate) fn ports(&self) -> Ports {
        self.store.ports()
    }

    /// Waits until all events are scored and saved, and all sinks have written.
    pub(crate) fn wait_until_written(&self) {
        let ports = self.ports();
        let end =
            |partition: &PartitionId, topic| ports.log.end(&partition.stream, topic, partition.partition).unwrap();
        wait_until("all sinks have written", || {
            let source = partitions()[..2].iter().all(|partition| {
                let (derived, devices) = STREAMS[1];
                assay_engine::derived_up_to(&*ports.state, derived, devices, partition.partition).unwrap()
                    == end(partition, Topic::Events)
            });
            source
                && partitions().iter().all(|partition| {
                    let (events, verdicts) = (end(partition, Topic::Events), end(partition, Topic::Verdicts));
                    let scored = ports.state.checkpoint(partition).unwrap().unwrap_or_default();
                    (scored.events, scored.verdicts) == (events, verdicts)
                        && ports.archive.events_position(partition).unwrap() == events
                        && ports.archive.verdicts_position(partition).unwrap() == verdicts
                        && ports.profiles.position(partition).unwrap() == verdicts
                        && ports.dead_letters.position(partition).unwrap() == verdicts
                })
        });
    }
}

impl Drop for TestEngine {
    fn drop(&mut self) {
        self.engine.shutdown();
    }
}

/// All partitions, those of the payments first.
pub(crate) fn partitions() -> Vec<PartitionId> {
    let partition_id =
        |stream: &str, partition| PartitionId { stream: stream.into(), partition: PartitionIndex(partition) };
    STREAMS.iter().flat_map(|(stream, count)| (0..*count).map(|partition| partition_id(stream, partition))).collect()
}

/// A payment. Every ninth has the amount 0, every seventh has no device.
pub(crate) fn payment(number: u64, card: &str) -> Value {
    let device = (!number.is_multiple_of(7)).then(|| format!("device-{}", number % 5));
    let amount = if number.is_multiple_of(9) { 0.0 } else { (number % 1000) as f64 / 8.0 };
    json!({ "id": format!("p{number}"), "card": card, "device": device, "amount": amount,
        "at": 1_700_000_000_000_i64 + number as i64 * 400 })
}

/// Waits until a condition holds.
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + WAIT_TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} within {WAIT_TIMEOUT:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
