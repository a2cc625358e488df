//! The sections of the config that every server has, with their defaults. The sections of the stores are in `stores`.

use std::path::PathBuf;
use std::time::Duration;

use assay_core::size::Size;
use assay_core::span::Span;
use serde::{Deserialize, Serialize};

use super::duration::ConfigDuration;

/// `[server]`: the HTTP server and its limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address and port to listen on.
    pub listen: String,
    /// Address and port of a second listener with `/healthz`, `/readyz` and `/metrics` only. Empty: no such listener.
    pub health_listen: String,
    /// The largest body of events, unpacked, in MiB.
    pub max_body_mib: usize,
    /// The number of events a request may hold.
    pub max_events: usize,
    /// Memory for the bodies of all requests, in MiB.
    pub max_in_flight_mib: usize,
    /// Memory for the verdicts in the answers of all requests, in MiB.
    pub max_answers_mib: usize,
    /// The number of connections that may be open.
    pub max_connections: usize,
    /// The number of connections of one address that may be open without an accepted key.
    pub max_keyless_per_address: usize,
    /// The time a connection without an accepted key may be idle.
    pub keyless_timeout: ConfigDuration,
    /// The number of clients that may read live verdicts.
    pub max_live_clients: usize,
    /// The time a client may take to send a request's head. A connection may be idle for the same time.
    pub head_timeout: ConfigDuration,
    /// The time a client may take to send a request's body.
    pub body_timeout: ConfigDuration,
    /// The longest timeout that a request may set for `?wait=verdicts`.
    pub max_wait: ConfigDuration,
    /// The time requests in flight may take after SIGTERM.
    pub drain: ConfigDuration,
}

/// `[cors]`: web pages of other origins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cors {
    /// Origins whose pages may send requests. `*` means all; an empty list means none.
    pub origins: Vec<String>,
}

/// `[data]`: the data folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// Path of the data folder.
    pub dir: PathBuf,
    /// Memory of the block cache, in MiB.
    pub cache_mib: u64,
    /// True to start although stored data is missing. Only the command line sets it, because it holds for one start.
    #[serde(skip)]
    pub accept_loss: bool,
}

/// `[retention]`: how long the data folder keeps events and verdicts of streams that set no retention. 0: for ever.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Events that were appended longer ago are deleted.
    pub events_age: Span,
    /// The oldest events of a stream are deleted while its events take more than this.
    pub events_size: Size,
    /// Verdicts that were appended longer ago are deleted.
    pub verdicts_age: Span,
    /// The oldest verdicts of a stream are deleted while its verdicts take more than this.
    pub verdicts_size: Size,
}

/// `[engine]`: scoring and the sinks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Engine {
    /// The number of threads that score events; 0: one per core.
    pub workers: usize,
    /// The number of partitions of a new stream that sets none.
    pub partitions: u32,
    /// The number of events a batch may hold.
    pub batch_rows: usize,
    /// The interval between two checkpoints of a partition.
    pub checkpoint_every: ConfigDuration,
    /// The number of entities' states a partition keeps in memory.
    pub entities_in_memory: usize,
    /// The names of the sinks that run in this process. Empty: all.
    pub sinks: Vec<String>,
    /// A rule is paused when its plugin fails on this many events within a minute, and on nearly all. 0: never.
    pub breaker_failures: u64,
    /// A rule is paused when its plugin takes at least this share of a worker's time by calls that run out of time, or
    /// by calls that are slower than allowed. 0: never.
    pub breaker_share: f64,
    /// How long a derived stream waits for a partition of its source that has no events, before it goes on without it.
    pub derive_wait: ConfigDuration,
    /// Events are refused when this many events of their partition wait to be scored. 0: no bound.
    pub max_unscored_events: u64,
    /// The same bound by the size of the waiting events, in MiB. 0: no bound.
    pub max_unscored_mib: u64,
    /// The same bound by the age of the oldest waiting event. 0: no bound.
    pub max_unscored_age: ConfigDuration,
}

/// `[plugins]`: the limits of plugins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plugins {
    /// The largest upload, in MiB.
    pub max_size_mib: usize,
    /// CPU time per event, on average.
    pub time_per_event: ConfigDuration,
    /// Memory of an instance, in MiB.
    pub memory_mib: usize,
    /// Size of the state per entity and rule, in bytes.
    pub state_bytes: usize,
    /// CPU time to compile a plugin.
    pub compile_time: ConfigDuration,
    /// Memory to compile a plugin, in MiB.
    pub compile_memory_mib: u64,
}

impl Default for Server {
    fn default() -> Self {
        let api = assay_api::ApiConfig::default();
        Self {
            listen: "127.0.0.1:7717".to_owned(),
            health_listen: String::new(),
            max_body_mib: api.max_events_body >> 20,
            max_events: api.max_events,
            max_in_flight_mib: api.max_in_flight >> 20,
            max_answers_mib: api.max_answers_in_flight >> 20,
            max_connections: api.max_connections,
            max_keyless_per_address: api.max_keyless_per_address,
            keyless_timeout: ConfigDuration(api.keyless_timeout),
            max_live_clients: api.max_live_clients,
            head_timeout: ConfigDuration(api.head_timeout),
            body_timeout: ConfigDuration(api.body_timeout),
            max_wait: ConfigDuration(api.max_wait),
            drain: ConfigDuration(api.drain_timeout),
        }
    }
}

impl Default for Data {
    fn default() -> Self {
        Self { dir: PathBuf::from("assay-data"), cache_mib: 128, accept_loss: false }
    }
}

impl Default for Engine {
    fn default() -> Self {
        let backlog = assay_engine::BacklogLimits::default();
        Self {
            workers: 0,
            partitions: 8,
            batch_rows: 4096,
            checkpoint_every: ConfigDuration::secs(1),
            entities_in_memory: 1_000_000,
            sinks: Vec::new(),
            breaker_failures: 1000,
            breaker_share: 0.5,
            derive_wait: ConfigDuration::secs(1),
            max_unscored_events: backlog.events,
            max_unscored_mib: backlog.bytes >> 20,
            max_unscored_age: ConfigDuration(backlog.age),
        }
    }
}

impl Default for Plugins {
    fn default() -> Self {
        Self {
            max_size_mib: 16,
            time_per_event: ConfigDuration(Duration::from_millis(1)),
            memory_mib: 16,
            state_bytes: 4096,
            compile_time: ConfigDuration(Duration::from_secs(60)),
            compile_memory_mib: 1024,
        }
    }
}
