//! The archive: finds the events of an entity and of an id, and the verdicts of an event, in the log.
//!
//! The embedded log keeps events and verdicts, so the archive holds only indexes and no copies. Records that retention
//! deletes from the log are not found here any more.

mod entry;
mod index;
mod pages;
mod run;
mod verdicts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::verdict::Outcome;
use assay_engine::ports::archive::{Archive, ArchivedEvent, EventEntry, HistoryQuery};
use assay_engine::ports::log::{Records, Topic};
use assay_engine::ports::{Page, PartitionId, Place, StoreError};

use super::commits::Batch;
use super::cursor::{self, Listing};
use super::database::Database;
use super::error::broken;
use super::keys::{NumberedPartition, PositionOwner};
use super::log::{LogReader, StoredBlock};
use entry::Entry;
use index::{Indexes, Lookup};
use run::{IndexId, IndexedBy};
use verdicts::VerdictIndex;

/// A larger limit is lowered to this.
const MAX_PAGE_ITEMS: usize = 10_000;

/// The archive on the embedded database.
pub(super) struct EmbeddedArchive {
    database: Arc<Database>,
    log: LogReader,
    indexes: Indexes,
    verdicts: VerdictIndex,
}

impl EmbeddedArchive {
    pub(super) fn new(database: Arc<Database>, log: LogReader) -> Self {
        let verdicts = VerdictIndex { database: database.clone(), log: log.clone() };
        Self { indexes: Indexes::new(database.clone()), verdicts, database, log }
    }

    /// Reads the events at these offsets from the log. Returns them in the order of `offsets`, without deleted ones.
    ///
    /// # Errors
    /// The store fails, or an indexed event is missing in the log.
    fn read_events(
        &self,
        id: NumberedPartition,
        partition: &PartitionId,
        offsets: &[u64],
    ) -> Result<Vec<ArchivedEvent>, StoreError> {
        let events = LogReader::topic_partition(id, Topic::Events);
        // Reading in the order of the log reads each block once.
        let mut order: Vec<usize> = (0..offsets.len()).collect();
        order.sort_unstable_by_key(|&i| offsets[i]);
        let mut fetched: Vec<Option<ArchivedEvent>> = vec![None; offsets.len()];
        let mut block: Option<StoredBlock> = None;
        for i in order {
            let offset = offsets[i];
            let mut record = block.as_ref().map(|block| block.record(offset)).transpose()?.flatten();
            if record.is_none() {
                block = self.log.find_block(events, offset)?;
                record = block.as_ref().map(|block| block.record(offset)).transpose()?.flatten();
            }
            fetched[i] = record.map(|record| to_archived_event(partition, record));
        }
        let head = self.log.start_offset(events);
        let found = |(event, offset): (Option<ArchivedEvent>, &u64)| match event {
            // The entity's data was deleted after the lookup in the index.
            Some(event) if event.bytes.is_empty() => None,
            Some(event) => Some(Ok(event)),
            // Retention deleted the event after the lookup in the index.
            None if *offset < head => None,
            None => {
                Some(Err(broken(format!("the event at offset {offset} of {partition} is indexed but not in the log"))))
            }
        };
        fetched.into_iter().zip(offsets).filter_map(found).collect()
    }

    /// The verdict blocks of events: for each block's offset in the verdicts topic the offsets of its events.
    pub(super) fn verdict_places(
        &self,
        id: NumberedPartition,
        offsets: &BTreeSet<u64>,
    ) -> Result<BTreeMap<u64, BTreeSet<u64>>, StoreError> {
        let mut places: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for offset in offsets {
            for at in self.verdicts.find_blocks(id, *offset)? {
                places.entry(at).or_default().insert(*offset);
            }
        }
        Ok(places)
    }

    /// Removes events from the indexes, and commits this together with the present content of `batch`.
    pub(super) fn erase(&self, id: NumberedPartition, events: &[EventEntry], batch: Batch) -> Result<(), StoreError> {
        self.indexes.erase(id, events, batch)
    }

    /// Calls `on_offset` for each entry of the indexes: first events, then verdict blocks.
    pub(super) fn for_each_offset(
        &self,
        id: NumberedPartition,
        mut on_offset: impl FnMut(Topic, u64),
    ) -> Result<(), StoreError> {
        for by in [IndexedBy::Entity, IndexedBy::Id] {
            self.indexes
                .for_each_entry(IndexId { partition: id, by }, |entry| on_offset(Topic::Events, entry.offset))?;
        }
        self.verdicts.for_each_block(id, |at| on_offset(Topic::Verdicts, at))
    }

    /// The offset of the first event of a partition that retention has left.
    fn start_offset(&self, id: NumberedPartition) -> u64 {
        self.log.start_offset(LogReader::topic_partition(id, Topic::Events))
    }
}

