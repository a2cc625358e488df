//! A keyspace of a test's own.

use std::sync::atomic::{AtomicU32, Ordering};

use assay_stores::scylladb::{Config, ScyllaDb};
use scylla::client::session_builder::SessionBuilder;
use scylla::deserialize::row::DeserializeRow;
use scylla::response::query_result::QueryResult;

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
        let Ok(rows) = self.answer(statement).unwrap().into_rows_result() else { return Vec::new() };
        rows.rows::<R>().unwrap().map(Result::unwrap).collect()
    }

    /// Executes a statement that gives no rows.
    pub(crate) fn execute(&self, statement: &str) {
        self.answer(statement).unwrap();
    }

    fn answer(&self, statement: &str) -> Result<QueryResult, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let session = SessionBuilder::new().known_nodes(&self.config.nodes).build().await;
            let session = session.map_err(|error| error.to_string())?;
            let answer = session.query_unpaged(statement.replace("{}", &self.config.keyspace), ()).await;
            answer.map_err(|error| error.to_string())
        })
    }
}

impl Drop for Keyspace {
    fn drop(&mut self) {
        if let Err(error) = self.answer("DROP KEYSPACE IF EXISTS {}") {
            // A panic here would hide why the test failed.
            eprintln!("keyspace {} is left behind: {error}", self.config.keyspace);
        }
    }
}
