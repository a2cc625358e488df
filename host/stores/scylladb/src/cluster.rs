//! A cluster and its adapters.

use std::sync::Arc;

use assay_engine::ports::StoreError;

use super::archive::ScyllaArchive;
use super::buckets::ScyllaBuckets;
use super::config::Config;
use super::connection::Connection;
use super::schema;
use super::state::ScyllaState;

/// A ScyllaDB or Cassandra cluster, with an adapter for each port that it serves.
pub struct ScyllaDb {
    state: Arc<ScyllaState>,
    buckets: Arc<ScyllaBuckets>,
    archive: Arc<ScyllaArchive>,
}

impl ScyllaDb {
    /// Connects to a cluster, and creates or migrates the keyspace and its tables. It blocks, so it must not be called
    /// from asynchronous code.
    ///
    /// # Errors
    /// - [`StoreError::Unavailable`]: no node answers in time, too few replicas are up, or another process does not
    ///   finish the migration.
    /// - [`StoreError::Broken`]: the settings are invalid, the user lacks a right, or the tables have a newer version.
    pub fn open(config: &Config) -> Result<Self, StoreError> {
        let connection = Arc::new(Connection::open(config)?);
        connection.wait(async {
            schema::migrate(&connection).await?;
            Ok(Self {
                state: Arc::new(ScyllaState::prepare(connection.clone()).await?),
                buckets: Arc::new(ScyllaBuckets::prepare(connection.clone()).await?),
                archive: Arc::new(ScyllaArchive::prepare(connection.clone()).await?),
            })
        })
    }

    /// The states of entities.
    pub fn state(&self) -> Arc<ScyllaState> {
        self.state.clone()
    }

    /// The buckets of tumbling views.
    pub fn buckets(&self) -> Arc<ScyllaBuckets> {
        self.buckets.clone()
    }

    /// The archived events and verdicts.
    pub fn archive(&self) -> Arc<ScyllaArchive> {
        self.archive.clone()
    }
}
