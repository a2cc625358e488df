//! The state port: a row per entity, and a checkpoint per log partition.
//!
//! The entities of a log partition share 256 partitions of the table. So the dirty entities of a checkpoint are written
//! in batches of one partition each, and loaded likewise. This was measured to be five times as fast as a partition per
//! entity.
//!
//! The write timestamp of a row is the number of events that it includes, so the row with more events wins, whichever
//! process writes last. Of two rows with equally many events the one of the newer catalog wins: for equal timestamps the
//! store keeps the greater value, and a value starts with the catalog's version.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use assay_engine::ports::state::{Checkpoint, StateRow, StateStore};
use assay_engine::ports::{PartitionId, StoreError};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use scylla::statement::prepared::PreparedStatement;

use super::connection::{Connection, split_into_batches};
use super::error::broken;
use super::keys::{self, TablePartition};

/// The size of the catalog's version at the start of a value, in bytes. The entity's state is after it.
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
        let where_partition = "WHERE stream = ? AND log_partition = ?";
        Ok(Self {
            read_checkpoint: connection
                .prepare(&format!("SELECT events, verdicts, catalog, origins FROM {{}}.checkpoints {where_partition}"))
                .await?,
            write_checkpoint: connection
                .prepare(
                    "INSERT INTO {}.checkpoints (stream, log_partition, events, verdicts, catalog, origins)
                     VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
                )
                .await?,
            read_rows: connection
                .prepare(&format!("SELECT key, state FROM {{}}.state {where_partition} AND bucket = ? AND key IN ?"))
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

    /// Reads the rows of keys that are all in one bucket.
    async fn load_rows(
        &self,
        partition: &PartitionId,
        table_partition: &TablePartition,
        keys: &[BucketKey<'_>],
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let doing = format_args!("loading states of {partition}");
        let Some(first) = keys.first() else { return Ok(Vec::new()) };
        let keys: Vec<&str> = keys.iter().map(|key| &*key.key).collect();
        let values = (&table_partition.stream, table_partition.partition, first.bucket, keys);
        self.connection.read(doing, &self.read_rows, values, |_| false).await
    }
}

/// The primary key of an entity's row, without the log partition.
struct BucketKey<'a> {
    bucket: i32,
    key: Cow<'a, str>,
}

impl<'a> BucketKey<'a> {
    fn new(key: &'a str) -> Self {
        Self { bucket: keys::state_bucket(key), key: keys::bound_text(key) }
    }
}

/// A row to write.
struct StateWrite<'a> {
    bucket_key: BucketKey<'a>,
    state: &'a [u8],
}

impl<'a> StateWrite<'a> {
    fn new(row: &'a StateRow) -> Self {
        Self { bucket_key: BucketKey::new(&row.key), state: &row.state }
    }
}

impl StateStore for ScyllaState {
    fn checkpoint(&self, partition: &PartitionId) -> Result<Option<Checkpoint>, StoreError> {
        let table_partition = self.connection.table_partition(partition);
        let doing = format_args!("reading the checkpoint of {partition}");
        let values = (&table_partition.stream, table_partition.partition);
        let found = self.connection.read_one::<(i64, i64, i64, Option<Vec<i64>>)>(doing, &self.read_checkpoint, values);
        let found = self.connection.wait(found)?;
        Ok(found.map(|(events, verdicts, catalog, origins)| Checkpoint {
            events: keys::offset_from_bigint(events),
            verdicts: keys::offset_from_bigint(verdicts),
            catalog: catalog as u64,
            origins: origins.unwrap_or_default().into_iter().map(keys::offset_from_bigint).collect(),
        }))
    }

    fn load(&self, partition: &PartitionId, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let table_partition = self.connection.table_partition(partition);
        let mut bucket_keys: Vec<BucketKey<'_>> = keys.iter().map(|key| BucketKey::new(key)).collect();
        bucket_keys.sort_unstable_by(|a, b| (a.bucket, &a.key).cmp(&(b.bucket, &b.key)));
        bucket_keys.dedup_by(|a, b| a.key == b.key);
        let batches = split_into_batches(&bucket_keys, |a, b| a.bucket == b.bucket, |key| key.key.len());
        let read = stream::iter(batches).map(|batch| self.load_rows(partition, &table_partition, batch));
        let read = read.buffer_unordered(self.connection.config.in_flight).try_concat();
        let found: HashMap<String, Vec<u8>> = self.connection.wait(read)?.into_iter().collect();
        let find_state = |key: &&str| {
            let Some(row) = found.get(&*keys::bound_text(key)) else { return Ok(None) };
            let state = row.get(VERSION_BYTES..).map(<[u8]>::to_vec);
            state.map(Some).ok_or_else(|| {
                broken(format!("loading the state of '{key}' in {partition}: the row is too short to be one of ours"))
            })
        };
        keys.iter().map(find_state).collect()
    }

    fn save(&self, partition: &PartitionId, checkpoint: &Checkpoint, rows: &[StateRow]) -> Result<(), StoreError> {
        let progress = |checkpoint: &Checkpoint| (checkpoint.events, checkpoint.catalog);
        if self.checkpoint(partition)?.is_some_and(|stored| progress(&stored) > progress(checkpoint)) {
            // A former owner of the partition must not save: its rows would stay where the new owner has not written.
            // If both owners save at the same time, the write timestamps decide row by row.
            tracing::warn!(partition = %partition, events = %checkpoint.events, "a newer checkpoint is there; nothing is saved");
            return Ok(());
        }
        let table_partition = self.connection.table_partition(partition);
        let timestamp = keys::write_timestamp(checkpoint.events);
        let mut dirty: Vec<StateWrite<'_>> = rows.iter().map(StateWrite::new).collect();
        dirty.sort_unstable_by_key(|row| row.bucket_key.bucket);
        let batches =
            split_into_batches(&dirty, |a, b| a.bucket_key.bucket == b.bucket_key.bucket, |row| row.state.len());
        let batches = batches.map(|batch| {
            let mut values = Vec::with_capacity(batch.len());
            for StateWrite { bucket_key: BucketKey { bucket, key }, state } in batch {
                let state = [&checkpoint.catalog.to_be_bytes()[..], state].concat();
                values.push((&table_partition.stream, table_partition.partition, *bucket, &**key, state, timestamp));
            }
            values
        });
        let save = async {
            self.connection.write_batches(&self.write_row, batches).await?;
            // The checkpoint is written after the rows, so that a reader of the checkpoint finds rows that include all
            // of its events. Rows that include more events do no harm: each state records the events that it includes.
            let (events, verdicts) =
                (keys::offset_to_bigint(checkpoint.events), keys::offset_to_bigint(checkpoint.verdicts));
            let origins: Vec<i64> = checkpoint.origins.iter().map(|origin| keys::offset_to_bigint(*origin)).collect();
            let catalog = checkpoint.catalog as i64;
            let values =
                (&table_partition.stream, table_partition.partition, events, verdicts, catalog, origins, timestamp);
            self.connection.write(&self.write_checkpoint, values).await
        };
        self.connection.wait(save).map_err(|error| {
            let doing = format_args!("saving the checkpoint of {partition} at offset {}", checkpoint.events);
            self.connection.to_store_error(doing, &error)
        })
    }
}
