//! The server's config: one TOML file, overridden by the environment, with defaults for everything.
//!
//! `ASSAY_SECTION__KEY` overrides `key` of `[section]`. An unknown key is an error that names the nearest known one.

pub mod log;
mod print;
mod read;
pub mod secret;
mod span;
pub mod stores;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use assay_core::retention::{Limits, Retention as Kept};
use assay_core::size::Size;
use assay_core::span::Span as Age;
use serde::{Deserialize, Serialize};

use crate::commands;
use span::Duration as Span;

/// The follower that carries edges into the graph.
const GRAPH_FOLLOWER: &str = "graph";

/// The server's config.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// HTTP.
    pub server: Server,
    /// Pages of other origins.
    pub cors: Cors,
    /// Where data is.
    pub data: Data,
    /// Which stores.
    pub stores: stores::Stores,
    /// The log, where stores are distributed.
    pub kafka: stores::Kafka,
    /// Catalog, profiles and dead letters, where stores are distributed.
    pub mongodb: stores::MongoDb,
    /// State and archive, where stores are distributed.
    pub scylladb: stores::ScyllaDb,
    /// Points for dashboards, where stores are distributed.
    pub influxdb: stores::InfluxDb,
    /// Edges, where stores are distributed.
    pub dgraph: stores::Dgraph,
    /// How long the data folder keeps events and verdicts.
    pub retention: Retention,
    /// The pipeline.
    pub engine: Engine,
    /// What plugins may use.
    pub plugins: Plugins,
    /// Logs.
    pub log: log::Log,
}

/// HTTP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address and port.
    pub listen: String,
    /// Address and port for `/healthz`, `/readyz` and `/metrics` alone; empty: none.
    pub health_listen: String,
    /// The largest body of events, unpacked, in MiB.
    pub max_body_mib: usize,
    /// The most events in a request.
    pub max_events: usize,
    /// Bodies that are in memory at once, over all requests, in MiB.
    pub max_in_flight_mib: usize,
    /// Verdicts that answers are made of at once, over all requests, in MiB.
    pub max_answers_mib: usize,
    /// The most open connections.
    pub max_connections: usize,
    /// The most connections of one address that have not sent an accepted key.
    pub max_keyless_per_address: usize,
    /// How long a connection may idle that has not sent an accepted key.
    pub keyless_timeout: Span,
    /// The most clients that follow live verdicts.
    pub max_live_clients: usize,
    /// How long a client may take to send a request's head; also how long a connection may idle.
    pub head_timeout: Span,
    /// How long a client may take to send a request's body.
    pub body_timeout: Span,
    /// The longest that verdicts are waited for.
    pub max_wait: Span,
    /// How long requests in flight may take after the order to stop.
    pub drain: Span,
}

/// Pages of other origins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cors {
    /// Those whose pages may ask; `*`: all; none: no page of another origin.
    pub origins: Vec<String>,
}

/// Where data is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// The data folder.
    pub dir: PathBuf,
    /// Memory for blocks that were read, in MiB.
    pub cache_mib: u64,
    /// Whether to start though data is gone: of the command line only, since it is for one start.
    #[serde(skip)]
    pub accept_loss: bool,
}

/// How long the data folder keeps events and verdicts of streams that do not say so themselves. 0: for ever.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Events that were appended longer ago are deleted.
    pub events_age: Age,
    /// The oldest events of a stream are deleted while it has more.
    pub events_size: Size,
    /// Verdicts that were given longer ago are deleted.
    pub verdicts_age: Age,
    /// The oldest verdicts of a stream are deleted while it has more.
    pub verdicts_size: Size,
}

/// The pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Engine {
    /// Threads that score; 0: one per core.
    pub workers: usize,
    /// Partitions of a new stream that does not say how many it wants.
    pub partitions: u32,
    /// The most events in a batch.
    pub batch_rows: usize,
    /// How often state is saved.
    pub checkpoint_every: Span,
    /// Entities that a partition keeps in memory.
    pub entities_in_memory: usize,
    /// The followers that run in this process, by name; none named: all.
    pub followers: Vec<String>,
    /// A rule whose plugin fails on so many events within a minute, and on nearly all, is paused; 0: never.
    pub breaker_failures: u64,
    /// A rule whose plugin takes at least this share of a worker's time by calls that run out of time, or by being slower
    /// than it may be, is paused; 0: never.
    pub breaker_share: f64,
    /// Events of a partition that may wait to be scored; then no more is taken in. 0: no bound.
    pub max_unscored_events: u64,
    /// The same in MiB of events. 0: no bound.
    pub max_unscored_mib: u64,
    /// The same by when the oldest was taken in. 0: no bound.
    pub max_unscored_age: Span,
}

