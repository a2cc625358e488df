//! The state of every handler: the engine, the keys, the limits.

use std::sync::Arc;
use std::time::Duration;

use assay_engine::Engine;
use axum::body::Body;
use axum::http::HeaderMap;
use tokio::sync::{Semaphore, watch};

use crate::auth::KeyRing;
use crate::http::{ApiError, BodyReader, Budget, HeldBody};
use crate::ingest::answer_units;

/// The API's limits. A request that exceeds one gets an error that names it.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// The largest body of events, in bytes.
    pub max_events_body: usize,
    /// The number of events a request may hold.
    pub max_events: usize,
    /// The largest body of a definition or of a set of changes, in bytes.
    pub max_definition_body: usize,
    /// The largest plugin, in bytes.
    pub max_plugin_body: usize,
    /// Bytes of memory for the bodies of all requests.
    pub max_in_flight: usize,
    /// About how many bytes of verdict blocks all answers with verdicts may read at once.
    pub max_answers_in_flight: usize,
    /// The number of connections that may be open. Beyond it idle ones are closed for new ones, those without a key first. If
    /// none is idle, new ones wait in the listener's queue.
    pub max_connections: usize,
    /// The number of connections of one address that may be open without an accepted key. Beyond it the oldest idle one is
    /// closed.
    pub max_keyless_per_address: usize,
    /// The time a connection may be idle while none of its requests had an accepted key.
    pub keyless_timeout: Duration,
    /// The time a body may wait for memory before its request is refused with 503.
    pub queue_timeout: Duration,
    /// The time a client may take to send a request's head. A connection may be idle for the same time.
    pub head_timeout: Duration,
    /// The time a client may take to send a request's body.
    pub body_timeout: Duration,
    /// Origins whose pages may send requests, such as `https://example.com`. Empty: none.
    pub cors_origins: Vec<String>,
    /// The number of clients that may read live verdicts.
    pub max_live_clients: usize,
    /// The longest pause between two events of a live stream.
    pub live_heartbeat: Duration,
    /// The longest `timeout` of `?wait=verdicts`.
    pub max_wait: Duration,
    /// The time requests in flight may take after the shutdown has begun.
    pub drain_timeout: Duration,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            max_events_body: 32 << 20,
            max_events: 100_000,
            max_definition_body: 4 << 20,
            max_plugin_body: 16 << 20,
            max_in_flight: 256 << 20,
            max_answers_in_flight: 64 << 20,
            max_connections: 1024,
            max_keyless_per_address: 128,
            keyless_timeout: Duration::from_secs(5),
            queue_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(60),
            cors_origins: Vec::new(),
            max_live_clients: 64,
            live_heartbeat: Duration::from_secs(15),
            max_wait: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(20),
        }
    }
}

/// The API over one engine. Cheap to clone.
#[derive(Clone)]
pub struct App {
    pub(crate) engine: Engine,
    pub(crate) config: Arc<ApiConfig>,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) budget: Budget,
    /// One permit per unit of verdict blocks that answers may read at once.
    pub(crate) answers: Arc<Semaphore>,
    /// One permit per client that may read live verdicts.
    pub(crate) live_clients: Arc<Semaphore>,
    /// True when live streams must end.
    pub(crate) stopping: Arc<watch::Sender<bool>>,
}

impl App {
    /// The API over an engine.
    pub fn new(engine: Engine, config: ApiConfig) -> Self {
        let largest_body = config.max_events_body.max(config.max_definition_body).max(config.max_plugin_body);
        Self {
            engine,
            keys: Arc::default(),
            budget: Budget::new(config.max_in_flight, largest_body, config.queue_timeout),
            answers: Arc::new(Semaphore::new(answer_units(config.max_answers_in_flight))),
            live_clients: Arc::new(Semaphore::new(config.max_live_clients)),
            stopping: Arc::default(),
            config: Arc::new(config),
        }
    }

    /// Reads a request's body of at most `limit` bytes. `advice` is the end of the error about a larger one.
    pub(crate) async fn read_body(
        &self,
        headers: &HeaderMap,
        body: Body,
        limit: usize,
        advice: &str,
    ) -> Result<HeldBody, ApiError> {
        let reader = BodyReader { budget: &self.budget, timeout: self.config.body_timeout };
        reader.read(headers, body, limit, advice).await
    }

    /// Runs blocking work on a thread of the blocking pool.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Engine) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let engine = self.engine.clone();
        match tokio::task::spawn_blocking(move || work(&engine)).await {
            Ok(result) => result,
            Err(error) => {
                tracing::error!(%error, "a request's work panicked");
                Err(ApiError::internal())
            }
        }
    }
}
