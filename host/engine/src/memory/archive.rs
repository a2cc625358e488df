//! The archive port: indexes over the log. What the log does not have any more is not found.

use std::collections::{BTreeMap, BTreeSet};

use assay_core::names::Offset;
use assay_core::verdict::{Outcome, find_outcome, read_block};

use super::client::{Client, Port};
use super::cursor;
use super::log::LogTable;
use super::tables::Extent;
use super::world::Write;
use crate::ports::archive::{Archive, ArchivedEvent, EventEntry, HistoryQuery};
use crate::ports::log::{Records, Topic};
use crate::ports::{Page, PartitionId, Place, StoreError};

const LISTING: &str = "history";

/// The indexes of all partitions.
#[derive(Clone, Default)]
pub(super) struct ArchiveTable {
    partitions: BTreeMap<PartitionId, Index>,
}

#[derive(Clone, Default)]
struct Index {
    /// Time and offset of events, by entity.
    by_key: BTreeMap<String, BTreeSet<(i64, u64)>>,
    by_id: BTreeMap<String, BTreeSet<u64>>,
    events_position: u64,
    /// The offset before which events are judged.
    judged: u64,
    /// Events, each with the offset of a verdict block that speaks of it. Several do if one came late.
    outcomes: BTreeSet<(u64, u64)>,
    verdicts_position: u64,
}

impl Index {
    fn add_events(&mut self, entries: &[EventEntry], next: u64, extent: Extent) {
        let position = self.events_position;
        for entry in extent.stored_items(entries).iter().filter(|entry| (position..next).contains(&entry.offset.0)) {
            self.by_key.entry(entry.key.clone()).or_default().insert((entry.time, entry.offset.0));
            if !entry.id.is_empty() {
                self.by_id.entry(entry.id.clone()).or_default().insert(entry.offset.0);
            }
        }
        if extent.is_whole() {
            self.events_position = position.max(next);
        }
    }

    fn add_blocks(&mut self, blocks: &[IndexedBlock], next: u64, extent: Extent) {
        let position = self.verdicts_position;
        for block in extent.stored_items(blocks).iter().filter(|block| (position..next).contains(&block.at)) {
            self.judged = self.judged.max(block.through);
            self.outcomes.extend(block.events.iter().map(|event| (*event, block.at)));
        }
        if extent.is_whole() {
            self.verdicts_position = position.max(next);
        }
    }

    fn remove(&mut self, entry: &EventEntry) {
        if let Some(events) = self.by_key.get_mut(&entry.key) {
            events.remove(&(entry.time, entry.offset.0));
        }
        if let Some(offsets) = self.by_id.get_mut(&entry.id) {
            offsets.remove(&entry.offset.0);
        }
    }

    /// The places of the blocks that speak of an event.
    fn blocks_of(&self, offset: u64) -> impl Iterator<Item = u64> {
        self.outcomes.range((offset, 0)..=(offset, u64::MAX)).map(|(_, at)| *at)
    }
}

/// A verdict block as it is indexed.
struct IndexedBlock {
    at: u64,
    /// The event after the last one that it judges.
    through: u64,
    /// The events that it speaks of.
    events: Vec<u64>,
}

impl ArchiveTable {
    fn index(&self, partition: &PartitionId) -> Option<&Index> {
        self.partitions.get(partition)
    }

    fn index_mut(&mut self, partition: &PartitionId) -> &mut Index {
        self.partitions.entry(partition.clone()).or_default()
    }

    /// The places of the verdict blocks that speak of an event.
    pub(super) fn blocks_of(&self, partition: &PartitionId, offset: u64) -> Vec<u64> {
        self.index(partition).map_or_else(Vec::new, |index| index.blocks_of(offset).collect())
    }

    /// Takes events out of the indexes.
    pub(super) fn remove(&mut self, partition: &PartitionId, events: &[EventEntry]) {
        let index = self.index_mut(partition);
        events.iter().for_each(|event| index.remove(event));
    }

    fn history(
        &self,
        log: &LogTable,
        partition: &PartitionId,
        query: &HistoryQuery,
    ) -> Result<Page<ArchivedEvent>, StoreError> {
        let after: Option<(i64, u64)> = cursor::read(LISTING, query.cursor.as_deref())?;
        let found = self.index(partition).and_then(|index| index.by_key.get(&query.key));
        let newest_first = found.into_iter().flatten().rev().copied();
        let wanted = newest_first
            .filter(|place| after.is_none_or(|after| *place < after) && query.times.contains(place.0))
            .filter_map(|place| Some((place, archived(log, partition, place.1)?)));
        let page = cursor::page(LISTING, wanted, query.limit, |(place, _)| *place);
        Ok(Page { items: page.items.into_iter().map(|(_, event)| event).collect(), cursor: page.cursor })
    }

