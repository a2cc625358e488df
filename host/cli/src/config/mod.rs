//! The server's config: one TOML file, overridden by the environment, with defaults for everything.
//!
//! `ASSAY_SECTION__KEY` overrides `key` of `[section]`. An unknown key is an error that names the nearest known one.

mod check;
mod components;
mod duration;
pub mod log;
mod print;
mod read;
pub mod secret;
pub mod sections;
pub mod stores;

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use sections::{Cors, Data, Engine, Plugins, Retention, Server};

/// The sink that writes edges into the graph.
const GRAPH_SINK: &str = "graph";

/// The server's config.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The HTTP server and its limits.
    pub server: Server,
    /// Web pages of other origins.
    pub cors: Cors,
    /// The data folder.
    pub data: Data,
    /// Embedded or distributed stores.
    pub stores: stores::Stores,
    /// The log of a distributed server.
    pub kafka: stores::Kafka,
    /// Catalog, profiles and dead letters of a distributed server.
    pub mongodb: stores::MongoDb,
    /// State and archive of a distributed server.
    pub scylladb: stores::ScyllaDb,
    /// Points for dashboards of a distributed server.
    pub influxdb: stores::InfluxDb,
    /// Edges of a distributed server.
    pub dgraph: stores::Dgraph,
    /// The time the data folder keeps events and verdicts.
    pub retention: Retention,
    /// Scoring and the sinks.
    pub engine: Engine,
    /// The limits of plugins.
    pub plugins: Plugins,
    /// The server's log lines.
    pub log: log::Log,
}

/// Reads the file, if there is one, and the environment.
///
/// # Errors
/// The file cannot be read, a key is unknown, or a value is not allowed. The message names the place.
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

impl Config {
    /// The config as a TOML file, with a comment on each key and without secrets.
    ///
    /// # Errors
    /// A path in the config is not UTF-8.
    pub fn to_toml(&self) -> Result<String> {
        print::print_with_comments(self)
    }
}
