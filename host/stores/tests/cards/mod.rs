//! A stream of payments by card, with one derived from it by device, on an engine over a data folder.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_core::names::Partition;
use assay_engine::ports::catalog::{Change, Kind};
use assay_engine::ports::log::Topic;
use assay_engine::ports::{Ports, StreamPartition};
use assay_engine::{Engine, EngineConfig, Metrics};
use assay_runtime::{Runtime, RuntimeConfig};
use assay_stores::embedded::{Config, Embedded};
use serde_json::{Value, json};

/// The longest a test waits for something that comes soon.
const PATIENCE: Duration = Duration::from_secs(60);
/// The streams and their partitions.
pub(crate) const STREAMS: [(&str, u32); 2] = [("payments", 2), ("by_device", 3)];

/// An engine over a data folder; stops when it is dropped.
pub(crate) struct Running {
    pub(crate) engine: Engine,
    pub(crate) store: Embedded,
}

impl Running {
    /// Starts an engine over a folder.
    pub(crate) fn start(dir: &Path) -> Self {
        let store = Embedded::open(dir, &Config::default()).unwrap();
        let runtime = Runtime::new(RuntimeConfig::default()).unwrap();
        let checkpoint_every = Duration::from_millis(50);
        let config = EngineConfig { workers: 2, batch_rows: 64, checkpoint_every, ..EngineConfig::default() };
        let engine = Engine::start(store.ports(), runtime, config, Arc::new(Metrics::new())).unwrap();
        Self { engine, store }
    }

    /// Makes the streams with their views and rules. `retention` is that of the payments.
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
        let change = |kind, name: &str, body| Change { kind, name: name.to_owned(), body: Some(body) };
        let changes = vec![
            change(
                Kind::Stream,
                stream,
                json!({ "stream": stream, "key": "card", "time": "at", "id": "id",
                "partitions": cards, "schema": schema, "retention": retention }),
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
        self.engine.change(changes, "test", None, false).unwrap();
    }

    /// Takes in some events and waits until they are durable.
    pub(crate) fn ingest(&self, events: impl Iterator<Item = Value>) {
        let mut ingest = self.engine.ingest("payments").unwrap();
        events.for_each(|event| ingest.push_json(event.to_string().as_bytes()).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(ingest.submit().unwrap().durable()).unwrap();
    }

    /// The adapters.
    pub(crate) fn ports(&self) -> Ports {
        self.store.ports()
    }

    /// Waits until everything is scored, saved and followed.
    pub(crate) fn until_followed(&self) {
        let ports = self.ports();
        let end = |of: &StreamPartition, topic| ports.log.end(&of.stream, topic, of.partition).unwrap();
        until("everything is followed", || {
            let source = partitions()[..2].iter().all(|of| {
                let saved = |of: &StreamPartition| ports.state.checkpoint(of).unwrap().unwrap_or_default().events;
                saved(&assay_engine::progress_of("by_device", of.partition)) == end(of, Topic::Events)
            });
            source
                && partitions().iter().all(|of| {
                    let (events, verdicts) = (end(of, Topic::Events), end(of, Topic::Verdicts));
                    let scored = ports.state.checkpoint(of).unwrap().unwrap_or_default();
                    (scored.events, scored.verdicts) == (events, verdicts)
                        && ports.archive.events_position(of).unwrap() == events
                        && ports.archive.verdicts_position(of).unwrap() == verdicts
                        && ports.profiles.position(of).unwrap() == verdicts
                        && ports.dead_letters.position(of).unwrap() == verdicts
                })
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.engine.shutdown();
    }
}

/// All partitions, those of the payments first.
pub(crate) fn partitions() -> Vec<StreamPartition> {
    let of = |stream: &str, partition| StreamPartition { stream: stream.into(), partition: Partition(partition) };
    STREAMS.iter().flat_map(|(stream, count)| (0..*count).map(|partition| of(stream, partition))).collect()
}

/// A payment: those of a card come again and again, every ninth has an amount of 0, every seventh no device.
pub(crate) fn payment(number: u64, card: &str) -> Value {
    let device = (!number.is_multiple_of(7)).then(|| format!("device-{}", number % 5));
    let amount = if number.is_multiple_of(9) { 0.0 } else { (number % 1000) as f64 / 8.0 };
    json!({ "id": format!("p{number}"), "card": card, "device": device, "amount": amount,
        "at": 1_700_000_000_000_i64 + number as i64 * 400 })
}

/// Waits until something is so.
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
