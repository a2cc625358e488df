//! The stores of a server: in its data folder, or on servers.

#[cfg(feature = "servers")]
mod distributed;

use anyhow::Result;
use assay_embedded::Embedded;
use assay_engine::ports::Ports;

use crate::config::Config;
use crate::config::stores::Mode;
#[cfg(feature = "servers")]
use distributed::{Distributed, Report};

/// Never constructed: an embedded server has no store for metrics.
#[cfg(not(feature = "servers"))]
pub(crate) enum Report {}

/// The opened stores.
pub(crate) enum Stores {
    /// All in the data folder.
    Embedded(Box<Embedded>),
    /// On servers.
    #[cfg(feature = "servers")]
    Distributed(Box<Distributed>),
}

impl Stores {
    /// Opens the stores of the config. Blocks.
    pub(crate) fn open(config: &Config) -> Result<Self> {
        match config.stores.mode {
            Mode::Embedded => {
                let store = Embedded::open(&config.data.dir.join("store"), &config.embedded_config())?;
                Ok(Self::Embedded(Box::new(store)))
            }
            #[cfg(feature = "servers")]
            Mode::Distributed => Ok(Self::Distributed(Box::new(Distributed::open(config)?))),
            #[cfg(not(feature = "servers"))]
            Mode::Distributed => anyhow::bail!(
                "stores.mode is \"distributed\", and this binary was built without the clients of Kafka, MongoDB, \
                 ScyllaDB, InfluxDB and Dgraph: build it with `cargo build --release --features servers`"
            ),
        }
    }

    /// The ports for the engine.
    pub(crate) fn ports(&self) -> Ports {
        match self {
            Self::Embedded(store) => store.ports(),
            #[cfg(feature = "servers")]
            Self::Distributed(stores) => stores.ports(),
        }
    }

    /// Flushes and closes the stores. The engine must have stopped.
    pub(crate) fn shutdown(&self) -> Result<()> {
        match self {
            Self::Embedded(store) => store.shutdown().map_err(Into::into),
            #[cfg(feature = "servers")]
            Self::Distributed(stores) => {
                stores.close();
                Ok(())
            }
        }
    }

    /// Why nothing can be written until the stores are reopened; none if writes work, or are tried again automatically.
    pub(crate) fn failure(&self) -> Option<String> {
        match self {
            Self::Embedded(store) => store.failure(),
            #[cfg(feature = "servers")]
            Self::Distributed(_) => None,
        }
    }

    /// Starts writing the process's metrics to the store for points, if there is one, until the result is dropped.
    /// `port` distinguishes processes on one machine.
    #[cfg_attr(not(feature = "servers"), allow(unused_variables, reason = "there is no store for points"))]
    pub(crate) fn report(
        &self,
        config: &Config,
        port: u16,
        measure: impl Fn() -> String + Send + 'static,
    ) -> Result<Option<Report>> {
        match self {
            Self::Embedded(_) => Ok(None),
            #[cfg(feature = "servers")]
            Self::Distributed(_) => Distributed::report(config, port, measure),
        }
    }

    /// A readable description of the data's location.
    pub(crate) fn describe_location(&self, config: &Config) -> String {
        match self {
            Self::Embedded(_) => config.data.dir.display().to_string(),
            #[cfg(feature = "servers")]
            Self::Distributed(_) => format!("Kafka at {} and its stores", config.kafka.brokers),
        }
    }
}
