//! The archive port: events by entity, id and offset, and verdicts by offset.
//!
//! The bytes of an event are in one table only, by entity and time, because histories are read most. The tables by
//! offset and by id hold pointers to them. The verdicts of an event are by offset, with a summary in the event's row.

mod events;
mod history;
mod outcome;
mod positions;
mod stamps;
mod verdicts;
mod weeks;

use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::verdict::Outcome;
use assay_engine::ports::archive::{Archive, ArchivedEvent, EventEntry, HistoryQuery};
use assay_engine::ports::log::Records;
use assay_engine::ports::{Page, PartitionId, StoreError};

use crate::connection::Connection;
use events::Events;
use history::Histories;
use positions::{ArchiveSink, Positions};
use verdicts::Verdicts;

/// The archive in ScyllaDB.
pub struct ScyllaArchive {
    connection: Arc<Connection>,
    positions: Positions,
    events: Events,
    histories: Histories,
    verdicts: Verdicts,
}

impl ScyllaArchive {
    pub(super) async fn prepare(connection: Arc<Connection>) -> Result<Self, StoreError> {
        Ok(Self {
            positions: Positions::prepare(connection.clone()).await?,
            events: Events::prepare(connection.clone()).await?,
            histories: Histories::prepare(connection.clone()).await?,
            verdicts: Verdicts::prepare(connection.clone()).await?,
            connection,
        })
    }
}

impl Archive for ScyllaArchive {
    fn events_position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        Ok(self.connection.wait(self.positions.read(partition, ArchiveSink::Events))?.next)
    }

    fn write_events(
        &self,
        partition: &PartitionId,
        entries: &[EventEntry],
        records: &[Records],
        next: Offset,
    ) -> Result<(), StoreError> {
        self.connection.wait(async {
            self.events.write(partition, entries, records).await?;
            self.positions.write(partition, ArchiveSink::Events, next, None).await
        })
    }

    fn verdicts_position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        Ok(self.connection.wait(self.positions.read(partition, ArchiveSink::Verdicts))?.next)
    }

    fn write_verdicts(&self, partition: &PartitionId, blocks: &[Records], next: Offset) -> Result<(), StoreError> {
        self.connection.wait(async {
            let judged = self.verdicts.write(partition, blocks).await?;
            self.positions.write(partition, ArchiveSink::Verdicts, next, judged).await
        })
    }

    fn history(&self, partition: &PartitionId, query: &HistoryQuery) -> Result<Page<ArchivedEvent>, StoreError> {
        self.connection.wait(async {
            // The position is read before the rows, and rows after the position are left out. So a write that is only
            // half done never shows as a gap in a history.
            let archived = self.positions.read(partition, ArchiveSink::Events).await?.next;
            self.histories.read_page(partition, query, archived).await
        })
    }

    fn by_id(
        &self,
        partition: &PartitionId,
        id: &str,
        after: Option<Offset>,
        limit: usize,
    ) -> Result<Vec<ArchivedEvent>, StoreError> {
        self.connection.wait(self.events.read_by_event_id(partition, id, after, limit))
    }

    fn event(&self, partition: &PartitionId, offset: Offset) -> Result<Option<ArchivedEvent>, StoreError> {
        self.connection.wait(self.events.read_at(partition, offset))
    }

    fn judged(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        Ok(self.connection.wait(self.positions.read(partition, ArchiveSink::Verdicts))?.judged)
    }

    fn outcome(&self, partition: &PartitionId, offset: Offset) -> Result<Option<Outcome>, StoreError> {
        self.connection.wait(self.verdicts.read_outcome(partition, offset))
    }
}
