//! The tables, made and brought up to date by numbered steps.
//!
//! Several processes may start at once. One of them takes a lock (a row that is written if it is not there, and vanishes
//! by itself when its owner dies) and does the steps; the others wait until they see the result. Cassandra merges two
//! tables of one name that two nodes make at once, and what was added to one of them is lost: so there must be one maker.
//! Every step may be repeated. A step that was released is never changed; what must change gets a step of its own.

use std::time::{Duration, Instant};

use assay_engine::ports::StoreError;
use scylla::errors::ExecutionError;
use scylla::value::{CqlValue, Row};

use super::connection::Connection;
use super::error::{broken, damaged, is_invalid, is_too_few_copies, may_be_a_race, unavailable};

/// How long making the tables may take, with all waiting for other processes.
const MIGRATE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long nodes that hold copies may be missing meanwhile.
const MISSING_COPIES_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to leave another process to it before looking again.
const PAUSE: Duration = Duration::from_millis(300);
/// After so many seconds the lock of a process that died is gone.
const LOCK_SECONDS: u32 = 30;

/// What a step does. In statements `{}` stands for the keyspace.
enum Change {
    /// A statement that may be repeated.
    Make(&'static str),
    /// A table, and a column that it gets: its name and type.
    AddColumn(&'static str, &'static str, &'static str),
}

use Change::{AddColumn, Make};

const STEPS: &[&[Change]] = &[
    &[
        Make("CREATE TABLE IF NOT EXISTS {}.state (
            stream text, log_partition int, bucket int, key text, state blob,
            PRIMARY KEY ((stream, log_partition, bucket), key))"),
        Make("CREATE TABLE IF NOT EXISTS {}.checkpoints (
            stream text, log_partition int, events bigint, verdicts bigint, catalog bigint,
            origins frozen<list<bigint>>,
            PRIMARY KEY ((stream, log_partition)))"),
        Make("CREATE TABLE IF NOT EXISTS {}.entity_events (
            stream text, log_partition int, key text, week bigint, time timestamp, offset bigint,
            appended_at timestamp, bytes blob, scores frozen<map<text, double>>, tags frozen<set<text>>,
            PRIMARY KEY ((stream, log_partition, key, week), time, offset))
            WITH CLUSTERING ORDER BY (time DESC, offset DESC)"),
        Make("CREATE TABLE IF NOT EXISTS {}.entity_weeks (
            stream text, log_partition int, key text, week bigint,
            PRIMARY KEY ((stream, log_partition, key), week))
            WITH CLUSTERING ORDER BY (week DESC)"),
        Make("CREATE TABLE IF NOT EXISTS {}.events (
            stream text, log_partition int, bucket bigint, offset bigint,
            appended_at timestamp, time timestamp, key text, id text, unreadable blob,
            PRIMARY KEY ((stream, log_partition, bucket), offset))"),
        Make("CREATE TABLE IF NOT EXISTS {}.event_ids (
            stream text, log_partition int, id text, offset bigint, time timestamp, key text,
            PRIMARY KEY ((stream, log_partition, id), offset))"),
        Make("CREATE TABLE IF NOT EXISTS {}.verdicts (
            stream text, log_partition int, bucket bigint, offset bigint, position int,
            time timestamp, key text, id text, rule text, revision int, mode text, plugin text, stamp blob,
            score double, tags frozen<list<text>>, reasons frozen<list<frozen<tuple<text, double>>>>,
            edges frozen<list<frozen<tuple<text, text, text, text>>>>, attributes frozen<list<frozen<tuple<text, text>>>>,
            inputs frozen<list<frozen<tuple<text, text, text>>>>, failure text, message text,
            PRIMARY KEY ((stream, log_partition, bucket), offset, position))"),
        Make("CREATE TABLE IF NOT EXISTS {}.stamps (
            stamp blob PRIMARY KEY, json text)"),
        Make("CREATE TABLE IF NOT EXISTS {}.positions (
            stream text, log_partition int, follower text, next bigint, judged bigint,
            PRIMARY KEY ((stream, log_partition), follower))"),
    ],
    &[Make("CREATE TABLE IF NOT EXISTS {}.view_buckets (
        stream text, view_name text, key text, bucket timestamp, revision int, bucket_end timestamp,
        ints frozen<map<text, bigint>>, doubles frozen<map<text, double>>, texts frozen<map<text, text>>,
        times frozen<map<text, timestamp>>, bools frozen<map<text, boolean>>,
        PRIMARY KEY ((stream, view_name, key), bucket, revision))
        WITH CLUSTERING ORDER BY (bucket DESC, revision DESC)")],
    // The number of the schema that an event's bytes are in; none: 0.
    &[AddColumn("entity_events", "schema_number", "int")],
];

/// Makes the keyspace and the tables, or brings them up to date, or waits until another process has done so.
pub(super) async fn migrate(connection: &Connection) -> Result<(), StoreError> {
    let keyspace = &connection.config.keyspace;
    let doing = format!("making the tables of keyspace '{keyspace}'");
    let started = Instant::now();
    loop {
        match try_migrate(connection).await {
            Ok(true) => break,
            Ok(false) => {}
            Err(Failure::Execution(error)) if may_be_a_race(&error) && started.elapsed() < retry_time(&error) => {}
            Err(Failure::Execution(error)) => return Err(connection.failed(&doing, &error)),
            Err(Failure::Store(error)) => return Err(error),
        }
        if started.elapsed() > MIGRATE_TIMEOUT {
            return Err(unavailable(format!("{doing}: another process is at it for more than {MIGRATE_TIMEOUT:?}")));
        }
        tokio::time::sleep(PAUSE).await;
    }
    // Another node may have made them just now.
    let agreed = connection.session().await_schema_agreement().await;
    agreed.map(drop).map_err(|error| connection.failed(&doing, &error.into()))
}

/// How long to try again. Nodes that are down may come up; a keyspace with more copies than nodes is told of soon.
fn retry_time(error: &ExecutionError) -> Duration {
    if is_too_few_copies(error) { MISSING_COPIES_TIMEOUT } else { MIGRATE_TIMEOUT }
}

enum Failure {
    Execution(Box<ExecutionError>),
    Store(StoreError),
}

impl From<ExecutionError> for Failure {
    fn from(error: ExecutionError) -> Self {
        Self::Execution(Box::new(error))
    }
}

/// Looks whether all is there, and else does what is missing if nobody else is at it. Returns whether all is there now.
async fn try_migrate(connection: &Connection) -> Result<bool, Failure> {
    // Who may not change the schema can still use what is there: nothing is made that is there already.
    if !is_there(connection, "keyspaces", "").await? {
        let copies = connection.config.replication_factor;
        let replication = format!("{{'class': 'NetworkTopologyStrategy', 'replication_factor': {copies}}}");
        change(connection, &format!("CREATE KEYSPACE IF NOT EXISTS {{}} WITH replication = {replication}")).await?;
    }
    if !is_there(connection, "tables", "schema_version").await? {
        change(connection, "CREATE TABLE IF NOT EXISTS {}.schema_version (name text PRIMARY KEY, version int)").await?;
        agree(connection).await?;
    }
    let version = version(connection).await?;
    if version > STEPS.len() {
        let error = format!(
            "the tables of keyspace '{}' have version {version}, and this program knows {} at most: use the version of \
             Assay that made them, or a newer one",
            connection.config.keyspace,
            STEPS.len()
        );
        return Err(Failure::Store(broken(error)));
    }
    if version == STEPS.len() && is_complete(connection).await? {
        return Ok(true);
    }
    let owner = std::process::id().cast_signed();
    if lock(connection, owner).await? {
        let done = do_steps(connection).await;
        unlock(connection, owner).await?;
        done?;
        return Ok(true);
    }
    Ok(false)
}

async fn do_steps(connection: &Connection) -> Result<(), Failure> {
    for (number, step) in (1..).zip(STEPS) {
        for part in *step {
            match part {
                Make(statement) => {
                    if !is_there(connection, "tables", table_of(statement)).await? {
                        change(connection, statement).await?;
                    }
                }
                AddColumn(table, column, of_type) => {
                    if !has_column(connection, table, column).await? {
                        change(connection, &format!("ALTER TABLE {{}}.{table} ADD {column} {of_type}")).await?;
                    }
                }
            }
        }
        // Nobody may see the version before all nodes know the tables.
        agree(connection).await?;
        // By its own number as the write timestamp, so that an older version never overwrites a newer one.
        change(
            connection,
            &format!(
                "INSERT INTO {{}}.schema_version (name, version) VALUES ('assay', {number}) USING TIMESTAMP {number}"
            ),
        )
        .await?;
    }
    Ok(())
}

/// Whether every table and column of all steps can be seen.
async fn is_complete(connection: &Connection) -> Result<bool, Failure> {
    for part in STEPS.iter().flat_map(|step| step.iter()) {
        let is_there = match part {
            Make(statement) => is_there(connection, "tables", table_of(statement)).await?,
            AddColumn(table, column, _) => has_column(connection, table, column).await?,
        };
        if !is_there {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The table that a statement makes.
fn table_of(statement: &'static str) -> &'static str {
    let name = statement.split_once("{}.").map_or("", |(_, rest)| rest);
    name.split_whitespace().next().unwrap_or_default()
}

/// Takes the lock, if nobody has it.
async fn lock(connection: &Connection, owner: i32) -> Result<bool, Failure> {
    let statement = format!(
        "INSERT INTO {}.schema_version (name, version) VALUES ('migration', {owner}) IF NOT EXISTS USING TTL \
         {LOCK_SECONDS}",
        connection.config.keyspace
    );
    let answer = match connection.session().query_unpaged(statement, ()).await {
        Ok(answer) => answer,
        // ScyllaDB has no conditions where it spreads a table by tablets. It needs no lock either: there, one node after
        // the other changes the schema.
        Err(error) if is_invalid(&error) => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    let rows = answer.into_rows_result().map_err(|error| unreadable(&error))?;
    let row = rows.maybe_first_row::<Row>().map_err(|error| unreadable(&error))?;
    let applied = row.and_then(|row| row.columns.into_iter().next().flatten());
    Ok(matches!(applied, Some(CqlValue::Boolean(true))))
}

async fn unlock(connection: &Connection, owner: i32) -> Result<(), Failure> {
    let keyspace = &connection.config.keyspace;
    let statement = format!("DELETE FROM {keyspace}.schema_version WHERE name = 'migration' IF version = {owner}");
    match connection.session().query_unpaged(statement, ()).await {
        Ok(_) => Ok(()),
        Err(error) if is_invalid(&error) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Executes a statement; `{}` stands for the keyspace.
async fn change(connection: &Connection, statement: &str) -> Result<(), Failure> {
    let statement = statement.replace("{}", &connection.config.keyspace);
    connection.session().query_unpaged(statement, ()).await.map(drop).map_err(Into::into)
}

/// Waits until all nodes know the same tables.
async fn agree(connection: &Connection) -> Result<(), Failure> {
    connection.session().await_schema_agreement().await.map(drop).map_err(|error| ExecutionError::from(error).into())
}

async fn is_there(connection: &Connection, what: &str, table: &str) -> Result<bool, Failure> {
    let and = if table.is_empty() { String::new() } else { format!(" AND table_name = '{table}'") };
    knows(connection, what, &and).await
}

async fn has_column(connection: &Connection, table: &str, column: &str) -> Result<bool, Failure> {
    knows(connection, "columns", &format!(" AND table_name = '{table}' AND column_name = '{column}'")).await
}

async fn knows(connection: &Connection, what: &str, and: &str) -> Result<bool, Failure> {
    let keyspace = &connection.config.keyspace;
    let question = format!("SELECT keyspace_name FROM system_schema.{what} WHERE keyspace_name = '{keyspace}'{and}");
    let answer = connection.session().query_unpaged(question, ()).await?;
    let rows = answer.into_rows_result().map_err(|error| unreadable(&error))?;
    Ok(rows.rows_num() > 0)
}

async fn version(connection: &Connection) -> Result<usize, Failure> {
    let keyspace = &connection.config.keyspace;
    let question = format!("SELECT version FROM {keyspace}.schema_version WHERE name = 'assay'");
    let answer = connection.session().query_unpaged(question, ()).await?;
    let rows = answer.into_rows_result().map_err(|error| unreadable(&error))?;
    let row = rows.maybe_first_row::<(i32,)>().map_err(|error| unreadable(&error))?;
    Ok(row.map_or(0, |(version,)| usize::try_from(version).unwrap_or(0)))
}

fn unreadable(error: &dyn std::fmt::Display) -> Failure {
    Failure::Store(damaged("reading which tables there are", error))
}
