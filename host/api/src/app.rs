//! What every handler has at hand: the engine, the keys, the limits.

use std::sync::Arc;
use std::time::Duration;

use assay_engine::Engine;
use tokio::sync::{Semaphore, watch};

use crate::auth::KeyRing;
use crate::http::ApiError;
use crate::ingest::Budget;

/// The API's limits. Every one of them has an answer that says so when it is reached.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// The largest body of events, in bytes.
    pub max_events_body: usize,
    /// The most events in one request.
    pub max_events: usize,
    /// The largest body of a definition or of a set of changes, in bytes.
    pub max_definition_body: usize,
    /// The largest plugin, in bytes.
    pub max_plugin_body: usize,
    /// How many bytes of events may be on their way into the log at once, over all requests.
    pub max_events_in_flight: usize,
    /// The most open connections; more wait in the listener's queue.
    pub max_connections: usize,
    /// How long a request may wait for its turn before it is told to come back later.
    pub queue_timeout: Duration,
    /// How long a client may take to send a request's head, and how long a connection may idle.
    pub head_timeout: Duration,
    /// How long a client may take to send a request's body.
    pub body_timeout: Duration,
    /// Origins whose pages may ask, such as `https://example.com`; none: no page of another origin may.
    pub cors_origins: Vec<String>,
    /// The most clients that follow live verdicts at once.
    pub max_live_clients: usize,
    /// How long a client that follows live verdicts hears nothing at most.
    pub live_heartbeat: Duration,
    /// The longest `timeout` of `?wait=verdicts`.
    pub max_wait: Duration,
    /// How long requests in flight may take after the order to shut down.
    pub drain_timeout: Duration,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            max_events_body: 32 << 20,
            max_events: 100_000,
            max_definition_body: 4 << 20,
            max_plugin_body: 16 << 20,
            max_events_in_flight: 256 << 20,
            max_connections: 1024,
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
    /// A permit for each client that follows live verdicts.
    pub(crate) live_clients: Arc<Semaphore>,
    /// Whether requests without an end shall end.
    pub(crate) stopping: Arc<watch::Sender<bool>>,
}

impl App {
    /// The API over an engine.
    pub fn new(engine: Engine, config: ApiConfig) -> Self {
        let budget = Budget::new(config.max_events_in_flight, config.queue_timeout);
        let live_clients = Arc::new(Semaphore::new(config.max_live_clients));
        Self { engine, config: Arc::new(config), keys: Arc::default(), budget, live_clients, stopping: Arc::default() }
    }

    /// Runs what may block on a thread made for that.
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
