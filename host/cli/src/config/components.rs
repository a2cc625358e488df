//! The configs of the components, made from the server's config: embedded store, runtime, engine, API.

use std::collections::BTreeSet;

use assay_core::retention::{Limits, Retention};

use super::{Config, GRAPH_SINK, stores};
use crate::commands;

impl Config {
    pub(crate) fn embedded_config(&self) -> assay_embedded::Config {
        assay_embedded::Config {
            cache_bytes: self.data.cache_mib << 20,
            accept_loss: self.data.accept_loss,
            ..Default::default()
        }
    }

    pub(crate) fn runtime_config(&self) -> assay_runtime::RuntimeConfig {
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

    pub(crate) fn engine_config(&self) -> assay_engine::EngineConfig {
        let default = assay_engine::EngineConfig::default();
        assay_engine::EngineConfig {
            workers: if self.engine.workers == 0 { default.workers } else { self.engine.workers },
            partitions: self.engine.partitions,
            batch_rows: self.engine.batch_rows,
            checkpoint_every: self.engine.checkpoint_every.0,
            entities_in_memory: self.engine.entities_in_memory,
            sinks: self.enabled_sinks(),
            breaker_failures: self.engine.breaker_failures,
            breaker_share: self.engine.breaker_share,
            derive_wait: self.engine.derive_wait.0,
            backlog: assay_engine::BacklogLimits {
                events: self.engine.max_unscored_events,
                bytes: self.engine.max_unscored_mib << 20,
                age: self.engine.max_unscored_age.0,
            },
            retention: self.default_retention(),
            limits: assay_runtime::Limits {
                time_per_event: self.plugins.time_per_event.0,
                memory_bytes: self.plugins.memory_mib << 20,
                max_state_bytes_per_entity: self.plugins.state_bytes,
                ..default.limits
            },
            ..default
        }
    }

    /// The sinks that run in this process. An empty set means all. Without a graph its sink has no store to write to.
    fn enabled_sinks(&self) -> BTreeSet<String> {
        let has_graph = self.stores.mode == stores::Mode::Embedded || !self.dgraph.url.is_empty();
        if has_graph || !self.engine.sinks.is_empty() {
            return self.engine.sinks.iter().cloned().collect();
        }
        let all = assay_engine::SINK_NAMES.iter().filter(|name| **name != GRAPH_SINK);
        all.map(|name| (*name).to_owned()).collect()
    }

    pub(crate) fn api_config(&self) -> assay_api::ApiConfig {
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

    /// The retention of streams that set none of their own.
    fn default_retention(&self) -> Retention {
        let kept = &self.retention;
        Retention {
            events: Limits { age: Some(kept.events_age), size: Some(kept.events_size) },
            verdicts: Limits { age: Some(kept.verdicts_age), size: Some(kept.verdicts_size) },
        }
    }
}
