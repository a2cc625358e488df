//! A namespace of its own for each test, and direct requests to Dgraph.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use assay_dgraph::{Config, Dgraph};
use assay_engine::ports::graph::Graph;
use serde_json::{Value, json};

/// A namespace in Dgraph, dropped at the end of the test unless it failed.
pub(crate) struct Namespace {
    pub(crate) url: String,
    pub(crate) name: String,
}

impl Namespace {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let variable = "ASSAY_TEST_DGRAPH";
        let url = std::env::var(variable)
            .unwrap_or_else(|_| panic!("{variable} is not set: run `cargo xtask test --servers`"));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let name = format!("t{now}_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        Self { url, name }
    }

    pub(crate) fn open(&self) -> Arc<dyn Graph> {
        self.open_at(&self.url)
    }

    /// The adapter at another URL, such as a proxy's.
    pub(crate) fn open_at(&self, url: &str) -> Arc<dyn Graph> {
        Dgraph::open(&self.config(url)).unwrap().graph()
    }

    pub(crate) fn config(&self, url: &str) -> Config {
        Config { namespace: self.name.clone(), ..Config::new(url) }
    }

    /// Runs a DQL query in which `assay` stands for the namespace.
    pub(crate) fn query(&self, query: &str) -> Value {
        self.post("/query", "application/dql", &query.replace("assay.", &format!("{}.", self.name)))
    }

    pub(crate) fn alter(&self, schema: &str) {
        self.post("/alter", "application/dql", schema);
    }

    /// Drops all predicates of the adapter in this namespace.
    pub(crate) fn clear(&self) {
        for own in ["id", "edge", "edge.latest", "predicate", "position", "position.next"] {
            self.alter(&json!({ "drop_attr": format!("{}.{own}", self.name) }).to_string());
        }
    }

    pub(crate) fn post(&self, path: &str, content_type: &str, body: &str) -> Value {
        // A change of the schema by another test aborts transactions.
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let request = ureq::post(format!("{}{path}", self.url)).header("content-type", content_type);
            let answer = request.send(body.as_bytes()).unwrap().body_mut().read_to_string().unwrap();
            let answer: Value = serde_json::from_str(&answer).unwrap();
            if answer["errors"].is_null() {
                return answer["data"].clone();
            }
            assert!(answer.to_string().contains("retry") && Instant::now() < deadline, "{path} {body}: {answer}");
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.clear();
        }
    }
}
