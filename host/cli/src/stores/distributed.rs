//! The stores on servers: Kafka, MongoDB, ScyllaDB, InfluxDB, Dgraph. Their clients are in the binary with the feature
//! `servers` only.

use std::sync::Arc;

use anyhow::{Context, Result};
use assay_dgraph::Dgraph;
use assay_engine::ports::Ports;
use assay_engine::ports::graph::{Graph, NoGraph};
use assay_influxdb::{InfluxDb, MetricsReport};
use assay_kafka::{CatalogSchemas, Kafka, RegistryClient, Schemas};
use assay_mongodb::MongoDb;
use assay_scylladb::ScyllaDb;

use crate::config::Config;
use crate::config::secret::read_secret;
use crate::config::stores::Partitioner;

/// The adapters of the distributed stack.
pub(crate) struct Distributed {
    kafka: Kafka,
    ports: Ports,
}

/// Writes the process's metrics as points until it is dropped.
pub(crate) type Report = MetricsReport;

impl Distributed {
    /// Connects to all servers. Blocks.
    pub(crate) fn open(config: &Config) -> Result<Self> {
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
        let registry = read_secret("kafka.schema_registry", &given.schema_registry, &given.schema_registry_file)?;
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

    /// The ports, as the engine takes them.
    pub(crate) fn ports(&self) -> Ports {
        self.ports.clone()
    }

    /// Leaves the group and writes what waits. The engine must have stopped.
    pub(crate) fn close(&self) {
        self.kafka.close();
    }

    /// Begins to write the process's metrics as points, if there is a store for them.
    pub(crate) fn report(
        config: &Config,
        port: u16,
        measure: impl Fn() -> String + Send + 'static,
    ) -> Result<Option<Report>> {
        let every = config.influxdb.metrics_every.0;
        if every.is_zero() {
            return Ok(None);
        }
        let Some(influxdb) = config.influxdb()? else { return Ok(None) };
        let host = host_name();
        let tags = vec![("instance".to_owned(), format!("{host}:{port}")), ("host".to_owned(), host)];
        MetricsReport::start(&influxdb, every, tags, measure).context("[influxdb]").map(Some)
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
    fn kafka(&self) -> Result<assay_kafka::Config> {
        let given = &self.kafka;
        Ok(assay_kafka::Config {
            brokers: given.brokers.clone(),
            group: given.group.clone(),
            properties: given.all_properties()?,
            replication_factor: given.replication.into(),
            session_timeout: given.session_timeout.0,
            partitioner: match given.partitioner {
                Partitioner::Murmur2 => assay_kafka::Partitioner::Murmur2,
                Partitioner::Crc32 => assay_kafka::Partitioner::Crc32,
                Partitioner::Xxh3 => assay_kafka::Partitioner::Xxh3,
            },
            ..assay_kafka::Config::default()
        })
    }

    fn mongodb(&self) -> Result<assay_mongodb::Config> {
        let mut config =
            assay_mongodb::Config { database: self.mongodb.database.clone(), ..assay_mongodb::Config::default() };
        let uri = read_secret("mongodb.uri", &self.mongodb.uri, &self.mongodb.uri_file)?;
        if !uri.is_empty() {
            config.uri = uri;
        }
        Ok(config)
    }

    fn scylladb(&self) -> Result<assay_scylladb::Config> {
        let given = &self.scylladb;
        let password = read_secret("scylladb.password", &given.password, &given.password_file)?;
        let archive_for = given.archive_for.0;
        Ok(assay_scylladb::Config {
            nodes: list(&given.nodes),
            keyspace: given.keyspace.clone(),
            replication_factor: given.replication.into(),
            user: (!given.user.is_empty()).then(|| given.user.clone()),
            password: (!given.user.is_empty()).then_some(password),
            incarnation: given.incarnation,
            archive_ttl: (!archive_for.is_zero()).then_some(archive_for),
            ..assay_scylladb::Config::default()
        })
    }

    fn influxdb(&self) -> Result<Option<assay_influxdb::Config>> {
        let given = &self.influxdb;
        if given.url.is_empty() {
            return Ok(None);
        }
        let token = read_secret("influxdb.token", &given.token, &given.token_file)?;
        Ok(Some(assay_influxdb::Config::new(&given.url, &given.org, &given.bucket, &token)))
    }

    /// None: there is no graph.
    fn dgraph(&self) -> Result<Option<assay_dgraph::Config>> {
        let given = &self.dgraph;
        if given.url.is_empty() {
            return Ok(None);
        }
        let token = read_secret("dgraph.token", &given.token, &given.token_file)?;
        let token = (!token.is_empty()).then_some(token);
        Ok(Some(assay_dgraph::Config {
            token,
            namespace: given.namespace.clone(),
            ..assay_dgraph::Config::new(&given.url)
        }))
    }
}
