//! The archive: where in the log the events of an entity are, those of an id, and the verdicts of an event.
//!
//! Embedded, the log keeps events and verdicts, so the archive has no copies of them: only indexes. What retention
//! deletes from the log is gone here too.

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
use assay_engine::ports::{Page, Place, StoreError, StreamPartition};

use super::commits::Batch;
use super::cursor::{self, Listing};
use super::database::Database;
use super::error::broken;
use super::keys::{PartitionId, Whose};
use super::log::{LogReader, Stored};
use entry::Entry;
use index::{Indexes, Lookup};
use run::{By, IndexId};
use verdicts::VerdictIndex;

/// The most events of one page.
const LONGEST_PAGE: usize = 10_000;

/// The archive on the embedded database.
pub struct EmbeddedArchive {
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

    /// Reads the events at some offsets from the log, in the order of the offsets given.
    fn fetch(&self, id: PartitionId, of: &StreamPartition, offsets: &[u64]) -> Result<Vec<ArchivedEvent>, StoreError> {
        let events = LogReader::topic(id, Topic::Events);
        // In the log's order, so that each block is read once.
        let mut order: Vec<usize> = (0..offsets.len()).collect();
        order.sort_unstable_by_key(|&i| offsets[i]);
        let mut fetched: Vec<Option<ArchivedEvent>> = vec![None; offsets.len()];
        let mut block: Option<Stored> = None;
        for i in order {
            let offset = offsets[i];
            let mut record = block.as_ref().map(|block| block.record(offset)).transpose()?.flatten();
            if record.is_none() {
                block = self.log.block_of(events, offset)?;
                record = block.as_ref().map(|block| block.record(offset)).transpose()?.flatten();
            }
            fetched[i] = record.map(|record| archived(of, record));
        }
        let head = self.log.head(events);
        let found = |(event, offset): (Option<ArchivedEvent>, &u64)| match event {
            // Its entity's data was deleted since it was found.
            Some(event) if event.bytes.is_empty() => None,
            Some(event) => Some(Ok(event)),
            // Retention has deleted it since it was found.
            None if *offset < head => None,
            None => Some(Err(broken(format!("the event at offset {offset} of {of} is indexed but not in the log")))),
        };
        fetched.into_iter().zip(offsets).filter_map(found).collect()
    }

    /// Where the verdicts on some events are: the events by the place of their verdict block.
    pub(super) fn verdict_places(
        &self,
        id: PartitionId,
        offsets: &BTreeSet<u64>,
    ) -> Result<BTreeMap<u64, BTreeSet<u64>>, StoreError> {
        let mut places: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for offset in offsets {
            for at in self.verdicts.blocks_of(id, *offset)? {
                places.entry(at).or_default().insert(*offset);
            }
        }
        Ok(places)
    }

    /// Takes events out of the indexes, in one batch with what it holds already.
    pub(super) fn erase(&self, id: PartitionId, events: &[EventEntry], batch: Batch) -> Result<(), StoreError> {
        self.indexes.erase(id, events, batch)
    }

    /// Hands out the offset of each entry: of events, then of blocks of verdicts.
    pub(super) fn each_offset(&self, id: PartitionId, mut each: impl FnMut(Topic, u64)) -> Result<(), StoreError> {
        for by in [By::Entity, By::Id] {
            self.indexes.each(IndexId { of: id, by }, |entry| each(Topic::Events, entry.offset))?;
        }
        self.verdicts.each_place(id, |at| each(Topic::Verdicts, at))
    }

    /// The first event of a partition that is still there.
    fn begin(&self, id: PartitionId) -> u64 {
        self.log.head(LogReader::topic(id, Topic::Events))
    }
}

impl Archive for EmbeddedArchive {
    fn events_position(&self, of: &StreamPartition) -> Result<Offset, StoreError> {
        let id = self.database.streams.find_partition(of);
        id.map_or(Ok(Offset(0)), |id| self.indexes.position(id).map(Offset))
    }

    fn write_events(
        &self,
        of: &StreamPartition,
        entries: &[EventEntry],
        _records: &[Records],
        next: Offset,
    ) -> Result<(), StoreError> {
        let id = self.database.streams.number_partition(&self.database, of)?;
        self.indexes.write(id, entries, next.0)
    }

    fn verdicts_position(&self, of: &StreamPartition) -> Result<Offset, StoreError> {
        let id = self.database.streams.find_partition(of);
        id.map_or(Ok(Offset(0)), |id| self.database.position(Whose::ArchivedVerdicts, id).map(Offset))
    }