impl Archive for EmbeddedArchive {
    fn events_position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        let id = self.database.streams.find_partition(partition);
        id.map_or(Ok(Offset(0)), |id| self.indexes.position(id).map(Offset))
    }

    fn write_events(
        &self,
        partition: &PartitionId,
        entries: &[EventEntry],
        _records: &[Records],
        next: Offset,
    ) -> Result<(), StoreError> {
        let id = self.database.streams.find_or_add_partition(&self.database, partition)?;
        self.indexes.write(id, entries, next.0)
    }

    fn verdicts_position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        let id = self.database.streams.find_partition(partition);
        id.map_or(Ok(Offset(0)), |id| self.database.position(PositionOwner::ArchivedVerdicts, id).map(Offset))
    }

    fn write_verdicts(&self, partition: &PartitionId, blocks: &[Records], next: Offset) -> Result<(), StoreError> {
        let id = self.database.streams.find_or_add_partition(&self.database, partition)?;
        self.verdicts.write(id, blocks, next.0)
    }

    fn history(&self, partition: &PartitionId, query: &HistoryQuery) -> Result<Page<ArchivedEvent>, StoreError> {
        let after = query.cursor.as_deref().map(read_cursor).transpose()?;
        let limit = query.limit.min(MAX_PAGE_ITEMS);
        let id = self.database.streams.find_partition(partition);
        let (Some(id), Some((earliest, latest))) = (id, query.times.bounds()) else {
            return Ok(Page { items: Vec::new(), cursor: None });
        };
        if limit == 0 {
            return Ok(Page { items: Vec::new(), cursor: None });
        }
        let lookup = Lookup { hash: Entry::hash_of(&query.key), earliest, latest, after, begin: self.start_offset(id) };
        // One more entry than the page holds tells whether there is another page.
        let mut found = self.indexes.find(IndexId { partition: id, by: IndexedBy::Entity }, &lookup, limit + 1)?;
        let has_more = found.len() > limit;
        found.truncate(limit);
        let cursor = found.last().filter(|_| has_more).map(write_cursor);
        let offsets: Vec<u64> = found.iter().map(|entry| entry.offset).collect();
        Ok(Page { items: self.read_events(id, partition, &offsets)?, cursor })
    }

    fn by_id(
        &self,
        partition_id: &PartitionId,
        id: &str,
        after: Option<Offset>,
        limit: usize,
    ) -> Result<Vec<ArchivedEvent>, StoreError> {
        let Some(partition) = self.database.streams.find_partition(partition_id) else {
            return Ok(Vec::new());
        };
        let hash = Entry::hash_of(id);
        let begin = after.map_or(0, |after| after.0.saturating_add(1)).max(self.start_offset(partition));
        let lookup = Lookup { hash, earliest: i64::MIN, latest: i64::MAX, after: None, begin };
        // The index orders entries by time and this listing by offset, so all entries of the id are read.
        let found = self.indexes.find(IndexId { partition, by: IndexedBy::Id }, &lookup, usize::MAX)?;
        let mut offsets: Vec<u64> = found.iter().map(|entry| entry.offset).collect();
        offsets.sort_unstable();
        offsets.truncate(limit.min(MAX_PAGE_ITEMS + 1));
        self.read_events(partition, partition_id, &offsets)
    }

    fn event(&self, partition: &PartitionId, offset: Offset) -> Result<Option<ArchivedEvent>, StoreError> {
        let Some(id) = self.database.streams.find_partition(partition) else {
            return Ok(None);
        };
        let Some(block) = self.log.find_block(LogReader::topic_partition(id, Topic::Events), offset.0)? else {
            return Ok(None);
        };
        // An event without bytes belonged to an entity whose data was deleted.
        let record = block.record(offset.0)?.filter(|record| !record.data.is_empty());
        Ok(record.map(|record| to_archived_event(partition, record)))
    }

    fn forget(&self, partition: &PartitionId, events: Offset, verdicts: Offset) -> Result<(), StoreError> {
        let Some(id) = self.database.streams.find_partition(partition) else {
            return Ok(());
        };
        self.indexes.forget(id, events.0)?;
        self.verdicts.forget(id, verdicts.0)
    }

    fn judged(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        let id = self.database.streams.find_partition(partition);
        id.map_or(Ok(Offset(0)), |id| self.verdicts.read_judged(id).map(Offset))
    }

    fn outcome(&self, partition: &PartitionId, offset: Offset) -> Result<Option<Outcome>, StoreError> {
        let id = self.database.streams.find_partition(partition);
        id.map_or(Ok(None), |id| self.verdicts.find_event_outcome(id, offset.0))
    }
}

/// The archived event of a block that holds a single record.
fn to_archived_event(partition: &PartitionId, record: Records) -> ArchivedEvent {
    ArchivedEvent {
        place: Place { partition: partition.partition, offset: record.first },
        appended_at: record.appended_at,
        schema: record.schema,
        bytes: record.data,
    }
}

fn write_cursor(last: &Entry) -> String {
    let mut position = last.time.to_be_bytes().to_vec();
    position.extend_from_slice(&last.offset.to_be_bytes());
    cursor::write(Listing::History, &position)
}

fn read_cursor(text: &str) -> Result<(i64, u64), StoreError> {
    let position = cursor::read(Listing::History, text)?;
    let position = u128::from_be_bytes(<[u8; 16]>::try_from(&position[..]).map_err(|_| StoreError::BadCursor)?);
    Ok(((position >> 64) as i64, position as u64))
}
