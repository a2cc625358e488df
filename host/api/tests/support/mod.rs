//! A real server on loopback: the API over an engine on the embedded store in a folder of its own.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

pub mod routes;

use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_api::{ApiConfig, App, first_key};
use assay_embedded::{Config, Embedded};
use assay_engine::{Engine, EngineConfig, Metrics};
use assay_runtime::{Runtime, RuntimeConfig};
use serde_json::{Value, json};

/// The longest a test waits for something that comes in milliseconds.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// A server that stops when it is dropped.
pub struct Server {
    pub engine: Engine,
    pub url: String,
    /// The secret of the key `admin`.
    pub admin: String,
    agent: ureq::Agent,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    serving: Option<std::thread::JoinHandle<()>>,
    pub store: Embedded,
    _dir: tempfile::TempDir,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub headers: ureq::http::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The body of an answer that must have this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// The problem of an answer that must have this status and code.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.content_type, "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["type"], format!("urn:assay:{code}"), "{problem}");
        assert_eq!(problem["status"], status);
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
        problem
    }
}

impl Server {
    pub fn start() -> Self {
        Self::with(ApiConfig::default())
    }

    pub fn with(config: ApiConfig) -> Self {
        Self::with_engine(config, |_| {})
    }

    /// With another config of the engine.
    pub fn with_engine(config: ApiConfig, change: impl FnOnce(&mut EngineConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Embedded::open(dir.path(), &Config { cache_bytes: 8 << 20, ..Config::default() }).unwrap();
        let runtime = Runtime::new(RuntimeConfig::default()).unwrap();
        let mut engine_config = EngineConfig { workers: 2, partitions: 4, ..EngineConfig::default() };
        change(&mut engine_config);
        let engine = Engine::start(store.ports(), runtime, engine_config, Arc::new(Metrics::new())).unwrap();
        let admin = first_key(&engine).unwrap().expect("a fresh catalog has no key");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let app = App::new(engine.clone(), config);
        let serving = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let shutdown = async {
                    let _ = stopped.await;
                };
                assay_api::run(listener, app, shutdown).await.unwrap();
            });
        });
        let agent =
            ureq::Agent::config_builder().http_status_as_error(false).allow_non_standard_methods(true).build().into();
        Self { engine, url, admin, agent, stop: Some(stop), serving: Some(serving), store, _dir: dir }
    }

    /// Sends a request with a key and a body of a content type.
    pub fn send(&self, method: &str, path: &str, key: Option<&str>, body: Option<(&str, &[u8])>) -> Answer {
        self.send_with(method, path, key, body, &[])
    }

    /// Sends a request of the key `admin` with more headers.
    pub fn admin_with(&self, method: &str, path: &str, body: Option<(&str, &[u8])>, more: &[(&str, &str)]) -> Answer {
        self.send_with(method, path, Some(&self.admin), body, more)
    }

    pub fn send_with(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Option<(&str, &[u8])>,
        more: &[(&str, &str)],
    ) -> Answer {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        if let Some((content_type, _)) = body {
            request = request.header("content-type", content_type);
        }
        let sent = match body {
            Some((_, bytes)) => self.agent.run(request.body(bytes).unwrap()),
            None => self.agent.run(request.body(()).unwrap()),
        };
        let mut response = sent.unwrap();
        Answer {
            status: response.status().as_u16(),
            content_type: response.headers().get("content-type").map_or("", |kind| kind.to_str().unwrap()).to_owned(),
            headers: response.headers().clone(),
            text: String::from_utf8_lossy(&response.body_mut().read_to_vec().unwrap()).into_owned(),
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, Some(&self.admin), None)
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, Some(&self.admin), None)
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(&self.admin), Some(("application/json", body.to_string().as_bytes())))
    }

    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, Some(&self.admin), Some(("application/json", body.to_string().as_bytes())))
    }

    pub fn put_yaml(&self, path: &str, body: &str) -> Answer {
        self.send("PUT", path, Some(&self.admin), Some(("application/yaml", body.as_bytes())))
    }

    pub fn ndjson(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, Some(&self.admin), Some(("application/x-ndjson", body.as_bytes())))
    }

    /// Makes a key with a role and returns its secret.
    pub fn key(&self, name: &str, role: &str) -> String {
        let made = self.post("/v1/keys", &json!({"name": name, "roles": [role]})).expect(201);
        made["key"].as_str().unwrap().to_owned()
    }

    /// Asks again until the answer is as wanted: sinks come a moment after the verdicts.
    #[track_caller]
    pub fn until(&self, path: &str, wanted: impl Fn(&Answer) -> bool) -> Value {
        let deadline = Instant::now() + WAIT_TIMEOUT;
        loop {
            let answer = self.get(path);
            if wanted(&answer) {
                return answer.json();
            }
            assert!(Instant::now() < deadline, "{path} still answers {} {}", answer.status, answer.text);
            std::thread::yield_now();
        }
    }

    /// Orders the server to stop and waits until it has.
    pub fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }

    /// A stream of payments, a view of what cards spend, and two expression rules.
    pub fn define_payments(&self) {
        self.put_yaml("/v1/streams/payments", PAYMENTS).expect(201);
        self.put_yaml("/v1/views/card_spend", CARD_SPEND).expect(201);
        self.put_yaml("/v1/rules/big", BIG).expect(201);
        self.put_yaml("/v1/rules/spender", SPENDER).expect(201);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        self.engine.shutdown();
        let _ = self.store.shutdown();
    }
}

pub const PAYMENTS: &str = "
stream: payments
key: card
time: time
id: id
schema:
  type: record
  name: Payment
  fields:
    - { name: id, type: string }
    - { name: card, type: string }
    - { name: amount, type: double }
    - { name: time, type: { type: long, logicalType: timestamp-millis } }
";

pub const CARD_SPEND: &str = "
view: card_spend
stream: payments
by: [card]
measures: { payments: count(), spent: sum(amount) }
over: 1h
";

pub const BIG: &str = "
rule: big
stream: payments
when: amount >= 10.0
score: amount / 1000.0
tags: { huge: score >= 0.5 }
";

pub const SPENDER: &str = "
rule: spender
stream: payments
score: views.card_spend.spent / 1000.0
tags: { spender: score >= 1.0 }
";

/// A payment.
pub fn payment(id: &str, card: &str, amount: f64, time: i64) -> Value {
    json!({"id": id, "card": card, "amount": amount, "time": time})
}

/// A text percent-encoded, to be one segment of a path or one value of a query.
pub fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// An Avro object container file with records in one block.
pub fn avro_file(schema: &str, records: &[Vec<u8>]) -> Vec<u8> {
    avro_blocks(schema, &[(records.len() as i64, &records.concat())])
}

/// An Avro object container file of blocks: how many records each says that it has, and its bytes.
pub fn avro_blocks(schema: &str, blocks: &[(i64, &[u8])]) -> Vec<u8> {
    use assay_core::wire::put_signed;
    const SYNC: [u8; 16] = [7; 16];
    let mut file = b"Obj\x01".to_vec();
    put_signed(&mut file, 1);
    for text in ["avro.schema", schema] {
        put_signed(&mut file, text.len() as i64);
        file.extend_from_slice(text.as_bytes());
    }
    file.push(0);
    file.extend_from_slice(&SYNC);
    for (count, bytes) in blocks {
        put_signed(&mut file, *count);
        put_signed(&mut file, bytes.len() as i64);
        file.extend_from_slice(bytes);
        file.extend_from_slice(&SYNC);
    }
    file
}
