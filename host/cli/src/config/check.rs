//! Checks that the values of the config are within their bounds and fit together.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::sections::{Engine, Plugins, Retention, Server};
use super::{Config, GRAPH_SINK, stores};

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
        for (name, timeout) in [
            ("head_timeout", self.head_timeout),
            ("keyless_timeout", self.keyless_timeout),
            ("body_timeout", self.body_timeout),
            ("max_wait", self.max_wait),
        ] {
            let is_allowed = (Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&timeout.0);
            ensure!(is_allowed, "server.{name}: expected 1s to 1h");
        }
        Ok(())
    }
}

impl Engine {
    fn check(&self) -> Result<()> {
        ensure!((1..=1024).contains(&self.partitions), "engine.partitions: expected 1 to 1024");
        ensure!((1..=65_536).contains(&self.batch_rows), "engine.batch_rows: expected 1 to 65536");
        ensure!(self.workers <= 1024, "engine.workers: expected 0 (one per core) to 1024");
        ensure!(self.max_unscored_mib <= 1 << 30, "engine.max_unscored_mib: expected 0 (no bound) to 1073741824");
        ensure!(self.entities_in_memory >= 1000, "engine.entities_in_memory: expected at least 1000");
        for name in &self.sinks {
            let known = assay_engine::SINK_NAMES;
            ensure!(known.contains(&name.as_str()), "engine.sinks: '{name}' is none of {}", known.join(", "));
        }
        Ok(())
    }
}

impl Plugins {
    fn check(&self) -> Result<()> {
        ensure!((1..=1024).contains(&self.max_size_mib), "plugins.max_size_mib: expected 1 to 1024");
        ensure!((1..=4096).contains(&self.memory_mib), "plugins.memory_mib: expected 1 to 4096");
        let is_allowed = (Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&self.compile_time.0);
        ensure!(is_allowed, "plugins.compile_time: expected 1s to 1h");
        let memory = 64..=65_536;
        ensure!(memory.contains(&self.compile_memory_mib), "plugins.compile_memory_mib: expected 64 to 65536");
        Ok(())
    }
}

impl Config {
    /// Checks each section, and the values that depend on another section.
    ///
    /// # Errors
    /// The first value that is not allowed, with its key and the values that are.
    pub(super) fn check(&self) -> Result<()> {
        self.engine.check()?;
        if self.stores.mode == stores::Mode::Distributed {
            self.check_distributed()?;
        }
        self.server.check()?;
        self.log.check()?;
        for origin in &self.cors.origins {
            let is_origin = origin == "*" || origin.split_once("://").is_some_and(|(_, host)| !host.contains('/'));
            ensure!(is_origin, "cors.origins: '{origin}' is no origin: expected SCHEME://HOST[:PORT], or *");
        }
        self.plugins.check()
    }

    fn check_distributed(&self) -> Result<()> {
        self.kafka.check()?;
        self.influxdb.check()?;
        ensure!(
            self.retention == Retention::default(),
            "retention: it is of the data folder; where the log is Kafka, topics have their own settings"
        );
        let needs_graph = self.engine.sinks.iter().any(|name| name == GRAPH_SINK);
        ensure!(
            !needs_graph || !self.dgraph.url.is_empty(),
            "engine.sinks names '{GRAPH_SINK}' and dgraph.url is empty: expected the address of an alpha's HTTP port"
        );
        Ok(())
    }
}
