//! An engine with two streams: `payments` with four expression rules and optionally a rule whose plugin loops forever on
//! amounts of 13, and `calm`.

#![allow(dead_code, reason = "each test file and bench uses a part of it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use assay_core::names::{Offset, PartitionIndex};
use assay_core::verdict::{Outcome, read_block};
use assay_embedded::{Config, Embedded};
use assay_engine::ports::Ports;
use assay_engine::ports::catalog::{Change, Kind, Revision};
use assay_engine::ports::log::{Records, Topic};
use assay_engine::{Engine, EngineConfig, Metrics};
use assay_runtime::{Limits, Runtime, RuntimeConfig};
use serde_json::{Value, json};

/// The longest wait for a condition.
const WAIT_TIMEOUT: Duration = Duration::from_secs(120);
/// The amount on which the plugin loops forever.
pub(crate) const ENDLESS: f64 = 13.0;
/// The expression rules of `payments`.
pub(crate) const OTHERS: [&str; 4] = ["big", "many", "small", "total"];

/// An engine over a data folder. The drop stops it.
pub(crate) struct TestEngine {
    pub(crate) engine: Engine,
    ports: Ports,
}

impl TestEngine {
    /// Starts an engine with one worker over a folder.
    pub(crate) fn start(dir: &Path, limits: Limits) -> Self {
        Self::start_with(dir, EngineConfig { limits, ..EngineConfig::default() })
    }

    /// Starts an engine with one worker, these settings and frequent checkpoints.
    pub(crate) fn start_with(dir: &Path, config: EngineConfig) -> Self {
        let checkpoint_every = Duration::from_millis(50);
        Self::start_over(dir, EngineConfig { checkpoint_every, ..config }, |ports| ports)
    }

    /// Starts an engine with one worker and these settings over the ports that `wrap` returns.
    pub(crate) fn start_over(dir: &Path, config: EngineConfig, wrap: impl FnOnce(Ports) -> Ports) -> Self {
        let store = Embedded::open(dir, &Config::default()).unwrap();
        let runtime = Runtime::new(RuntimeConfig::default()).unwrap();
        let config = EngineConfig { workers: 1, ..config };
        let ports = wrap(store.ports());
        let engine = Engine::start(ports.clone(), runtime, config, Arc::new(Metrics::new())).unwrap();
        Self { engine, ports }
    }

    /// Defines the streams and their rules, and with `with_loop` the endless rule.
    pub(crate) fn define(&self, with_loop: bool) {
        let schema = json!({ "type": "record", "name": "payment", "fields": [
            { "name": "id", "type": "string" },
            { "name": "card", "type": "string" },
            { "name": "amount", "type": "double" },
            { "name": "at", "type": { "type": "long", "logicalType": "timestamp-millis" } },
        ]});
        let stream = |name: &str, partitions: u32| {
            let body = json!({ "stream": name, "key": "card", "time": "at", "id": "id", "partitions": partitions,
                "schema": schema });
            change(Kind::Stream, name, body)
        };
        let measures = json!({ "n": "count()", "sum": "sum(amount)" });
        let view = json!({ "view": "spend", "stream": "payments", "by": ["card"], "measures": measures });
        let rule = |name: &str, stream: &str, score: &str| {
            change(Kind::Rule, name, json!({ "rule": name, "stream": stream, "score": score }))
        };
        let mut changes = vec![
            stream("payments", 2),
            stream("calm", 1),
            change(Kind::View, "spend", view),
            rule("big", "payments", "amount"),
            rule("many", "payments", "double(views.spend.n)"),
            rule("small", "payments", "amount / 1000.0"),
            rule("total", "payments", "views.spend.sum"),
            rule("calm", "calm", "amount"),
        ];
        if with_loop {
            self.engine.catalog().upload_plugin(hostile(), "test", false).unwrap();
            changes.push(change(Kind::Rule, "loops", endless_rule("active")));
        }
        self.engine.catalog().change(changes, "test", None, false).unwrap();
    }

