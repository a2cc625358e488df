//! A keyspace for one test.

use std::sync::atomic::{AtomicU32, Ordering};

use assay_scylladb::{Config, ScyllaDb};
use scylla::client::session_builder::SessionBuilder;
use scylla::deserialize::row::DeserializeRow;
use scylla::response::query_result::QueryResult;

/// A keyspace for one test. Dropping the value drops the keyspace in the database.
pub(crate) struct TestKeyspace {
    /// The settings to open the keyspace.
    pub(crate) config: Config,
}

impl TestKeyspace {
    /// Chooses a unique name. The first [`TestKeyspace::open`] creates the keyspace.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let node = std::env::var("ASSAY_TEST_CASSANDRA")
            .expect("ASSAY_TEST_CASSANDRA names no server: run cargo xtask test --servers");
        let keyspace = format!("assay_test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self { config: Config { nodes: vec![node], keyspace, replication_factor: 1, ..Config::default() } }
    }

    /// Opens a new session.
    pub(crate) fn open(&self) -> ScyllaDb {
        ScyllaDb::open(&self.config).unwrap()
    }

    /// Reads the rows of a statement, as another program does. `{}` in it stands for the keyspace.
    pub(crate) fn query<R>(&self, statement: &str) -> Vec<R>
    where
        R: for<'f, 'm> DeserializeRow<'f, 'm>,
    {
        let Ok(rows) = self.try_execute(statement).unwrap().into_rows_result() else { return Vec::new() };
        rows.rows::<R>().unwrap().map(Result::unwrap).collect()
    }

    /// Executes a statement that returns no rows.
    pub(crate) fn execute(&self, statement: &str) {
        self.try_execute(statement).unwrap();
    }

    fn try_execute(&self, statement: &str) -> Result<QueryResult, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let session = SessionBuilder::new().known_nodes(&self.config.nodes).build().await;
            let session = session.map_err(|error| error.to_string())?;
            let answer = session.query_unpaged(statement.replace("{}", &self.config.keyspace), ()).await;
            answer.map_err(|error| error.to_string())
        })
    }
}

impl Drop for TestKeyspace {
    fn drop(&mut self) {
        if let Err(error) = self.try_execute("DROP KEYSPACE IF EXISTS {}") {
            // A panic here would hide the test's own panic.
            eprintln!("keyspace {} is left behind: {error}", self.config.keyspace);
        }
    }
}
