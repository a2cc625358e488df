//! The tables, made and brought up to date by numbered steps.
//!
//! Several processes may do this at once: every step may be repeated, and the version is written when all of its
//! statements are done. A step that was released is never changed; what must change gets a step of its own.

use std::time::Duration;

use assay_engine::ports::StoreError;
use scylla::errors::ExecutionError;

use super::connection::Connection;
use super::error::{broken, damaged, may_be_a_race};

/// How often a step is tried when another process may be in the midst of it.
const ATTEMPTS: u32 = 12;
/// How long to leave the other process to it, before the second attempt; one more of these before each further one.
const PAUSE: Duration = Duration::from_millis(200);

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

/// Makes the keyspace and the tables, or brings them up to date.
pub(super) async fn migrate(connection: &Connection) -> Result<(), StoreError> {
    let keyspace = &connection.config.keyspace;
    let doing = format!("making the tables of keyspace '{keyspace}'");
    let mut attempt = 1;
    while let Err(error) = try_migrate(connection).await {
        match error {
            Failure::Execution(error) if attempt < ATTEMPTS && may_be_a_race(&error) => {
                tokio::time::sleep(PAUSE * attempt).await;
                attempt += 1;
            }
            Failure::Execution(error) => return Err(connection.failed(&doing, &error)),
            Failure::Store(error) => return Err(error),
        }
    }
    // Another process may have made them by another node just now.
    let agreed = connection.session().await_schema_agreement().await;
    agreed.map(drop).map_err(|error| connection.failed(&doing, &error.into()))
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

async fn try_migrate(connection: &Connection) -> Result<(), Failure> {
    let (keyspace, session) = (&connection.config.keyspace, connection.session());
    let change = async |statement: &str| session.query_unpaged(statement.replace("{}", keyspace), ()).await.map(drop);
    // Who may not change the schema can still use what is there: nothing is made that is there already.
    if !is_there(connection, "keyspaces", "").await? {
        let copies = connection.config.replication_factor;
        let replication = format!("{{'class': 'NetworkTopologyStrategy', 'replication_factor': {copies}}}");
        change(&format!("CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication}")).await?;
    }
    if !is_there(connection, "tables", "schema_version").await? {
        change("CREATE TABLE IF NOT EXISTS {}.schema_version (name text PRIMARY KEY, version int)").await?;
    }
    let version = version(connection).await?;
    let Some(missing) = STEPS.get(version..) else {
        let error = format!(
            "the tables of keyspace '{keyspace}' have version {version}, and this program knows {} at most: use the \
             version of Assay that made them, or a newer one",
            STEPS.len()
        );
        return Err(Failure::Store(broken(error)));
    };
    for (number, step) in (version + 1..).zip(missing) {
        for part in *step {
            match part {
                Make(statement) => change(statement).await?,
                AddColumn(table, column, of_type) => {
                    if !has_column(connection, table, column).await? {
                        change(&format!("ALTER TABLE {{}}.{table} ADD {column} {of_type}")).await?;
                    }
                }
            }
        }
        // By its own number as the write timestamp, so that an older version never overwrites a newer one.
        change(&format!(
            "INSERT INTO {{}}.schema_version (name, version) VALUES ('assay', {number}) USING TIMESTAMP {number}"
        ))
        .await?;
    }
    Ok(())
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
