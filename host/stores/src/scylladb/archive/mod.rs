//! The archive port: events and verdicts, found by entity, by id and by place.
//!
//! An event's bytes are in one table only, by entity and time, because histories are read most. By place and by id
//! there are pointers to them. Verdicts are by place, with a summary beside the event.

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
use assay_engine::ports::{Page, StoreError, StreamPartition};

use super::connection::Connection;
use events::Events;
use history::Histories;
use positions::{Follower, Positions};
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
    fn events_position(&self, of: &StreamPartition) -> Result<Offset, StoreError> {
        Ok(self.connection.wait(self.positions.read(of, Follower::Events))?.next)
    }

    fn write_events(
        &self,
        of: &StreamPartition,
        entries: &[EventEntry],
        records: &[Records],
        next: Offset,
    ) -> Result<(), StoreError> {
        self.connection.wait(async {
            self.events.write(of, entries, records).await?;
            self.positions.write(of, Follower::Events, next, None).await
        })
    }

    fn verdicts_position(&self, of: &StreamPartition) -> Result<Offset, StoreError> {
        Ok(self.connection.wait(self.positions.read(of, Follower::Verdicts))?.next)
    }

    fn write_verdicts(&self, of: &StreamPartition, blocks: &[Records], next: Offset) -> Result<(), StoreError> {
        self.connection.wait(async {
            let judged = self.verdicts.write(of, blocks).await?;
            self.positions.write(of, Follower::Verdicts, next, judged).await
        })
    }

    fn history(&self, of: &StreamPartition, query: &HistoryQuery) -> Result<Page<ArchivedEvent>, StoreError> {
        self.connection.wait(async {
            // First how far all is written, then the rows: so no gap of a write under way is taken for the truth.
            let archived = self.positions.read(of, Follower::Events).await?.next;
            self.histories.page(of, query, archived).await
        })
    }

    fn by_id(
        &self,
        of: &StreamPartition,
        id: &str,
        after: Option<Offset>,
        limit: usize,
    ) -> Result<Vec<ArchivedEvent>, StoreError> {
        self.connection.wait(self.events.by_id(of, id, after, limit))
    }

    fn event(&self, of: &StreamPartition, offset: Offset) -> Result<Option<ArchivedEvent>, StoreError> {
        self.connection.wait(self.events.at(of, offset))
    }

    fn judged(&self, of: &StreamPartition) -> Result<Offset, StoreError> {
        Ok(self.connection.wait(self.positions.read(of, Follower::Verdicts))?.judged)
    }

    fn outcome(&self, of: &StreamPartition, offset: Offset) -> Result<Option<Outcome>, StoreError> {
        self.connection.wait(self.verdicts.outcome(of, offset))
    }
}