    /// Ingests an event for each amount and waits until all are durable. `first` is the number of the first event.
    pub(crate) fn ingest(&self, stream: &str, first: usize, amounts: &[f64]) {
        let mut ingest = self.engine.ingest().begin(stream).unwrap();
        for (number, amount) in (first..).zip(amounts) {
            let event = json!({ "id": format!("p{number}"), "card": format!("card-{}", number % 50), "amount": amount,
                "at": 1_700_000_000_000_i64 + number as i64 * 400 });
            ingest.push_json(event.to_string().as_bytes()).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(ingest.submit().unwrap().durable()).unwrap();
    }

    /// The current revision of the endless rule.
    pub(crate) fn loop_revision(&self) -> Revision {
        self.ports.catalog.snapshot(None).unwrap().get(Kind::Rule, "loops").cloned().unwrap()
    }

    /// Reads all outcomes of a stream from the log, by partition and offset. Asserts that no event has two.
    pub(crate) fn outcomes(&self, stream: &str) -> BTreeMap<(u32, Offset), Outcome> {
        let log = &self.ports.log;
        let partitions = self.engine.catalog().plan().streams[stream].partitions;
        let mut outcomes = BTreeMap::new();
        for partition in 0..partitions {
            let mut at = Offset(0);
            loop {
                let blocks = log.read(stream, Topic::Verdicts, PartitionIndex(partition), at, 64, 4 << 20).unwrap();
                if blocks.is_empty() {
                    break;
                }
                for (offset, block) in blocks.iter().flat_map(Records::iter) {
                    for outcome in read_block(block).unwrap().outcomes {
                        let second = outcomes.insert((partition, outcome.offset), outcome);
                        assert!(second.is_none(), "judged twice: {second:?}");
                    }
                    at = offset.next();
                }
            }
        }
        outcomes
    }

    /// Waits until `events` events of a stream are judged. Returns their outcomes.
    pub(crate) fn wait_until_judged(&self, stream: &str, events: usize) -> BTreeMap<(u32, Offset), Outcome> {
        wait_until(&format!("{events} events of {stream} are judged"), || self.outcomes(stream).len() >= events);
        let outcomes = self.outcomes(stream);
        assert_eq!(outcomes.len(), events);
        outcomes
    }
}

impl Drop for TestEngine {
    fn drop(&mut self) {
        self.engine.shutdown();
    }
}

/// The definition of the endless rule, in a mode.
pub(crate) fn endless_rule(mode: &str) -> Value {
    json!({ "rule": "loops", "stream": "payments", "plugin": "hostile@1", "mode": mode,
        "inputs": { "a": "amount", "b": "amount" }, "config": { "mode": "loop", "value": ENDLESS } })
}

pub(crate) fn change(kind: Kind, name: &str, body: Value) -> Change {
    Change::from_json(kind, name, body)
}

/// Waits until a condition holds.
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + WAIT_TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} within {WAIT_TIMEOUT:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The guest `hostile` of the runtime's tests: its config selects its fault.
pub(crate) fn hostile() -> Vec<u8> {
    guest("hostile.wasm")
}

/// The guest `folding` of the runtime's tests: it folds values into a state.
pub(crate) fn folding() -> Vec<u8> {
    guest("folding.wasm")
}

fn guest(file: &str) -> Vec<u8> {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let path = FOLDER.get_or_init(build_guests).join(file);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn build_guests() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../runtime/tests/guests");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--locked", "--target", "wasm32-unknown-unknown", "--target-dir"])
        .arg(&target)
        .current_dir(source)
        // These settings are those of the host's build.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR")
        .status()
        .unwrap();
    assert!(status.success(), "the guests were not built; `rustup target add wasm32-unknown-unknown` may be missing");
    target.join("wasm32-unknown-unknown/release")
}
