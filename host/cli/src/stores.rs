//! The stores of a server: all in its data folder, or on servers.

use std::sync::Arc;

use anyhow::{Context, Result};
use assay_engine::ports::Ports;
use assay_engine::ports::graph::{Graph, NoGraph};
use assay_stores::dgraph::{self, Dgraph};
use assay_stores::embedded::Embedded;
use assay_stores::influxdb::{self, InfluxDb, MetricsReport};
use assay_stores::kafka::{self, CatalogSchemas, Kafka, RegistryClient, Schemas};
use assay_stores::mongodb::{self, MongoDb};
use assay_stores::scylladb::{self, ScyllaDb};

use crate::config::Config;
use crate::config::secret::secret;
use crate::config::stores::{Mode, Partitioner};

/// The opened stores.
pub(crate) enum Stores {
    /// All in the data folder.
    Embedded(Box<Embedded>),
    /// On servers.
    Distributed(Box<Distributed>),
}

/// The adapters of the distributed stack.
pub(crate) struct Distributed {
    kafka: Kafka,
    ports: Ports,
}

impl Stores {
    /// Opens what the config names. Blocks.
    pub(crate) fn open(config: &Config) -> Result<Self> {
        match config.stores.mode {
            Mode::Embedded => {
                let store = Embedded::open(&config.data.dir.join("store"), &config.embedded())?;
                Ok(Self::Embedded(Box::new(store)))
            }
            Mode::Distributed => Ok(Self::Distributed(Box::new(Distributed::open(config)?))),
        }
    }

    /// The ports, as the engine takes them.
    pub(crate) fn ports(&self) -> Ports {
        match self {
            Self::Embedded(store) => store.ports(),
            Self::Distributed(stores) => stores.ports.clone(),
        }
    }

    /// Writes what waits and closes. The engine must have stopped.
    pub(crate) fn shutdown(&self) -> Result<()> {
        match self {
            Self::Embedded(store) => store.shutdown().map_err(Into::into),
            Self::Distributed(stores) => {
                stores.kafka.close();
                Ok(())
            }
        }
    }

    /// Why nothing is written any more until the stores are opened anew; none: writes work, or are tried again by
    /// themselves.
    pub(crate) fn failure(&self) -> Option<String> {
        match self {
            Self::Embedded(store) => store.failure(),
            Self::Distributed(_) => None,
        }
    }

    /// Begins to write the process's metrics where points go, if there is such a store. Drop what it returns to end
    /// that. `port` tells processes of one machine apart.
    pub(crate) fn report(
        &self,
        config: &Config,
        port: u16,
        measure: impl Fn() -> String + Send + 'static,
    ) -> Result<Option<MetricsReport>> {
        let every = config.influxdb.metrics_every.0;
        if matches!(self, Self::Embedded(_)) || every.is_zero() {
            return Ok(None);
        }
        let Some(influxdb) = config.influxdb()? else { return Ok(None) };
        let host = host_name();
        let tags = vec![("instance".to_owned(), format!("{host}:{port}")), ("host".to_owned(), host)];
        MetricsReport::start(&influxdb, every, tags, measure).context("[influxdb]").map(Some)
    }

    /// Where the data is, for people.
    pub(crate) fn place(&self, config: &Config) -> String {
        match self {
            Self::Embedded(_) => config.data.dir.display().to_string(),
            Self::Distributed(_) => format!("Kafka at {} and its stores", config.kafka.brokers),
        }
    }
}

