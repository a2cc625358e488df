//! Creates and migrates the tables by numbered steps.
//!
//! Several processes may start at once. One of them acquires a lock and runs the steps; the others wait for the result.
//! The lock is a row that is inserted if it does not exist, with a TTL, so it expires after its owner has died. The
//! lock is needed because Cassandra merges two tables of one name that two nodes create at once, and loses the columns
//! that were added to one of them.
//!
//! Every step is idempotent, because a process may die in the middle. A released step never changes: a later change of
//! the tables is a new step.

use std::time::{Duration, Instant};

use assay_engine::ports::StoreError;
use scylla::errors::ExecutionError;
use scylla::value::{CqlValue, Row};

use super::connection::Connection;
use super::error::{broken, damaged, has_too_few_replicas, is_invalid, may_be_schema_race, unavailable};

/// The timeout of a migration, including the wait for other processes.
const MIGRATE_TIMEOUT: Duration = Duration::from_secs(120);
/// The time for which a migration retries while too few replicas are up.
const MISSING_REPLICAS_TIMEOUT: Duration = Duration::from_secs(5);
/// The time between two attempts, while another process migrates the tables.
const RETRY_INTERVAL: Duration = Duration::from_millis(300);
/// The TTL of the lock: that of a process that has died expires after this many seconds.
const LOCK_TTL_SECONDS: u32 = 30;