/// What plugins may use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plugins {
    /// The largest plugin, in MiB.
    pub max_size_mib: usize,
    /// CPU time per event.
    pub time_per_event: Span,
    /// Memory of an instance, in MiB.
    pub memory_mib: usize,
    /// State per entity and rule, in bytes.
    pub state_bytes: usize,
    /// CPU time of compiling one.
    pub compile_time: Span,
    /// Memory of compiling one, in MiB.
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
            keyless_timeout: Span(api.keyless_timeout),
            max_live_clients: api.max_live_clients,
            head_timeout: Span(api.head_timeout),
            body_timeout: Span(api.body_timeout),
            max_wait: Span(api.max_wait),
            drain: Span(api.drain_timeout),
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
            checkpoint_every: Span::secs(1),
            entities_in_memory: 1_000_000,
            followers: Vec::new(),
            breaker_failures: 1000,
            breaker_share: 0.5,
            max_unscored_events: backlog.events,
            max_unscored_mib: backlog.bytes >> 20,
            max_unscored_age: Span(backlog.age),
        }
    }
}

impl Default for Plugins {
    fn default() -> Self {
        Self {
            max_size_mib: 16,
            time_per_event: Span(Duration::from_millis(1)),
            memory_mib: 16,
            state_bytes: 4096,
            compile_time: Span(Duration::from_secs(60)),
            compile_memory_mib: 1024,
        }
    }
}

impl Retention {
    fn kept(&self) -> Kept {
        let limits = |age: Age, size: Size| Limits { age: Some(age), size: Some(size) };
        Kept {
            events: limits(self.events_age, self.events_size),
            verdicts: limits(self.verdicts_age, self.verdicts_size),
        }
    }
}

/// Reads the file, if there is one, and the environment.
///
/// # Errors
/// The file cannot be read, or says something that the server does not understand: with its place and what was meant.
pub fn load(file: Option<&Path>) -> Result<Config> {
    let text = match file {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?,
        None => String::new(),
    };
    let name = file.map_or_else(|| "the environment".to_owned(), |file| file.display().to_string());
    let config = read::read(&text, &name, std::env::vars())?;
    config.check()?;
    Ok(config)
}

impl Server {
    fn check(&self) -> Result<()> {
        ensure!((1..=1024).contains(&self.max_body_mib), "server.max_body_mib: expected 1 to 1024");
        ensure!((1..=1_000_000).contains(&self.max_events), "server.max_events: expected 1 to 1000000");
        let in_flight = self.max_body_mib..=65_536;
        ensure!(
            in_flight.contains(&self.max_in_flight_mib),
            "server.max_in_flight_mib: expected server.max_body_mib to 65536"
        );
        ensure!((1..=100_000).contains(&self.max_connections), "server.max_connections: expected 1 to 100000");
        ensure!((1..=65_536).contains(&self.max_answers_mib), "server.max_answers_mib: expected 1 to 65536");
        let keyless = 1..=self.max_connections;
        ensure!(
            keyless.contains(&self.max_keyless_per_address),
            "server.max_keyless_per_address: expected 1 to server.max_connections"
        );
        ensure!(
            self.max_live_clients < self.max_connections,
            "server.max_live_clients: expected fewer than server.max_connections"
        );
        for (name, span) in [
            ("head_timeout", self.head_timeout),
            ("keyless_timeout", self.keyless_timeout),
            ("body_timeout", self.body_timeout),
            ("max_wait", self.max_wait),
        ] {
            let is_sane = (Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&span.0);
            ensure!(is_sane, "server.{name}: expected 1s to 1h");
        }
        Ok(())
    }
}

impl Config {
    /// As a file, with comments.
    ///
    /// # Errors
    /// A path in it is not UTF-8.
    pub fn to_toml(&self) -> Result<String> {
        print::commented(self)
    }

