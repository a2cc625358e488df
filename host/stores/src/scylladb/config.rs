//! How the adapters reach ScyllaDB, and what they ask of it.

use std::time::Duration;

use assay_engine::ports::StoreError;
use scylla::statement::Consistency as Level;

use super::error::broken;

/// ScyllaDB and Cassandra let a value live no longer than this, in seconds: 20 years.
pub(super) const LONGEST_TTL_SECONDS: i32 = 20 * 365 * 24 * 60 * 60;

/// How the adapters reach ScyllaDB, and what they ask of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Some of its nodes, as `host` or `host:port`; they tell of the others. The port is 9042 if none is given.
    pub nodes: Vec<String>,
    /// The keyspace: a-z, 0-9 and `_`, at most 48, beginning with a letter. Made if it is not there.
    pub keyspace: String,
    /// Copies of each row, per data centre, if the keyspace is made. One that is there stays as it is.
    pub replication_factor: u32,
    /// The data centre whose nodes are asked; none: all are asked alike.
    pub datacenter: Option<String>,
    /// The user; none: the cluster lets everyone in.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
    /// How many copies must answer.
    pub consistency: Consistency,
    /// The life of the log that state and archive belong to. A log that begins again at offset 0 needs a new number,
    /// or what was kept of the old one would be taken for the new one's.
    pub incarnation: u16,
    /// How long connecting to a node may take.
    pub connect_timeout: Duration,
    /// How long a request may take, the driver's own retries included.
    pub request_timeout: Duration,
    /// How many requests of one call may be under way at once.
    pub in_flight: usize,
    /// How long the archive keeps events and verdicts; none: for ever. In whole seconds, at most 20 years.
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
    /// Refuses what cannot work before anything is connected.
    pub(super) fn check(&self) -> Result<(), StoreError> {
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
            Some(ttl) if !(1..=LONGEST_TTL_SECONDS as u64).contains(&ttl.as_secs()) => {
                Err(broken(format!("the archive cannot keep rows for {ttl:?}: choose one second to 20 years")))
            }
            _ => Ok(()),
        }
    }

    /// The life of the archive's rows in seconds, as statements bind it; 0: for ever.
    pub(super) fn ttl_seconds(&self) -> i32 {
        // Checked to be at most 20 years.
        self.archive_ttl.map_or(0, |ttl| ttl.as_secs() as i32)
    }
}

/// How many copies of a row must answer before a request is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// One copy. Right for a cluster of one node; with more, a row just written may not be seen by who reads next.
    One,
    /// More than half of the copies in this data centre.
    #[default]
    LocalQuorum,
    /// More than half of all copies.
    Quorum,
}

impl Consistency {
    pub(super) fn level(self) -> Level {
        match self {
            Self::One => Level::One,
            Self::LocalQuorum => Level::LocalQuorum,
            Self::Quorum => Level::Quorum,
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
    fn what_cannot_work_is_refused() {
        assert!(Config::default().check().is_ok());
        for keyspace in ["", "9lives", "with space", "Upper", &"k".repeat(49)] {
            let config = Config { keyspace: keyspace.to_owned(), ..Config::default() };
            assert!(config.check().is_err_and(|error| error.to_string().contains("keyspace")), "{keyspace}");
        }
        assert!(Config { nodes: Vec::new(), ..Config::default() }.check().is_err());
        for seconds in [0, 700_000_000] {
            let config = Config { archive_ttl: Some(Duration::from_secs(seconds)), ..Config::default() };
            assert!(config.check().is_err(), "{seconds}");
        }
    }
}
