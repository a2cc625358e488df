//! The connection to the cluster: the driver's session and its Tokio runtime.
//!
//! The ports are synchronous and the driver is asynchronous: each call blocks its thread until the driver is done. So
//! asynchronous code must call the ports on a thread for blocking work.

use std::fmt::Display;

use assay_engine::ports::StoreError;
use futures_util::{StreamExt as _, TryStreamExt as _, future, stream};
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::deserialize::row::DeserializeRow;
use scylla::errors::{ExecutionError, NewSessionError};
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::response::PagingState;
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::value::MaybeUnset;
use tokio::runtime::{Builder, Handle, Runtime};

use super::config::Config;
use super::error::{connect_error, damaged, to_store_error, unavailable};
use super::keys::TablePartition;

/// The worker threads of the driver's runtime. They mostly wait for sockets, so two are enough.
const DRIVER_THREADS: usize = 2;
/// The most rows of a batch. ScyllaDB accepts at most 100 keys in one read.
const MAX_BATCH_ROWS: usize = 100;
/// The approximate limit of a batch in bytes. A batch of one row may be larger.
const MAX_BATCH_BYTES: usize = 64 << 10;

/// A session with the cluster, shared by all adapters.
pub(super) struct Connection {
    session: Session,
    handle: Handle,
    /// `None` only while the connection is dropped.
    runtime: Option<Runtime>,
    pub(super) config: Config,
    /// The configured nodes, for error messages.
    pub(super) nodes: String,
}

impl Connection {
    /// Connects to the cluster. It must not be called from asynchronous code.
    pub(super) fn open(config: &Config) -> Result<Self, StoreError> {
        config.validate()?;
        let nodes = config.nodes.join(", ");
        let runtime = Builder::new_multi_thread()
            .worker_threads(DRIVER_THREADS)
            .thread_name("scylladb")
            .enable_all()
            .build()
            .map_err(|error| unavailable(format!("starting the driver's threads: {error}")))?;
        // The driver may have to try all nodes, one after the other.
        let timeout = config.connect_timeout.saturating_mul(config.nodes.len() as u32) + config.request_timeout;
        let connected = runtime.block_on(async { tokio::time::timeout(timeout, open_session(config)).await });
        let session = match connected {
            Ok(Ok(session)) => session,
            Ok(Err(error)) => return Err(connect_error(&nodes, &error)),
            Err(_) => return Err(unavailable(format!("connecting to {nodes}: no answer within {timeout:?}"))),
        };
        let handle = runtime.handle().clone();
        Ok(Self { session, handle, runtime: Some(runtime), config: config.clone(), nodes })
    }

    pub(super) fn table_partition(&self, partition: &assay_engine::ports::PartitionId) -> TablePartition {
        TablePartition::new(partition, self.config.incarnation)
    }

