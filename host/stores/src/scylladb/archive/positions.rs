//! How far each of the archive's followers has written. The position's own value is its write timestamp, so that it
//! never goes back.

use std::sync::Arc;

use assay_core::names::Offset;
use assay_engine::ports::{StoreError, StreamPartition};
use scylla::statement::prepared::PreparedStatement;

use super::super::connection::{Connection, set};
use super::super::keys;

/// Whose position.
#[derive(Clone, Copy, Debug)]
pub(super) enum Follower {
    Events,
    Verdicts,
}

impl Follower {
    fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Verdicts => "verdicts",
        }
    }
}

/// How far a follower has written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Position {
    /// All records before it are written.
    pub(super) next: Offset,
    /// All events before it are judged, as far as this follower has read.
    pub(super) judged: Offset,
}

pub(super) struct Positions {
    connection: Arc<Connection>,
    read: PreparedStatement,
    write: PreparedStatement,
}

impl Positions {
    pub(super) async fn prepare(connection: Arc<Connection>) -> Result<Self, StoreError> {
        let read = "SELECT next, judged FROM {}.positions WHERE stream = ? AND log_partition = ? AND follower = ?";
        let write = "INSERT INTO {}.positions (stream, log_partition, follower, next, judged)
                     VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?";
        Ok(Self { read: connection.prepare(read).await?, write: connection.prepare(write).await?, connection })
    }

    pub(super) async fn read(&self, of: &StreamPartition, follower: Follower) -> Result<Position, StoreError> {
        let home = self.connection.home(of);
        let doing = format_args!("reading how far the {} of {of} are archived", follower.name());
        let values = (&home.stream, home.partition, follower.name());
        let found = self.connection.read_one::<(i64, Option<i64>)>(doing, &self.read, values).await?;
        Ok(found.map_or_else(Position::default, |(next, judged)| Position {
            next: keys::offset(next),
            judged: keys::offset(judged.unwrap_or(0)),
        }))
    }

    /// Notes a position. None for `judged` leaves what is there.
    pub(super) async fn write(
        &self,
        of: &StreamPartition,
        follower: Follower,
        next: Offset,
        judged: Option<Offset>,
    ) -> Result<(), StoreError> {
        let home = self.connection.home(of);
        let judged = set(judged.map(keys::bigint));
        let timestamp = keys::timestamp(next);
        let values = (&home.stream, home.partition, follower.name(), keys::bigint(next), judged, timestamp);
        self.connection.write(&self.write, values).await.map_err(|error| {
            let doing = format_args!("noting that the {} of {of} are archived before {next}", follower.name());
            self.connection.failed(doing, &error)
        })
    }
}