    fn outcome(&self, log: &LogTable, partition: &PartitionId, offset: Offset) -> Result<Option<Outcome>, StoreError> {
        for at in self.blocks_of(partition, offset.0) {
            let Some(block) = log.get(partition, Topic::Verdicts).and_then(|verdicts| verdicts.record(at)) else {
                continue;
            };
            let found = find_outcome(&block.data, offset);
            if let Some(outcome) = found.map_err(|error| unreadable(partition, at, &error))? {
                return Ok(Some(outcome));
            }
        }
        Ok(None)
    }
}

/// An event, unless it was deleted.
fn archived(log: &LogTable, partition: &PartitionId, offset: u64) -> Option<ArchivedEvent> {
    let record = log.get(partition, Topic::Events)?.record(offset).filter(|record| !record.data.is_empty())?;
    Some(ArchivedEvent {
        place: Place { partition: partition.partition, offset: record.first },
        appended_at: record.appended_at,
        schema: record.schema,
        bytes: record.data,
    })
}

fn unreadable(partition: &PartitionId, at: u64, error: &dyn std::fmt::Display) -> StoreError {
    Port::Archive.broken(format!("the verdict block at offset {at} of {partition}: {error}"))
}

impl Archive for Client {
    fn events_position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.query(Port::Archive, |tables| {
            Ok(Offset(tables.archive.index(partition).map_or(0, |index| index.events_position)))
        })
    }

    fn write_events(
        &self,
        partition: &PartitionId,
        entries: &[EventEntry],
        _records: &[Records],
        next: Offset,
    ) -> Result<(), StoreError> {
        let (partition, entries, count) = (partition.clone(), entries.to_vec(), entries.len());
        let write = Write::new(Port::Archive, move |tables, extent| {
            tables.archive.index_mut(&partition).add_events(&entries, next.0, extent);
            Ok(())
        });
        self.execute(write.divisible(count))
    }

    fn verdicts_position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.query(Port::Archive, |tables| {
            Ok(Offset(tables.archive.index(partition).map_or(0, |index| index.verdicts_position)))
        })
    }

    fn write_verdicts(&self, partition: &PartitionId, blocks: &[Records], next: Offset) -> Result<(), StoreError> {
        let mut places = Vec::new();
        for (Offset(at), block) in blocks.iter().flat_map(Records::iter) {
            let block = read_block(block).map_err(|error| unreadable(partition, at, &error))?;
            let events = block.outcomes.iter().map(|outcome| outcome.offset.0).collect();
            places.push(IndexedBlock { at, through: block.next.0, events });
        }
        let (partition, count) = (partition.clone(), places.len());
        let write = Write::new(Port::Archive, move |tables, extent| {
            tables.archive.index_mut(&partition).add_blocks(&places, next.0, extent);
            Ok(())
        });
        self.execute(write.divisible(count))
    }

    fn history(&self, partition: &PartitionId, query: &HistoryQuery) -> Result<Page<ArchivedEvent>, StoreError> {
        self.query(Port::Archive, |tables| tables.archive.history(&tables.log, partition, query))
    }

    fn by_id(
        &self,
        partition: &PartitionId,
        id: &str,
        after: Option<Offset>,
        limit: usize,
    ) -> Result<Vec<ArchivedEvent>, StoreError> {
        self.query(Port::Archive, |tables| {
            let found = tables.archive.index(partition).and_then(|index| index.by_id.get(id)).into_iter().flatten();
            let later = found.filter(|offset| after.is_none_or(|after| **offset > after.0));
            Ok(later.filter_map(|offset| archived(&tables.log, partition, *offset)).take(limit).collect())
        })
    }

    fn event(&self, partition: &PartitionId, offset: Offset) -> Result<Option<ArchivedEvent>, StoreError> {
        self.query(Port::Archive, |tables| Ok(archived(&tables.log, partition, offset.0)))
    }

    fn judged(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.query(Port::Archive, |tables| Ok(Offset(tables.archive.index(partition).map_or(0, |index| index.judged))))
    }

    fn outcome(&self, partition: &PartitionId, offset: Offset) -> Result<Option<Outcome>, StoreError> {
        self.query(Port::Archive, |tables| tables.archive.outcome(&tables.log, partition, offset))
    }
}
