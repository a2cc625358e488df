//! State and archive in ScyllaDB, or in anything that speaks CQL as it does, such as Cassandra.
//!
//! Nothing here is a transaction. Rows are written by what they are (an entity, an event's offset), with write
//! timestamps by which the newer wins whoever writes it, and what says how far they go is written last. `docs/scylladb.md`
//! tells what is in the tables and how others read them.

mod archive;
mod buckets;
mod config;
mod connection;
mod cursor;
mod error;
mod keys;
mod schema;
mod state;

use std::sync::Arc;

use assay_engine::ports::StoreError;

pub use archive::ScyllaArchive;
pub use buckets::ScyllaBuckets;
pub use config::{Config, Consistency};
pub use state::ScyllaState;

use connection::Connection;

/// A cluster, and an adapter for each port that it serves.
pub struct ScyllaDb {
    state: Arc<ScyllaState>,
    buckets: Arc<ScyllaBuckets>,
    archive: Arc<ScyllaArchive>,
}

impl ScyllaDb {
    /// Connects to a cluster; makes the keyspace and the tables if they are not there, or brings them up to date.
    /// Must not be called from asynchronous code.
    ///
    /// # Errors
    /// No node answers in time, the user may not do it, or the tables are of a newer version.
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

    /// Entities' states.
    pub fn state(&self) -> Arc<ScyllaState> {
        self.state.clone()
    }

    /// The buckets of tumbling views.
    pub fn buckets(&self) -> Arc<ScyllaBuckets> {
        self.buckets.clone()
    }

    /// Events and verdicts.
    pub fn archive(&self) -> Arc<ScyllaArchive> {
        self.archive.clone()
    }
}
