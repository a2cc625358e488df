//! A keyspace of a test's own.

use std::sync::atomic::{AtomicU32, Ordering};

use assay_stores::scylladb::{Config, ScyllaDb};
use scylla::client::session_builder::SessionBuilder;
use scylla::deserialize::row::DeserializeRow;

/// A keyspace of a test's own; dropped with this.
pub(crate) struct Keyspace {
    /// How to open it.
    pub(crate) config: Config,
}

impl Keyspace {
    /// Chooses a name; opening makes it.
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let node = std::env::var("ASSAY_TEST_CASSANDRA")
            .expect("ASSAY_TEST_CASSANDRA names no server: run cargo xtask test --servers");
        let keyspace = format!("assay_test_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        Self { config: Config { nodes: vec![node], keyspace, replication_factor: 1, ..Config::default() } }
    }

    /// Opens a session of its own.
    pub(crate) fn open(&self) -> ScyllaDb {
        ScyllaDb::open(&self.config).unwrap()
    }

    /// What a statement gives as another program sees it; `{}` stands for the keyspace.
    pub(crate) fn rows<R>(&self, statement: &str) -> Vec<R>
    where
        R: for<'f, 'm> DeserializeRow<'f, 'm>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let session = SessionBuilder::new().known_nodes(&self.config.nodes).build().await.unwrap();
            let answer = session.query_unpaged(statement.replace("{}", &self.config.keyspace), ()).await.unwrap();
            let Ok(rows) = answer.into_rows_result() else { return Vec::new() };
            rows.rows::<R>().unwrap().map(Result::unwrap).collect()
        })
    }

    /// Executes a statement that gives no rows.
    pub(crate) fn execute(&self, statement: &str) {
        self.rows::<()>(statement);
    }
}

impl Drop for Keyspace {
    fn drop(&mut self) {
        self.execute("DROP KEYSPACE IF EXISTS {}");
    }
}
