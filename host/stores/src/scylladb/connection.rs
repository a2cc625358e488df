//! The connection to the cluster: the driver's session, and the threads that it runs on.
//!
//! The ports are plain calls, the driver is asynchronous: calls wait for it on their own threads. Whoever calls from
//! asynchronous code must do so on threads made for blocking.

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
use super::error::{damaged, failed, not_connected, unavailable};
use super::keys::Home;

/// Threads on which the driver writes and reads sockets. They wait more than they work.
const THREADS: usize = 2;
/// The most rows of a batch. ScyllaDB takes no more than 100 keys in one read.
const BATCH_ROWS: usize = 100;
/// The most bytes of a batch of more than one row, about.
const BATCH_BYTES: usize = 64 << 10;

/// A session with the cluster.
pub(super) struct Connection {
    session: Session,
    handle: Handle,
    runtime: Option<Runtime>,
    pub(super) config: Config,
    /// The nodes that were named, for errors.
    pub(super) nodes: String,
}

impl Connection {
    /// Connects to the cluster, or says why not.
    pub(super) fn open(config: &Config) -> Result<Self, StoreError> {
        config.check()?;
        let nodes = config.nodes.join(", ");
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("scylladb")
            .enable_all()
            .build()
            .map_err(|error| unavailable(format!("starting the driver's threads: {error}")))?;
        // All nodes may have to be tried.
        let at_most = config.connect_timeout.saturating_mul(config.nodes.len() as u32) + config.request_timeout;
        let connected = runtime.block_on(async { tokio::time::timeout(at_most, session(config)).await });
        let session = match connected {
            Ok(Ok(session)) => session,
            Ok(Err(error)) => return Err(not_connected(&nodes, &error)),
            Err(_) => return Err(unavailable(format!("connecting to {nodes}: no answer within {at_most:?}"))),
        };
        let handle = runtime.handle().clone();
        Ok(Self { session, handle, runtime: Some(runtime), config: config.clone(), nodes })
    }

    pub(super) fn home(&self, of: &assay_engine::ports::StreamPartition) -> Home {
        Home::new(of, self.config.incarnation)
    }

    /// Waits on this thread until a future is done.
    pub(super) fn wait<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }

    /// The driver's session.
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Translates the driver's failure.
    pub(super) fn failed(&self, doing: impl Display, error: &ExecutionError) -> StoreError {
        failed(&self.nodes, doing, error)
    }

    /// Prepares a statement that may be repeated without harm; `{}` in it stands for the keyspace.
    pub(super) async fn prepare(&self, statement: &str) -> Result<PreparedStatement, StoreError> {
        let statement = statement.replace("{}", &self.config.keyspace);
        let prepared = self.session.prepare(statement.as_str()).await;
        let mut prepared =
            prepared.map_err(|error| self.failed(format_args!("preparing '{statement}'"), &error.into()))?;
        prepared.set_is_idempotent(true);
        prepared.set_use_cached_result_metadata(true);
        Ok(prepared)
    }

    /// Makes one request that answers with no rows.
    pub(super) async fn write(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<(), ExecutionError> {
        self.session.execute_unpaged(statement, values).await.map(drop)
    }

    /// Writes rows, many at once. When one fails, the others may be written or not.
    pub(super) async fn write_all<V: SerializeRow>(
        &self,
        statement: &PreparedStatement,
        rows: impl IntoIterator<Item = V>,
    ) -> Result<(), ExecutionError> {
        let writes = stream::iter(rows).map(|row| self.write(statement, row));
        writes.buffer_unordered(self.config.in_flight).try_for_each(|()| future::ready(Ok(()))).await
    }

    /// Writes rows by batches, each of one partition of the table (see [`batches`]): the server writes such a batch as
    /// one piece.
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

    /// Reads rows, in pages, until there are no more or `is_enough`.
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
            let (page, next) = page.map_err(|error| self.failed(&doing, &error))?;
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

    /// Reads the one row that there is at most.
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
        let answer = answer.map_err(|error| self.failed(&doing, &error))?;
        let rows = answer.into_rows_result().map_err(|error| damaged(&doing, error))?;
        rows.maybe_first_row::<R>().map_err(|error| damaged(&doing, error))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Dropped as it is, the runtime would wait for its threads, which asynchronous callers must not.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A value to be written; none: what is there stays, and nothing is written over it.
pub(super) fn set<T>(value: Option<T>) -> MaybeUnset<T> {
    value.map_or(MaybeUnset::Unset, MaybeUnset::Set)
}

/// Cuts items into batches: neighbours of the same partition, not too many and not too large together.
pub(super) fn batches<T>(
    items: &[T],
    is_same_partition: impl Fn(&T, &T) -> bool,
    weight: impl Fn(&T) -> usize,
) -> impl Iterator<Item = &[T]> {
    let mut rest = items;
    std::iter::from_fn(move || {
        let first = rest.first()?;
        let mut bytes = 0;
        let fits = |(at, item): (usize, &T)| {
            bytes += weight(item);
            at == 0 || (at < BATCH_ROWS && bytes <= BATCH_BYTES && is_same_partition(first, item))
        };
        let length = rest.iter().enumerate().map(fits).take_while(|fits| *fits).count();
        let (batch, later) = rest.split_at(length);
        rest = later;
        Some(batch)
    })
}

async fn session(config: &Config) -> Result<Session, NewSessionError> {
    let mut policy = DefaultPolicy::builder().token_aware(true);
    if let Some(datacenter) = &config.datacenter {
        policy = policy.prefer_datacenter(datacenter.clone());
    }
    let profile = ExecutionProfile::builder()
        .consistency(config.consistency.level())
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
    fn batches_end_with_their_partition_and_when_they_are_full() {
        let lengths = |items: &[(u8, usize)]| -> Vec<usize> {
            batches(items, |a, b| a.0 == b.0, |item| item.1).map(<[_]>::len).collect()
        };
        assert_eq!(lengths(&[]), [0; 0]);
        assert_eq!(lengths(&[(1, 1), (1, 1), (2, 1), (1, 1)]), [2, 1, 1]);
        assert_eq!(lengths(&[(1, 1 << 30), (1, 1), (1, BATCH_BYTES)]), [1, 1, 1]);
        assert_eq!(lengths(&[(1, 1); BATCH_ROWS + 1]), [BATCH_ROWS, 1]);
    }
}