    /// Blocks this thread until a future is complete.
    pub(super) fn wait<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }

    /// The driver's session.
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Translates an error of the driver. `doing` says what was tried.
    pub(super) fn to_store_error(&self, doing: impl Display, error: &ExecutionError) -> StoreError {
        to_store_error(&self.nodes, doing, error)
    }

    /// Prepares an idempotent statement, which the driver may retry. `{}` in it stands for the keyspace.
    pub(super) async fn prepare(&self, statement: &str) -> Result<PreparedStatement, StoreError> {
        let statement = statement.replace("{}", &self.config.keyspace);
        let prepared = self.session.prepare(statement.as_str()).await;
        let mut prepared =
            prepared.map_err(|error| self.to_store_error(format_args!("preparing '{statement}'"), &error.into()))?;
        prepared.set_is_idempotent(true);
        prepared.set_use_cached_result_metadata(true);
        Ok(prepared)
    }

    /// Executes a statement that returns no rows.
    pub(super) async fn write(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<(), ExecutionError> {
        self.session.execute_unpaged(statement, values).await.map(drop)
    }

    /// Writes rows with concurrent requests. After an error any of the rows may be written.
    pub(super) async fn write_all<V: SerializeRow>(
        &self,
        statement: &PreparedStatement,
        rows: impl IntoIterator<Item = V>,
    ) -> Result<(), ExecutionError> {
        let writes = stream::iter(rows).map(|row| self.write(statement, row));
        writes.buffer_unordered(self.config.in_flight).try_for_each(|()| future::ready(Ok(()))).await
    }

    /// Writes batches of rows with concurrent requests. All rows of a batch must be in one partition of the table (see
    /// [`split_into_batches`]): the server then applies the batch as one mutation.
    pub(super) async fn write_batches<V: SerializeRow>(
        &self,
        statement: &PreparedStatement,
        batches: impl IntoIterator<Item = Vec<V>>,
    ) -> Result<(), ExecutionError> {
        let writes = stream::iter(batches).map(|rows| async move {
            if let [row] = &rows[..] {
                return self.write(statement, row).await;
            }
            let statements = vec![statement.clone().into(); rows.len()];
            let mut batch = Batch::new_with_statements(BatchType::Unlogged, statements);
            batch.set_is_idempotent(true);
            self.session.batch(&batch, rows).await.map(drop)
        });
        writes.buffer_unordered(self.config.in_flight).try_for_each(|()| future::ready(Ok(()))).await
    }

    /// Reads rows page by page, until there are no more or `is_enough` accepts the rows read so far.
    pub(super) async fn read<R>(
        &self,
        doing: impl Display,
        statement: &PreparedStatement,
        values: impl SerializeRow,
        mut is_enough: impl FnMut(&[R]) -> bool,
    ) -> Result<Vec<R>, StoreError>
    where
        R: for<'f, 'm> DeserializeRow<'f, 'm>,
    {
        let mut found = Vec::new();
        let mut state = PagingState::start();
        loop {
            let page = self.session.execute_single_page(statement, &values, state).await;
            let (page, next) = page.map_err(|error| self.to_store_error(&doing, &error))?;
            let page = page.into_rows_result().map_err(|error| damaged(&doing, error))?;
            for row in page.rows::<R>().map_err(|error| damaged(&doing, error))? {
                found.push(row.map_err(|error| damaged(&doing, error))?);
            }
            match next.into_paging_control_flow() {
                std::ops::ControlFlow::Continue(next) if !is_enough(&found) => state = next,
                _ => return Ok(found),
            }
        }
    }

    /// Reads at most one row.
    pub(super) async fn read_one<R>(
        &self,
        doing: impl Display,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Option<R>, StoreError>
    where
        R: for<'f, 'm> DeserializeRow<'f, 'm>,
    {
        let answer = self.session.execute_unpaged(statement, values).await;
        let answer = answer.map_err(|error| self.to_store_error(&doing, &error))?;
        let rows = answer.into_rows_result().map_err(|error| damaged(&doing, error))?;
        rows.maybe_first_row::<R>().map_err(|error| damaged(&doing, error))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Dropping a runtime blocks until its threads end, and panics in asynchronous code. This does not block.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A value to bind. `None` leaves the stored value unchanged and writes no tombstone.
pub(super) fn or_unset<T>(value: Option<T>) -> MaybeUnset<T> {
    value.map_or(MaybeUnset::Unset, MaybeUnset::Set)
}

/// Splits items into batches of neighbours in one partition of the table, within the limits of rows and bytes.
/// `weight` returns the approximate size of an item in bytes.
pub(super) fn split_into_batches<T>(
    items: &[T],
    is_same_partition: impl Fn(&T, &T) -> bool,
    weight: impl Fn(&T) -> usize,
) -> impl Iterator<Item = &[T]> {
    let mut rest = items;
    std::iter::from_fn(move || {
        let first = rest.first()?;
        let mut bytes = 0;
        let fits = |(index, item): (usize, &T)| {
            bytes += weight(item);
            index == 0 || (index < MAX_BATCH_ROWS && bytes <= MAX_BATCH_BYTES && is_same_partition(first, item))
        };
        let length = rest.iter().enumerate().map(fits).take_while(|fits| *fits).count();
        let (batch, later) = rest.split_at(length);
        rest = later;
        Some(batch)
    })
}

async fn open_session(config: &Config) -> Result<Session, NewSessionError> {
    let mut policy = DefaultPolicy::builder().token_aware(true);
    if let Some(datacenter) = &config.datacenter {
        policy = policy.prefer_datacenter(datacenter.clone());
    }
    let profile = ExecutionProfile::builder()
        .consistency(config.consistency.to_driver())
        .request_timeout(Some(config.request_timeout))
        .load_balancing_policy(policy.build())
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes(&config.nodes)
        .connection_timeout(config.connect_timeout)
        .default_execution_profile_handle(profile.into_handle())
        .keyspaces_to_fetch([&config.keyspace])
        .fetch_full_schema_metadata(false);
    if let Some(user) = &config.user {
        builder = builder.user(user, config.password.as_deref().unwrap_or_default());
    }
    builder.build().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_ends_with_its_partition_or_when_it_is_full() {
        let lengths = |items: &[(u8, usize)]| -> Vec<usize> {
            split_into_batches(items, |a, b| a.0 == b.0, |item| item.1).map(<[_]>::len).collect()
        };
        assert_eq!(lengths(&[]), [0; 0]);
        assert_eq!(lengths(&[(1, 1), (1, 1), (2, 1), (1, 1)]), [2, 1, 1]);
        assert_eq!(lengths(&[(1, 1 << 30), (1, 1), (1, MAX_BATCH_BYTES)]), [1, 1, 1]);
        assert_eq!(lengths(&[(1, 1); MAX_BATCH_ROWS + 1]), [MAX_BATCH_ROWS, 1]);
    }
}