    fn check(&self) -> Result<()> {
        let engine = &self.engine;
        ensure!((1..=1024).contains(&engine.partitions), "engine.partitions: expected 1 to 1024");
        ensure!((1..=65_536).contains(&engine.batch_rows), "engine.batch_rows: expected 1 to 65536");
        ensure!(engine.workers <= 1024, "engine.workers: expected 0 (one per core) to 1024");
        ensure!(engine.max_unscored_mib <= 1 << 30, "engine.max_unscored_mib: expected 0 (no bound) to 1073741824");
        ensure!(engine.entities_in_memory >= 1000, "engine.entities_in_memory: expected at least 1000");
        for name in &engine.followers {
            let known = assay_engine::FOLLOWERS;
            ensure!(known.contains(&name.as_str()), "engine.followers: '{name}' is none of {}", known.join(", "));
        }
        if self.stores.mode == stores::Mode::Distributed {
            self.kafka.check()?;
            self.influxdb.check()?;
            let kept = "retention: it is of the data folder; where the log is Kafka, topics have their own settings";
            ensure!(self.retention == Retention::default(), kept);
            let needs_graph = engine.followers.iter().any(|name| name == GRAPH_FOLLOWER);
            ensure!(
                !needs_graph || !self.dgraph.url.is_empty(),
                "engine.followers names '{GRAPH_FOLLOWER}' and dgraph.url is empty: expected the address of an alpha's \
                 HTTP port"
            );
        }
        self.server.check()?;
        self.log.check()?;
        for origin in &self.cors.origins {
            let is_origin = origin == "*" || origin.split_once("://").is_some_and(|(_, host)| !host.contains('/'));
            ensure!(is_origin, "cors.origins: '{origin}' is no origin: expected SCHEME://HOST[:PORT], or *");
        }
        ensure!((1..=1024).contains(&self.plugins.max_size_mib), "plugins.max_size_mib: expected 1 to 1024");
        ensure!((1..=4096).contains(&self.plugins.memory_mib), "plugins.memory_mib: expected 1 to 4096");
        let is_sane = (Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&self.plugins.compile_time.0);
        ensure!(is_sane, "plugins.compile_time: expected 1s to 1h");
        let memory = 64..=65_536;
        ensure!(memory.contains(&self.plugins.compile_memory_mib), "plugins.compile_memory_mib: expected 64 to 65536");
        Ok(())
    }

    pub(crate) fn embedded(&self) -> assay_stores::embedded::Config {
        assay_stores::embedded::Config {
            cache_bytes: self.data.cache_mib << 20,
            accept_loss: self.data.accept_loss,
            ..Default::default()
        }
    }

    pub(crate) fn runtime(&self) -> assay_runtime::RuntimeConfig {
        let compiler = commands::compile_plugin::command().map(|command| assay_runtime::Compiler {
            command,
            time: self.plugins.compile_time.0,
            memory_bytes: self.plugins.compile_memory_mib << 20,
        });
        assay_runtime::RuntimeConfig {
            cache_dir: Some(self.data.dir.join("plugins")),
            compiler,
            max_module_bytes: self.plugins.max_size_mib << 20,
            ..Default::default()
        }
    }

    pub(crate) fn engine(&self) -> assay_engine::EngineConfig {
        let default = assay_engine::EngineConfig::default();
        assay_engine::EngineConfig {
            workers: if self.engine.workers == 0 { default.workers } else { self.engine.workers },
            partitions: self.engine.partitions,
            batch_rows: self.engine.batch_rows,
            checkpoint_every: self.engine.checkpoint_every.0,
            entities_in_memory: self.engine.entities_in_memory,
            followers: self.followers(),
            breaker_failures: self.engine.breaker_failures,
            breaker_share: self.engine.breaker_share,
            backlog: assay_engine::BacklogLimits {
                events: self.engine.max_unscored_events,
                bytes: self.engine.max_unscored_mib << 20,
                age: self.engine.max_unscored_age.0,
            },
            retention: self.retention.kept(),
            limits: assay_runtime::Limits {
                time_per_event: self.plugins.time_per_event.0,
                memory_bytes: self.plugins.memory_mib << 20,
                max_state_bytes_per_entity: self.plugins.state_bytes,
                ..default.limits
            },
            ..default
        }
    }

    /// The followers that run here; none named: all. Without a graph there is nothing for its follower to do.
    fn followers(&self) -> BTreeSet<String> {
        let has_graph = self.stores.mode == stores::Mode::Embedded || !self.dgraph.url.is_empty();
        if has_graph || !self.engine.followers.is_empty() {
            return self.engine.followers.iter().cloned().collect();
        }
        let all = assay_engine::FOLLOWERS.iter().filter(|name| **name != GRAPH_FOLLOWER);
        all.map(|name| (*name).to_owned()).collect()
    }

    pub(crate) fn api(&self) -> assay_api::ApiConfig {
        assay_api::ApiConfig {
            max_events_body: self.server.max_body_mib << 20,
            max_events: self.server.max_events,
            max_in_flight: self.server.max_in_flight_mib << 20,
            max_answers_in_flight: self.server.max_answers_mib << 20,
            max_connections: self.server.max_connections,
            max_keyless_per_address: self.server.max_keyless_per_address,
            keyless_timeout: self.server.keyless_timeout.0,
            max_live_clients: self.server.max_live_clients,
            head_timeout: self.server.head_timeout.0,
            body_timeout: self.server.body_timeout.0,
            max_wait: self.server.max_wait.0,
            cors_origins: self.cors.origins.clone(),
            max_plugin_body: self.plugins.max_size_mib << 20,
            drain_timeout: self.server.drain.0,
            ..Default::default()
        }
    }
}