    fn write_verdicts(&self, of: &StreamPartition, blocks: &[Records], next: Offset) -> Result<(), StoreError> {
        let id = self.database.streams.number_partition(&self.database, of)?;
        self.verdicts.write(id, blocks, next.0)
    }

    fn history(&self, of: &StreamPartition, query: &HistoryQuery) -> Result<Page<ArchivedEvent>, StoreError> {
        let behind = query.cursor.as_deref().map(read_cursor).transpose()?;
        let limit = query.limit.min(LONGEST_PAGE);
        let id = self.database.streams.find_partition(of);
        let (Some(id), Some((earliest, latest))) = (id, query.times.bounds()) else {
            return Ok(Page { items: Vec::new(), cursor: None });
        };
        if limit == 0 {
            return Ok(Page { items: Vec::new(), cursor: None });
        }
        let lookup = Lookup { hash: Entry::hash_of(&query.key), earliest, latest, behind, begin: self.begin(id) };
        // One more than wanted tells whether there is another page.
        let mut found = self.indexes.find(IndexId { of: id, by: By::Entity }, &lookup, limit + 1)?;
        let has_more = found.len() > limit;
        found.truncate(limit);
        let cursor = found.last().filter(|_| has_more).map(write_cursor);
        let offsets: Vec<u64> = found.iter().map(|entry| entry.offset).collect();
        Ok(Page { items: self.fetch(id, of, &offsets)?, cursor })
    }

    fn by_id(
        &self,
        of: &StreamPartition,
        id: &str,
        after: Option<Offset>,
        limit: usize,
    ) -> Result<Vec<ArchivedEvent>, StoreError> {
        let Some(partition) = self.database.streams.find_partition(of) else {
            return Ok(Vec::new());
        };
        let hash = Entry::hash_of(id);
        let begin = after.map_or(0, |after| after.0.saturating_add(1)).max(self.begin(partition));
        let lookup = Lookup { hash, earliest: i64::MIN, latest: i64::MAX, behind: None, begin };
        // The index has them by time, so all are looked at: a few bytes each.
        let found = self.indexes.find(IndexId { of: partition, by: By::Id }, &lookup, usize::MAX)?;
        let mut offsets: Vec<u64> = found.iter().map(|entry| entry.offset).collect();
        offsets.sort_unstable();
        offsets.truncate(limit.min(LONGEST_PAGE + 1));
        self.fetch(partition, of, &offsets)
    }

    fn event(&self, of: &StreamPartition, offset: Offset) -> Result<Option<ArchivedEvent>, StoreError> {
        let Some(id) = self.database.streams.find_partition(of) else {
            return Ok(None);
        };
        let Some(block) = self.log.block_of(LogReader::topic(id, Topic::Events), offset.0)? else {
            return Ok(None);
        };
        // Without bytes: its entity's data was deleted.
        let record = block.record(offset.0)?.filter(|record| !record.data.is_empty());
        Ok(record.map(|record| archived(of, record)))
    }

    fn forget(&self, of: &StreamPartition, events: Offset, verdicts: Offset) -> Result<(), StoreError> {
        let Some(id) = self.database.streams.find_partition(of) else {
            return Ok(());
        };
        self.indexes.forget(id, events.0)?;
        self.verdicts.forget(id, verdicts.0)
    }

    fn judged(&self, of: &StreamPartition) -> Result<Offset, StoreError> {
        let id = self.database.streams.find_partition(of);
        id.map_or(Ok(Offset(0)), |id| self.verdicts.judged(id).map(Offset))
    }

    fn outcome(&self, of: &StreamPartition, offset: Offset) -> Result<Option<Outcome>, StoreError> {
        let id = self.database.streams.find_partition(of);
        id.map_or(Ok(None), |id| self.verdicts.outcome(id, offset.0))
    }
}

/// A record that was read by itself.
fn archived(of: &StreamPartition, record: Records) -> ArchivedEvent {
    ArchivedEvent {
        place: Place { partition: of.partition, offset: record.first },
        appended_at: record.appended_at,
        schema: record.schema,
        bytes: record.data,
    }
}

fn write_cursor(last: &Entry) -> String {
    let mut place = last.time.to_be_bytes().to_vec();
    place.extend_from_slice(&last.offset.to_be_bytes());
    cursor::write(Listing::History, &place)
}

fn read_cursor(text: &str) -> Result<(i64, u64), StoreError> {
    let place = cursor::read(Listing::History, text)?;
    let place = u128::from_be_bytes(<[u8; 16]>::try_from(&place[..]).map_err(|_| StoreError::BadCursor)?);
    Ok(((place >> 64) as i64, place as u64))
}
