//! The positions of the archive's sinks in their topics. The position is the write timestamp of its row, so an older
//! position never replaces a newer one.

use std::sync::Arc;

use assay_core::names::Offset;
use assay_engine::ports::{PartitionId, StoreError};
use scylla::statement::prepared::PreparedStatement;

use crate::connection::{Connection, or_unset};
use crate::keys;

/// A sink that writes into the archive. Its name is the value of the column `follower`.
#[derive(Clone, Copy, Debug)]
pub(super) enum ArchiveSink {
    Events,
    Verdicts,
}

impl ArchiveSink {
    fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Verdicts => "verdicts",
        }
    }
}

/// The position of a sink.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Position {
    /// All records before this offset are written.
    pub(super) next: Offset,
    /// All events before this offset are judged, according to the verdicts that are written.
    pub(super) judged: Offset,
}

/// The prepared statements of positions.
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

    pub(super) async fn read(&self, partition: &PartitionId, sink: ArchiveSink) -> Result<Position, StoreError> {
        let table_partition = self.connection.table_partition(partition);
        let doing = format_args!("reading how far the {} of {partition} are archived", sink.name());
        let values = (&table_partition.stream, table_partition.partition, sink.name());
        let found = self.connection.read_one::<(i64, Option<i64>)>(doing, &self.read, values).await?;
        Ok(found.map_or_else(Position::default, |(next, judged)| Position {
            next: keys::offset_from_bigint(next),
            judged: keys::offset_from_bigint(judged.unwrap_or(0)),
        }))
    }

    /// Writes a position. `None` for `judged` leaves the stored value unchanged.
    pub(super) async fn write(
        &self,
        partition: &PartitionId,
        sink: ArchiveSink,
        next: Offset,
        judged: Option<Offset>,
    ) -> Result<(), StoreError> {
        let table_partition = self.connection.table_partition(partition);
        let judged = or_unset(judged.map(keys::offset_to_bigint));
        let timestamp = keys::write_timestamp(next);
        let values = (
            &table_partition.stream,
            table_partition.partition,
            sink.name(),
            keys::offset_to_bigint(next),
            judged,
            timestamp,
        );
        self.connection.write(&self.write, values).await.map_err(|error| {
            let doing = format_args!("noting that the {} of {partition} are archived before {next}", sink.name());
            self.connection.to_store_error(doing, &error)
        })
    }
}
