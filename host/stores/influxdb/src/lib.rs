//! InfluxDB 2: the time series port on the client of the crate `influxdb2`.
//!
//! The client's defects that are worked around here, each shown by a test in `tests/influxdb/client.rs`: its points
//! break at backslashes and control characters (so `line` writes the lines), a cut answer to its plain query is a panic,
//! it drops the path of an address and the headers of answers (see `connection`).
//!
//! Points are idempotent by nature: the same measurement, tags and time are the same point. So positions are only
//! hints, kept as points of the measurement `assay_position`: a lost one means that the same points are written again.
//! The process's own metrics (`report`) are written beside them.

mod connection;
mod error;
mod exposition;
mod health;
mod line;
mod positions;
mod report;
mod series;
mod write;

use std::sync::Arc;
use std::time::Duration;

use assay_engine::ports::StoreError;
use assay_engine::ports::series::TimeSeries;

use connection::Connection;
use error::broken;

pub use report::MetricsReport;

/// The store's name in errors.
const STORE: &str = "InfluxDB";

/// Where InfluxDB is, and how to talk to it.
#[derive(Clone)]
pub struct Config {
    /// Its address: scheme, host and port, such as `http://localhost:8086`.
    pub url: String,
    /// The organization.
    pub org: String,
    /// The bucket; it must be there.
    pub bucket: String,
    /// An API token that may write to the bucket and read from it.
    pub token: String,
    /// How long one request may take, and how long one that failed is tried again.
    pub timeout: Duration,
    /// The most lines of one request.
    pub batch_lines: usize,
}

impl Config {
    /// With the usual limits: 10 seconds, 5,000 lines.
    pub fn new(url: &str, org: &str, bucket: &str, token: &str) -> Self {
        let [url, org, bucket, token] = [url, org, bucket, token].map(str::to_owned);
        Self { url, org, bucket, token, timeout: Duration::from_secs(10), batch_lines: 5_000 }
    }
}

/// InfluxDB as the time series store.
pub struct InfluxDb {
    series: Arc<series::InfluxSeries>,
}

impl InfluxDb {
    /// Checks the configuration. Does not connect: a server that is down only makes the sinks wait.
    ///
    /// # Errors
    /// The address is none, or a name or the token is missing.
    pub fn open(config: &Config) -> Result<Self, StoreError> {
        let given = [("organization", &config.org), ("bucket", &config.bucket), ("token", &config.token)];
        if let Some((what, _)) = given.iter().find(|(_, value)| value.is_empty()) {
            return Err(broken(format!("the {what} is empty")));
        }
        let database = Database {
            connection: Connection::new(config)?,
            org: config.org.clone(),
            bucket: config.bucket.clone(),
            batch_lines: config.batch_lines.max(1),
        };
        Ok(Self { series: Arc::new(series::InfluxSeries::new(database)) })
    }

    /// The time series port.
    pub fn series(&self) -> Arc<dyn TimeSeries> {
        self.series.clone()
    }
}

/// A bucket of a server.
struct Database {
    connection: Connection,
    org: String,
    bucket: String,
    batch_lines: usize,
}