/// A change of the schema. In statements `{}` stands for the keyspace.
enum SchemaChange {
    /// The statement that creates a table if it does not exist.
    CreateTable(&'static str),
    /// Adds a column to a table: the table, the column's name and its type.
    AddColumn(&'static str, &'static str, &'static str),
}

use SchemaChange::{AddColumn, CreateTable};

/// The steps. The version of a keyspace is the number of its steps that are done.
const STEPS: &[&[SchemaChange]] = &[
    &[
        CreateTable("CREATE TABLE IF NOT EXISTS {}.state (
            stream text, log_partition int, bucket int, key text, state blob,
            PRIMARY KEY ((stream, log_partition, bucket), key))"),
        CreateTable("CREATE TABLE IF NOT EXISTS {}.checkpoints (
            stream text, log_partition int, events bigint, verdicts bigint, catalog bigint,
            origins frozen<list<bigint>>,
            PRIMARY KEY ((stream, log_partition)))"),
        CreateTable("CREATE TABLE IF NOT EXISTS {}.entity_events (
            stream text, log_partition int, key text, week bigint, time timestamp, offset bigint,
            appended_at timestamp, bytes blob, scores frozen<map<text, double>>, tags frozen<set<text>>,
            PRIMARY KEY ((stream, log_partition, key, week), time, offset))
            WITH CLUSTERING ORDER BY (time DESC, offset DESC)"),
        CreateTable("CREATE TABLE IF NOT EXISTS {}.entity_weeks (
            stream text, log_partition int, key text, week bigint,
            PRIMARY KEY ((stream, log_partition, key), week))
            WITH CLUSTERING ORDER BY (week DESC)"),
        CreateTable("CREATE TABLE IF NOT EXISTS {}.events (
            stream text, log_partition int, bucket bigint, offset bigint,
            appended_at timestamp, time timestamp, key text, id text, unreadable blob,
            PRIMARY KEY ((stream, log_partition, bucket), offset))"),
        CreateTable("CREATE TABLE IF NOT EXISTS {}.event_ids (
            stream text, log_partition int, id text, offset bigint, time timestamp, key text,
            PRIMARY KEY ((stream, log_partition, id), offset))"),
        CreateTable("CREATE TABLE IF NOT EXISTS {}.verdicts (
            stream text, log_partition int, bucket bigint, offset bigint, position int,
            time timestamp, key text, id text, rule text, revision int, mode text, plugin text, stamp blob,
            score double, tags frozen<list<text>>, reasons frozen<list<frozen<tuple<text, double>>>>,
            edges frozen<list<frozen<tuple<text, text, text, text>>>>, attributes frozen<list<frozen<tuple<text, text>>>>,
            inputs frozen<list<frozen<tuple<text, text, text>>>>, failure text, message text,
            PRIMARY KEY ((stream, log_partition, bucket), offset, position))"),
        CreateTable("CREATE TABLE IF NOT EXISTS {}.stamps (
            stamp blob PRIMARY KEY, json text)"),
        CreateTable("CREATE TABLE IF NOT EXISTS {}.positions (
            stream text, log_partition int, follower text, next bigint, judged bigint,
            PRIMARY KEY ((stream, log_partition), follower))"),
    ],
    &[CreateTable("CREATE TABLE IF NOT EXISTS {}.view_buckets (
        stream text, view_name text, key text, bucket timestamp, revision int, bucket_end timestamp,
        ints frozen<map<text, bigint>>, doubles frozen<map<text, double>>, texts frozen<map<text, text>>,
        times frozen<map<text, timestamp>>, bools frozen<map<text, boolean>>,
        PRIMARY KEY ((stream, view_name, key), bucket, revision))
        WITH CLUSTERING ORDER BY (bucket DESC, revision DESC)")],
    // The number of the schema of an event's bytes. Null stands for 0.
    &[AddColumn("entity_events", "schema_number", "int")],
];

/// Creates or migrates the keyspace and the tables, or waits until another process has done so.
pub(super) async fn migrate(connection: &Connection) -> Result<(), StoreError> {
    let keyspace = &connection.config.keyspace;
    let doing = format!("making the tables of keyspace '{keyspace}'");
    let started = Instant::now();
    loop {
        match try_migrate(connection).await {
            Ok(true) => break,
            Ok(false) => {}
            Err(MigrateError::Execution(error))
                if may_be_schema_race(&error) && started.elapsed() < retry_time(&error) => {}
            Err(MigrateError::Execution(error)) => return Err(connection.to_store_error(&doing, &error)),
            Err(MigrateError::Store(error)) => return Err(error),
        }
        if started.elapsed() > MIGRATE_TIMEOUT {
            return Err(unavailable(format!("{doing}: another process is at it for more than {MIGRATE_TIMEOUT:?}")));
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
    // Another node may have created the tables just now: all nodes must know them before statements are prepared.
    let agreed = connection.session().await_schema_agreement().await;
    agreed.map(drop).map_err(|error| connection.to_store_error(&doing, &error.into()))
}

/// The time for which to retry after an error. Too few replicas are reported early: nodes may still be starting, but a
/// keyspace with more replicas than nodes never gets them.
fn retry_time(error: &ExecutionError) -> Duration {
    if has_too_few_replicas(error) { MISSING_REPLICAS_TIMEOUT } else { MIGRATE_TIMEOUT }
}

enum MigrateError {
    Execution(Box<ExecutionError>),
    Store(StoreError),
}

impl From<ExecutionError> for MigrateError {
    fn from(error: ExecutionError) -> Self {
        Self::Execution(Box::new(error))
    }
}

/// Runs the missing steps, unless another process holds the lock. Returns whether the schema is complete now.
async fn try_migrate(connection: &Connection) -> Result<bool, MigrateError> {
    // Nothing is created that exists already, so that a user without the right to change the schema can use it.
    if !has_keyspace(connection).await? {
        let replicas = connection.config.replication_factor;
        let replication = format!("{{'class': 'NetworkTopologyStrategy', 'replication_factor': {replicas}}}");
        execute(connection, &format!("CREATE KEYSPACE IF NOT EXISTS {{}} WITH replication = {replication}")).await?;
    }
    if !has_table(connection, "schema_version").await? {
        execute(connection, "CREATE TABLE IF NOT EXISTS {}.schema_version (name text PRIMARY KEY, version int)")
            .await?;
        wait_for_agreement(connection).await?;
    }
    let version = read_version(connection).await?;
    if version > STEPS.len() {
        let error = format!(
            "the tables of keyspace '{}' have version {version}, and this program knows {} at most: use the version of \
             Assay that made them, or a newer one",
            connection.config.keyspace,
            STEPS.len()
        );
        return Err(MigrateError::Store(broken(error)));
    }
    if version == STEPS.len() && is_complete(connection).await? {
        return Ok(true);
    }
    let owner = std::process::id().cast_signed();
    if acquire_lock(connection, owner).await? {
        let result = run_steps(connection).await;
        // The lock is released even after an error, so that the next attempt need not wait until it expires.
        release_lock(connection, owner).await?;
        result?;
        return Ok(true);
    }
    Ok(false)
}

async fn run_steps(connection: &Connection) -> Result<(), MigrateError> {
    for (number, step) in (1..).zip(STEPS) {
        for change in *step {
            match change {
                CreateTable(statement) => {
                    if !has_table(connection, table_name(statement)).await? {
                        execute(connection, statement).await?;
                    }
                }
                AddColumn(table, column, column_type) => {
                    if !has_column(connection, table, column).await? {
                        execute(connection, &format!("ALTER TABLE {{}}.{table} ADD {column} {column_type}")).await?;
                    }
                }
            }
        }
        // The version must not be visible before all nodes know the tables.
        wait_for_agreement(connection).await?;
        // The version is its own write timestamp, so that an older version never replaces a newer one.
        execute(
            connection,
            &format!(
                "INSERT INTO {{}}.schema_version (name, version) VALUES ('assay', {number}) USING TIMESTAMP {number}"
            ),
        )
        .await?;
    }
    Ok(())
}

/// Returns whether every table and column of all steps exists.
async fn is_complete(connection: &Connection) -> Result<bool, MigrateError> {
    for change in STEPS.iter().flat_map(|step| step.iter()) {
        let exists = match change {
            CreateTable(statement) => has_table(connection, table_name(statement)).await?,
            AddColumn(table, column, _) => has_column(connection, table, column).await?,
        };
        if !exists {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The name of the table that a statement creates.
fn table_name(statement: &'static str) -> &'static str {
    let name = statement.split_once("{}.").map_or("", |(_, rest)| rest);
    name.split_whitespace().next().unwrap_or_default()
}

/// Acquires the lock. Returns whether this process holds it now.
async fn acquire_lock(connection: &Connection, owner: i32) -> Result<bool, MigrateError> {
    let statement = format!(
        "INSERT INTO {}.schema_version (name, version) VALUES ('migration', {owner}) IF NOT EXISTS USING TTL \
         {LOCK_TTL_SECONDS}",
        connection.config.keyspace
    );
    let answer = match connection.session().query_unpaged(statement, ()).await {
        Ok(answer) => answer,
        // ScyllaDB supports no conditional statements on tables with tablets. There the lock is not needed either:
        // ScyllaDB serializes schema changes of all nodes.
        Err(error) if is_invalid(&error) => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    let rows = answer.into_rows_result().map_err(|error| unreadable(&error))?;
    let row = rows.maybe_first_row::<Row>().map_err(|error| unreadable(&error))?;
    let applied = row.and_then(|row| row.columns.into_iter().next().flatten());
    Ok(matches!(applied, Some(CqlValue::Boolean(true))))
}

/// Releases the lock if this process still holds it.
async fn release_lock(connection: &Connection, owner: i32) -> Result<(), MigrateError> {
    let keyspace = &connection.config.keyspace;
    let statement = format!("DELETE FROM {keyspace}.schema_version WHERE name = 'migration' IF version = {owner}");
    match connection.session().query_unpaged(statement, ()).await {
        Ok(_) => Ok(()),
        Err(error) if is_invalid(&error) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Executes a statement. `{}` in it stands for the keyspace.
async fn execute(connection: &Connection, statement: &str) -> Result<(), MigrateError> {
    let statement = statement.replace("{}", &connection.config.keyspace);
    connection.session().query_unpaged(statement, ()).await.map(drop).map_err(Into::into)
}

/// Waits until all nodes have the same schema.
async fn wait_for_agreement(connection: &Connection) -> Result<(), MigrateError> {
    connection.session().await_schema_agreement().await.map(drop).map_err(|error| ExecutionError::from(error).into())
}

async fn has_keyspace(connection: &Connection) -> Result<bool, MigrateError> {
    schema_has(connection, "keyspaces", "").await
}

async fn has_table(connection: &Connection, table: &str) -> Result<bool, MigrateError> {
    schema_has(connection, "tables", &format!(" AND table_name = '{table}'")).await
}

async fn has_column(connection: &Connection, table: &str, column: &str) -> Result<bool, MigrateError> {
    schema_has(connection, "columns", &format!(" AND table_name = '{table}' AND column_name = '{column}'")).await
}

/// Returns whether a table of `system_schema` has a row of this keyspace that meets a further condition.
async fn schema_has(connection: &Connection, system_table: &str, condition: &str) -> Result<bool, MigrateError> {
    let keyspace = &connection.config.keyspace;
    let query =
        format!("SELECT keyspace_name FROM system_schema.{system_table} WHERE keyspace_name = '{keyspace}'{condition}");
    let answer = connection.session().query_unpaged(query, ()).await?;
    let rows = answer.into_rows_result().map_err(|error| unreadable(&error))?;
    Ok(rows.rows_num() > 0)
}

/// Reads the version of the keyspace; 0 if no step is done.
async fn read_version(connection: &Connection) -> Result<usize, MigrateError> {
    let keyspace = &connection.config.keyspace;
    let query = format!("SELECT version FROM {keyspace}.schema_version WHERE name = 'assay'");
    let answer = connection.session().query_unpaged(query, ()).await?;
    let rows = answer.into_rows_result().map_err(|error| unreadable(&error))?;
    let row = rows.maybe_first_row::<(i32,)>().map_err(|error| unreadable(&error))?;
    Ok(row.map_or(0, |(version,)| usize::try_from(version).unwrap_or(0)))
}

fn unreadable(error: &dyn std::fmt::Display) -> MigrateError {
    MigrateError::Store(damaged("reading which tables there are", error))
}