impl Distributed {
    fn open(config: &Config) -> Result<Self> {
        let mongodb = MongoDb::open(&config.mongodb()?).context("[mongodb]")?;
        let scylladb = ScyllaDb::open(&config.scylladb()?).context("[scylladb]")?;
        let graph: Arc<dyn Graph> = match config.dgraph()? {
            Some(config) => Dgraph::open(&config).context("[dgraph]")?.graph(),
            None => {
                tracing::info!("dgraph.url is empty: there is no graph, and edges are in the verdicts only");
                Arc::new(NoGraph)
            }
        };
        let influxdb = config.influxdb()?.map(|config| InfluxDb::open(&config)).transpose().context("[influxdb]")?;
        let given = &config.kafka;
        let registry = secret("kafka.schema_registry", &given.schema_registry, &given.schema_registry_file)?;
        let schemas: Arc<dyn Schemas> = match registry.as_str() {
            "" => Arc::new(CatalogSchemas::new(mongodb.catalog())),
            url => Arc::new(RegistryClient::new(url)),
        };
        let kafka = Kafka::open(config.kafka()?, schemas).context("[kafka]")?;
        let ports = Ports {
            log: kafka.log(),
            membership: kafka.membership(),
            catalog: mongodb.catalog(),
            state: scylladb.state(),
            buckets: Some(scylladb.buckets()),
            archive: scylladb.archive(),
            profiles: mongodb.profiles(),
            graph,
            dead_letters: mongodb.dead_letters(),
            series: influxdb.map(|influxdb| influxdb.series()),
            outbox: if config.kafka.publish { Some(kafka.outbox()) } else { None },
            erasure: None,
        };
        Ok(Self { kafka, ports })
    }
}

/// The machine's name: Linux's kernel knows it, elsewhere the shell may have put it into the environment.
fn host_name() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = kernel.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    match name.trim() {
        "" => "unknown".to_owned(),
        name => name.to_owned(),
    }
}

/// Addresses that are separated by commas.
fn list(addresses: &str) -> Vec<String> {
    addresses.split(',').map(|address| address.trim().to_owned()).filter(|address| !address.is_empty()).collect()
}

impl Config {
    fn kafka(&self) -> Result<kafka::Config> {
        let given = &self.kafka;
        Ok(kafka::Config {
            brokers: given.brokers.clone(),
            group: given.group.clone(),
            properties: given.all_properties()?,
            replication_factor: given.replication.into(),
            session_timeout: given.session_timeout.0,
            partitioner: match given.partitioner {
                Partitioner::Murmur2 => kafka::Partitioner::Murmur2,
                Partitioner::Crc32 => kafka::Partitioner::Crc32,
                Partitioner::Xxh3 => kafka::Partitioner::Xxh3,
            },
            ..kafka::Config::default()
        })
    }

    fn mongodb(&self) -> Result<mongodb::Config> {
        let mut config = mongodb::Config { database: self.mongodb.database.clone(), ..mongodb::Config::default() };
        let uri = secret("mongodb.uri", &self.mongodb.uri, &self.mongodb.uri_file)?;
        if !uri.is_empty() {
            config.uri = uri;
        }
        Ok(config)
    }

    fn scylladb(&self) -> Result<scylladb::Config> {
        let given = &self.scylladb;
        let password = secret("scylladb.password", &given.password, &given.password_file)?;
        let archive_for = given.archive_for.0;
        Ok(scylladb::Config {
            nodes: list(&given.nodes),
            keyspace: given.keyspace.clone(),
            replication_factor: given.replication.into(),
            user: (!given.user.is_empty()).then(|| given.user.clone()),
            password: (!given.user.is_empty()).then_some(password),
            incarnation: given.incarnation,
            archive_ttl: (!archive_for.is_zero()).then_some(archive_for),
            ..scylladb::Config::default()
        })
    }

    fn influxdb(&self) -> Result<Option<influxdb::Config>> {
        let given = &self.influxdb;
        if given.url.is_empty() {
            return Ok(None);
        }
        let token = secret("influxdb.token", &given.token, &given.token_file)?;
        Ok(Some(influxdb::Config::new(&given.url, &given.org, &given.bucket, &token)))
    }

    /// None: there is no graph.
    fn dgraph(&self) -> Result<Option<dgraph::Config>> {
        let given = &self.dgraph;
        if given.url.is_empty() {
            return Ok(None);
        }
        let token = secret("dgraph.token", &given.token, &given.token_file)?;
        let token = (!token.is_empty()).then_some(token);
        Ok(Some(dgraph::Config { token, namespace: given.namespace.clone(), ..dgraph::Config::new(&given.url) }))
    }
}
