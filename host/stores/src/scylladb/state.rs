//! The state port: a row per entity, and one per log partition that says how far they go.
//!
//! Entities share partitions of the table, 256 for each log partition, so that what is dirty at a checkpoint is written
//! in batches of one partition each, and read so: measured, that is five times as fast as a partition per entity.
//!
//! Whichever process writes: the row with more events wins, because its write timestamp is the number of events. Of
//! two with equally many the one of the newer catalog wins: then the store compares values and keeps the greater, and
//! a value begins with the catalog's version.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use assay_engine::ports::state::{Checkpoint, StateRow, StateStore};
use assay_engine::ports::{StoreError, StreamPartition};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use scylla::statement::prepared::PreparedStatement;

use super::connection::{Connection, batches};
use super::error::broken;
use super::keys::{self, Home};

/// Bytes of the catalog's version before an entity's state.
const VERSION_BYTES: usize = 8;

/// Entities' states in ScyllaDB.
pub struct ScyllaState {
    connection: Arc<Connection>,
    read_checkpoint: PreparedStatement,
    write_checkpoint: PreparedStatement,
    read_rows: PreparedStatement,
    write_row: PreparedStatement,
}

impl ScyllaState {
    pub(super) async fn prepare(connection: Arc<Connection>) -> Result<Self, StoreError> {
        let of = "WHERE stream = ? AND log_partition = ?";
        Ok(Self {
            read_checkpoint: connection
                .prepare(&format!("SELECT events, verdicts, catalog, origins FROM {{}}.checkpoints {of}"))
                .await?,
            write_checkpoint: connection
                .prepare(
                    "INSERT INTO {}.checkpoints (stream, log_partition, events, verdicts, catalog, origins)
                     VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
                )
                .await?,
            read_rows: connection
                .prepare(&format!("SELECT key, state FROM {{}}.state {of} AND bucket = ? AND key IN ?"))
                .await?,
            write_row: connection
                .prepare(
                    "INSERT INTO {}.state (stream, log_partition, bucket, key, state) VALUES (?, ?, ?, ?, ?)
                     USING TIMESTAMP ?",
                )
                .await?,
            connection,
        })
    }

    /// Reads rows of one bucket.
    async fn load_rows(
        &self,
        of: &StreamPartition,
        home: &Home,
        keys: &[InBucket<'_>],
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let doing = format_args!("loading states of {of}");
        let Some(first) = keys.first() else { return Ok(Vec::new()) };
        let wanted: Vec<&str> = keys.iter().map(|key| &*key.key).collect();
        let values = (&home.stream, home.partition, first.bucket, wanted);
        self.connection.read(doing, &self.read_rows, values, |_| false).await
    }
}

/// An entity's key, as the table has it.
struct InBucket<'a> {
    bucket: i32,
    key: Cow<'a, str>,
}

impl<'a> InBucket<'a> {
    fn new(key: &'a str) -> Self {
        Self { bucket: keys::state_bucket(key), key: keys::bounded(key) }
    }
}

/// A row to be saved.
struct Dirty<'a> {
    place: InBucket<'a>,
    state: &'a [u8],
}

impl<'a> Dirty<'a> {
    fn new(row: &'a StateRow) -> Self {
        Self { place: InBucket::new(&row.key), state: &row.state }
    }
}

impl StateStore for ScyllaState {
    fn checkpoint(&self, of: &StreamPartition) -> Result<Option<Checkpoint>, StoreError> {
        let home = self.connection.home(of);
        let doing = format_args!("reading the checkpoint of {of}");
        let values = (&home.stream, home.partition);
        let found = self.connection.read_one::<(i64, i64, i64, Option<Vec<i64>>)>(doing, &self.read_checkpoint, values);
        let found = self.connection.wait(found)?;
        Ok(found.map(|(events, verdicts, catalog, origins)| Checkpoint {
            events: keys::offset(events),
            verdicts: keys::offset(verdicts),
            catalog: catalog as u64,
            origins: origins.unwrap_or_default().into_iter().map(keys::offset).collect(),
        }))
    }

    fn load(&self, of: &StreamPartition, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let home = self.connection.home(of);
        let mut wanted: Vec<InBucket<'_>> = keys.iter().map(|key| InBucket::new(key)).collect();
        wanted.sort_unstable_by(|a, b| (a.bucket, &a.key).cmp(&(b.bucket, &b.key)));
        wanted.dedup_by(|a, b| a.key == b.key);
        let batches = batches(&wanted, |a, b| a.bucket == b.bucket, |key| key.key.len());
        let read = stream::iter(batches).map(|batch| self.load_rows(of, &home, batch));
        let read = read.buffer_unordered(self.connection.config.in_flight).try_concat();
        let found: HashMap<String, Vec<u8>> = self.connection.wait(read)?.into_iter().collect();
        let state = |key: &&str| {
            let Some(row) = found.get(&*keys::bounded(key)) else { return Ok(None) };
            let state = row.get(VERSION_BYTES..).map(<[u8]>::to_vec);
            state.map(Some).ok_or_else(|| {
                broken(format!("loading the state of '{key}' in {of}: the row is too short to be one of ours"))
            })
        };
        keys.iter().map(state).collect()
    }

    fn save(&self, of: &StreamPartition, checkpoint: &Checkpoint, rows: &[StateRow]) -> Result<(), StoreError> {
        let place = |checkpoint: &Checkpoint| (checkpoint.events, checkpoint.catalog);
        if self.checkpoint(of)?.is_some_and(|newer| place(&newer) > place(checkpoint)) {
            // Where two write at the same time the write timestamps decide; this spares the rows that the newer owner
            // has not touched.
            tracing::warn!(partition = %of, events = %checkpoint.events, "a newer checkpoint is there; nothing is saved");
            return Ok(());
        }
        let home = self.connection.home(of);
        let timestamp = keys::timestamp(checkpoint.events);
        let mut dirty: Vec<Dirty<'_>> = rows.iter().map(Dirty::new).collect();
        dirty.sort_unstable_by_key(|row| row.place.bucket);
        let batches = batches(&dirty, |a, b| a.place.bucket == b.place.bucket, |row| row.state.len());
        let batches = batches.map(|batch| {
            let mut values = Vec::with_capacity(batch.len());
            for Dirty { place: InBucket { bucket, key }, state } in batch {
                let state = [&checkpoint.catalog.to_be_bytes()[..], state].concat();
                values.push((&home.stream, home.partition, *bucket, &**key, state, timestamp));
            }
            values
        });
        let save = async {
            self.connection.write_batches(&self.write_row, batches).await?;
            // Only now: whoever reads the checkpoint must find rows that go as far. Rows that go farther do no harm,
            // because each says itself which events it holds.
            let (events, verdicts) = (keys::bigint(checkpoint.events), keys::bigint(checkpoint.verdicts));
            let origins: Vec<i64> = checkpoint.origins.iter().map(|origin| keys::bigint(*origin)).collect();
            let catalog = checkpoint.catalog as i64;
            let values = (&home.stream, home.partition, events, verdicts, catalog, origins, timestamp);
            self.connection.write(&self.write_checkpoint, values).await
        };
        self.connection.wait(save).map_err(|error| {
            let doing = format_args!("saving the checkpoint of {of} at offset {}", checkpoint.events);
            self.connection.failed(doing, &error)
        })
    }
}
