//! The state port: a row per entity, and one per partition that says how far they go.
//!
//! Whichever process writes: the row with more events wins, because its write timestamp is the number of events. Of
//! two with equally many the one of the newer catalog wins: then the store compares values and keeps the greater, and
//! a value begins with the catalog's version.

use std::sync::Arc;

use assay_engine::ports::state::{Checkpoint, StateRow, StateStore};
use assay_engine::ports::{StoreError, StreamPartition};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use scylla::statement::prepared::PreparedStatement;

use super::connection::Connection;
use super::error::broken;
use super::keys::{self, Home};

/// Bytes of the catalog's version before an entity's state.
const VERSION_BYTES: usize = 8;

/// Entities' states in ScyllaDB.
pub struct ScyllaState {
    connection: Arc<Connection>,
    read_checkpoint: PreparedStatement,
    write_checkpoint: PreparedStatement,
    read_row: PreparedStatement,
    write_row: PreparedStatement,
}

impl ScyllaState {
    pub(super) async fn prepare(connection: Arc<Connection>) -> Result<Self, StoreError> {
        let of = "WHERE stream = ? AND log_partition = ?";
        Ok(Self {
            read_checkpoint: connection
                .prepare(&format!("SELECT events, verdicts, catalog FROM {{}}.checkpoints {of}"))
                .await?,
            write_checkpoint: connection
                .prepare(
                    "INSERT INTO {}.checkpoints (stream, log_partition, events, verdicts, catalog)
                     VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?",
                )
                .await?,
            read_row: connection.prepare(&format!("SELECT state FROM {{}}.state {of} AND key = ?")).await?,
            write_row: connection
                .prepare(
                    "INSERT INTO {}.state (stream, log_partition, key, state) VALUES (?, ?, ?, ?) USING TIMESTAMP ?",
                )
                .await?,
            connection,
        })
    }

    async fn load_row(&self, of: &StreamPartition, home: &Home, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let doing = format_args!("loading the state of '{key}' in {of}");
        let values = (&home.stream, home.partition, keys::bounded(key));
        let found = self.connection.read_one::<(Vec<u8>,)>(doing, &self.read_row, values).await?;
        let Some((mut state,)) = found else { return Ok(None) };
        if state.len() < VERSION_BYTES {
            return Err(broken(format!("{doing}: the row is too short to be one of ours")));
        }
        state.drain(..VERSION_BYTES);
        Ok(Some(state))
    }
}

impl StateStore for ScyllaState {
    fn checkpoint(&self, of: &StreamPartition) -> Result<Option<Checkpoint>, StoreError> {
        let home = self.connection.home(of);
        let doing = format_args!("reading the checkpoint of {of}");
        let values = (&home.stream, home.partition);
        let found = self.connection.read_one::<(i64, i64, i64)>(doing, &self.read_checkpoint, values);
        let found = self.connection.wait(found)?;
        Ok(found.map(|(events, verdicts, catalog)| Checkpoint {
            events: keys::offset(events),
            verdicts: keys::offset(verdicts),
            catalog: catalog as u64,
        }))
    }

    fn load(&self, of: &StreamPartition, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let home = self.connection.home(of);
        let rows = stream::iter(keys).map(|key| self.load_row(of, &home, key));
        self.connection.wait(rows.buffered(self.connection.config.in_flight).try_collect())
    }

    fn save(&self, of: &StreamPartition, checkpoint: Checkpoint, rows: &[StateRow]) -> Result<(), StoreError> {
        let place = |checkpoint: Checkpoint| (checkpoint.events, checkpoint.catalog);
        if self.checkpoint(of)?.is_some_and(|newer| place(newer) > place(checkpoint)) {
            // Where two write at the same time the write timestamps decide; this spares the rows that the newer owner
            // has not touched.
            tracing::warn!(partition = %of, events = %checkpoint.events, "a newer checkpoint is there; nothing is saved");
            return Ok(());
        }
        let home = self.connection.home(of);
        let timestamp = keys::timestamp(checkpoint.events);
        let row = |row: &StateRow| {
            let mut state = Vec::with_capacity(VERSION_BYTES + row.state.len());
            state.extend_from_slice(&checkpoint.catalog.to_be_bytes());
            state.extend_from_slice(&row.state);
            (&home.stream, home.partition, keys::bounded(&row.key).into_owned(), state, timestamp)
        };
        let save = async {
            self.connection.write_all(&self.write_row, rows.iter().map(row)).await?;
            // Only now: whoever reads the checkpoint must find rows that go as far. Rows that go farther do no harm,
            // because each says itself which events it holds.
            let (events, verdicts) = (keys::bigint(checkpoint.events), keys::bigint(checkpoint.verdicts));
            let values = (&home.stream, home.partition, events, verdicts, checkpoint.catalog as i64, timestamp);
            self.connection.write(&self.write_checkpoint, values).await
        };
        self.connection.wait(save).map_err(|error| {
            let doing = format_args!("saving the checkpoint of {of} at offset {}", checkpoint.events);
            self.connection.failed(doing, &error)
        })
    }
}
