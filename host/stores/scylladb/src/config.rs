//! The settings of the adapters.

use std::time::Duration;

use assay_engine::ports::StoreError;
use scylla::statement::Consistency as DriverConsistency;

use super::error::broken;

/// The longest TTL that ScyllaDB and Cassandra accept, in seconds: 20 years.
pub(super) const MAX_TTL_SECONDS: i32 = 20 * 365 * 24 * 60 * 60;

/// The settings of the adapters: nodes, keyspace, credentials, timeouts and TTL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Some of the nodes, as `host` or `host:port`. The driver learns the others from them. The default port is 9042.
    pub nodes: Vec<String>,
    /// The name of the keyspace: up to 48 of a-z, 0-9 and `_`, starting with a letter. A missing keyspace is created.
    pub keyspace: String,
    /// The replicas of each row per data centre. It applies only to a keyspace that is created; an existing one stays
    /// unchanged.
    pub replication_factor: u32,
    /// The data centre whose nodes get the requests. With `None` the nodes of all data centres get them.
    pub datacenter: Option<String>,
    /// The user, or `None` for a cluster without authentication.
    pub user: Option<String>,
    /// The password of the user.
    pub password: Option<String>,
    /// The consistency level of all requests.
    pub consistency: Consistency,
    /// The incarnation of the log that the state and the archive belong to. A log that starts again at offset 0 needs
    /// a new number; otherwise its partitions would continue with the stored state and positions of the old log.
    pub incarnation: u16,
    /// The timeout of connecting to one node.
    pub connect_timeout: Duration,
    /// The timeout of a request, including the driver's retries.
    pub request_timeout: Duration,
    /// The most requests of one call that are in flight at the same time.
    pub in_flight: usize,
    /// The TTL of archived events and verdicts, from one second to 20 years, in whole seconds. With `None` they never
    /// expire.
    pub archive_ttl: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            nodes: vec!["127.0.0.1:9042".to_owned()],
            keyspace: "assay".to_owned(),
            replication_factor: 3,
            datacenter: None,
            user: None,
            password: None,
            consistency: Consistency::default(),
            incarnation: 0,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(10),
            in_flight: 128,
            archive_ttl: None,
        }
    }
}

impl Config {
    /// Checks the settings before any connection is opened.
    pub(super) fn validate(&self) -> Result<(), StoreError> {
        if self.nodes.is_empty() {
            return Err(broken("no node is configured: name at least one".to_owned()));
        }
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if self.keyspace.len() > 48
            || !self.keyspace.starts_with(|c: char| c.is_ascii_lowercase())
            || !self.keyspace.chars().all(is_plain)
        {
            let name = &self.keyspace;
            return Err(broken(format!(
                "'{name}' cannot be the keyspace's name: use up to 48 of a-z, 0-9 and '_', and begin with a letter"
            )));
        }
        match self.archive_ttl {
            Some(ttl) if !(1..=MAX_TTL_SECONDS as u64).contains(&ttl.as_secs()) => {
                Err(broken(format!("the archive cannot keep rows for {ttl:?}: choose one second to 20 years")))
            }
            _ => Ok(()),
        }
    }

    /// The TTL of the archive's rows in seconds; 0 if they never expire.
    pub(super) fn ttl_seconds(&self) -> i32 {
        // The cast is lossless: `validate` limits the TTL to 20 years.
        self.archive_ttl.map_or(0, |ttl| ttl.as_secs() as i32)
    }
}

/// The number of replicas of a row that must answer before a request is complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// One replica. It is meant for a cluster of one node: with more nodes a read may miss the row of an earlier write.
    One,
    /// More than half of the replicas in this data centre.
    #[default]
    LocalQuorum,
    /// More than half of all replicas.
    Quorum,
}

impl Consistency {
    pub(super) fn to_driver(self) -> DriverConsistency {
        match self {
            Self::One => DriverConsistency::One,
            Self::LocalQuorum => DriverConsistency::LocalQuorum,
            Self::Quorum => DriverConsistency::Quorum,
        }
    }
}

impl std::str::FromStr for Consistency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "one" => Ok(Self::One),
            "local-quorum" => Ok(Self::LocalQuorum),
            "quorum" => Ok(Self::Quorum),
            _ => Err(format!("'{text}' is no consistency: use one, local-quorum or quorum")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_settings_are_refused() {
        assert!(Config::default().validate().is_ok());
        for keyspace in ["", "9lives", "with space", "Upper", &"k".repeat(49)] {
            let config = Config { keyspace: keyspace.to_owned(), ..Config::default() };
            assert!(config.validate().is_err_and(|error| error.to_string().contains("keyspace")), "{keyspace}");
        }
        assert!(Config { nodes: Vec::new(), ..Config::default() }.validate().is_err());
        for seconds in [0, 700_000_000] {
            let config = Config { archive_ttl: Some(Duration::from_secs(seconds)), ..Config::default() };
            assert!(config.validate().is_err(), "{seconds}");
        }
    }
}
