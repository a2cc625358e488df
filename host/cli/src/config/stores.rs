//! The sections of the config about stores: their mode, and the servers of the distributed stack.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::duration::ConfigDuration;
use super::secret::Secret;
#[cfg(feature = "servers")]
use super::secret::read_secret;

/// `[stores]`: embedded or distributed stores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stores {
    /// The place of all data: the data folder, or servers.
    pub mode: Mode,
}

/// The kind of stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// In the data folder.
    #[default]
    Embedded,
    /// On Kafka, MongoDB, ScyllaDB, InfluxDB and Dgraph.
    Distributed,
}

/// `[kafka]`: the log, on Kafka or Redpanda.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kafka {
    /// Addresses to begin with, separated by commas.
    pub brokers: String,
    /// The consumer group; all processes of one Assay have the same.
    pub group: String,
    /// The function from an event's key to its partition.
    pub partitioner: Partitioner,
    /// Copies of topics that Assay makes.
    pub replication: u16,
    /// A process without heartbeats for this time loses its partitions.
    pub session_timeout: ConfigDuration,
    /// A Confluent schema registry's URL, with user and password if need be; empty: Assay's own.
    pub schema_registry: Secret,
    /// A file that holds the value instead.
    pub schema_registry_file: PathBuf,
    /// The user for SASL; empty: as in the properties.
    pub user: String,
    /// The password.
    pub password: Secret,
    /// A file that holds the password.
    pub password_file: PathBuf,
    /// True if verdicts and dead letters are published as topics of their own.
    pub publish: bool,
    /// Settings that are passed to librdkafka unchanged, such as those of TLS and SASL.
    pub properties: BTreeMap<String, String>,
    /// Files that hold the values of further properties, such as passwords.
    pub property_files: BTreeMap<String, PathBuf>,
}

/// The function from an event's key to its partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Partitioner {
    /// As Kafka's Java clients do.
    #[default]
    Murmur2,
    /// As librdkafka's clients do by default.
    Crc32,
    /// As the embedded log does.
    Xxh3,
}

/// `[mongodb]`: catalog, profiles, dead letters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MongoDb {
    /// The connection string, with user and password if necessary; empty: a server on this machine.
    pub uri: Secret,
    /// A file that holds the value instead.
    pub uri_file: PathBuf,
    /// The database.
    pub database: String,
}

/// `[scylladb]`: state and archive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScyllaDb {
    /// Addresses to begin with, separated by commas.
    pub nodes: String,
    /// The keyspace, which is created if it does not exist.
    pub keyspace: String,
    /// Copies of a keyspace that Assay makes.
    pub replication: u16,
    /// Raised by one when topics were deleted and made again, so that the old state is not used.
    pub incarnation: u16,
    /// Empty: no authentication.
    pub user: String,
    /// The password.
    pub password: Secret,
    /// A file that holds the password.
    pub password_file: PathBuf,
    /// The time the archive is kept; 0s: for ever.
    pub archive_for: ConfigDuration,
}

/// `[influxdb]`: points for dashboards, in InfluxDB 2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InfluxDb {
    /// Empty: no time series.
    pub url: String,
    /// The organization.
    pub org: String,
    /// The bucket.
    pub bucket: String,
    /// The token.
    pub token: Secret,
    /// A file that holds the token.
    pub token_file: PathBuf,
    /// The interval at which this process's metrics are written as points; 0s: never.
    pub metrics_every: ConfigDuration,
}

/// `[dgraph]`: edges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dgraph {
    /// The address of an alpha's HTTP port; empty: no graph.
    pub url: String,
    /// The token; empty: none.
    pub token: Secret,
    /// A file that holds the token.
    pub token_file: PathBuf,
    /// Separates several Assays on one Dgraph.
    pub namespace: String,
}

impl Default for Dgraph {
    fn default() -> Self {
        Self { url: String::new(), token: Secret::default(), token_file: PathBuf::new(), namespace: "assay".to_owned() }
    }
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".to_owned(),
            group: "assay".to_owned(),
            partitioner: Partitioner::default(),
            replication: 1,
            session_timeout: ConfigDuration::secs(10),
            schema_registry: Secret::default(),
            schema_registry_file: PathBuf::new(),
            user: String::new(),
            password: Secret::default(),
            password_file: PathBuf::new(),
            publish: true,
            properties: BTreeMap::new(),
            property_files: BTreeMap::new(),
        }
    }
}

impl Default for MongoDb {
    fn default() -> Self {
        Self { uri: Secret::default(), uri_file: PathBuf::new(), database: "assay".to_owned() }
    }
}

impl Default for ScyllaDb {
    fn default() -> Self {
        Self {
            nodes: "127.0.0.1:9042".to_owned(),
            keyspace: "assay".to_owned(),
            replication: 1,
            incarnation: 0,
            user: String::new(),
            password: Secret::default(),
            password_file: PathBuf::new(),
            archive_for: ConfigDuration::secs(0),
        }
    }
}

impl Default for InfluxDb {
    fn default() -> Self {
        Self {
            url: String::new(),
            org: "assay".to_owned(),
            bucket: "assay".to_owned(),
            token: Secret::default(),
            token_file: PathBuf::new(),
            metrics_every: ConfigDuration::secs(15),
        }
    }
}

impl Kafka {
    pub(super) fn check(&self) -> Result<()> {
        ensure!(!self.brokers.trim().is_empty(), "kafka.brokers is empty: expected addresses, such as kafka-1:9092");
        ensure!((1..=100).contains(&self.replication), "kafka.replication: expected 1 to 100");
        for name in self.property_files.keys() {
            ensure!(
                !self.properties.contains_key(name),
                "kafka.properties and kafka.property_files: both give '{name}'"
            );
        }
        for reserved in ["bootstrap.servers", "group.id", "enable.auto.commit", "enable.idempotence"] {
            ensure!(
                !self.properties.contains_key(reserved) && !self.property_files.contains_key(reserved),
                "kafka.properties: '{reserved}' is set by Assay itself{}",
                if reserved == "bootstrap.servers" { "; use kafka.brokers" } else { "" }
            );
        }
        Ok(())
    }

    /// All properties: those of the config and of files, user and password.
    #[cfg(feature = "servers")]
    pub(crate) fn all_properties(&self) -> Result<BTreeMap<String, String>> {
        let mut all = self.properties.clone();
        for (name, file) in &self.property_files {
            all.insert(name.clone(), read_secret(&format!("kafka.property_files.{name}"), &Secret::default(), file)?);
        }
        let password = read_secret("kafka.password", &self.password, &self.password_file)?;
        for (name, key, value) in
            [("sasl.username", "user", self.user.clone()), ("sasl.password", "password", password)]
        {
            if !value.is_empty() && all.insert(name.to_owned(), value).is_some() {
                anyhow::bail!("kafka.{key} and the property '{name}': give one of them");
            }
        }
        Ok(all)
    }
}

impl InfluxDb {
    pub(super) fn check(&self) -> Result<()> {
        let every = self.metrics_every.0;
        ensure!(
            every.is_zero() || every >= Duration::from_secs(1),
            "influxdb.metrics_every: expected 0s, which means never, or at least 1s"
        );
        Ok(())
    }
}
