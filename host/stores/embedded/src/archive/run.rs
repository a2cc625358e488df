//! Runs: sorted entries of one index of one partition, in pages. A run is written once and replaced by merges; only an
//! erasure changes its pages.

use assay_core::wire::{Corrupt, Reader, put_signed, put_varint};
use assay_engine::ports::StoreError;
use fjall::{Readable as _, Snapshot};

use super::super::commits::Batch;
use super::super::database::Database;
use super::super::error::{broken, damaged, failed};
use super::super::keys::NumberedPartition;
use super::entry::{Entry, decode_page, encode_page};

/// The key by which an index finds events. The numbers are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum IndexedBy {
    Entity = 0,
    Id = 1,
}

/// One index of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct IndexId {
    pub(super) partition: NumberedPartition,
    pub(super) by: IndexedBy,
}

/// The kind of a row of the keyspace `index`. The numbers are part of the format.
#[derive(Clone, Copy)]
pub(super) enum RowKind {
    Page = 0,
    Run = 1,
    VerdictBlock = 2,
}

impl IndexId {
    /// The prefix of all keys of a kind of rows of this index.
    pub(super) fn prefix(self, kind: RowKind) -> Vec<u8> {
        let mut key = vec![kind as u8];
        key.extend_from_slice(&self.partition.to_bytes());
        key.push(self.by as u8);
        key
    }

    fn run_key(self, number: u64) -> Vec<u8> {
        let mut key = self.prefix(RowKind::Run);
        key.extend_from_slice(&number.to_be_bytes());
        key
    }

    /// The prefix of the keys of a run's pages.
    pub(super) fn page_prefix(self, run: u64) -> Vec<u8> {
        let mut key = self.prefix(RowKind::Page);
        key.extend_from_slice(&run.to_be_bytes());
        key
    }

    pub(super) fn page_key(self, run: u64, first: &Entry) -> Vec<u8> {
        let mut key = self.page_prefix(run);
        key.extend_from_slice(&first.sort_bytes());
        key
    }

    /// A key after all pages of a run.
    fn pages_end_key(self, run: u64) -> Vec<u8> {
        let mut key = self.page_prefix(run);
        key.extend_from_slice(&[0xff; 33]);
        key
    }
}

/// The head of a run: its extent, for lookups to skip it without reading its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) number: u64,
    /// The number of merges of its entries, or [`Run::FULL_LEVEL`].
    pub(super) level: u8,
    /// The number of entries.
    pub(super) entries: u64,
    /// The lowest hash.
    pub(super) lowest: u128,
    /// The highest hash.
    pub(super) highest: u128,
    /// The earliest time.
    pub(super) earliest: i64,
    /// The latest time.
    pub(super) latest: i64,
    /// The highest offset.
    pub(super) newest: u64,
}

impl Run {
    /// The level of runs that are not merged any more.
    pub(super) const FULL_LEVEL: u8 = u8::MAX;

    /// Returns whether the run may have an entry of a hash between two times, both included.
    pub(super) fn may_hold(&self, hash: u128, earliest: i64, latest: i64) -> bool {
        (self.lowest..=self.highest).contains(&hash) && self.latest >= earliest && self.earliest <= latest
    }

    /// Adds a run of one or more sorted entries to a batch.
    pub(super) fn write(
        batch: &mut Batch,
        database: &Database,
        index: IndexId,
        number: u64,
        level: u8,
        entries: &[Entry],
    ) -> Self {
        let times = entries.iter().map(|entry| entry.time);
        let run = Self {
            number,
            level,
            entries: entries.len() as u64,
            lowest: entries.first().map_or(0, |entry| entry.hash),
            highest: entries.last().map_or(0, |entry| entry.hash),
            earliest: times.clone().min().unwrap_or_default(),
            latest: times.max().unwrap_or_default(),
            newest: entries.iter().map(|entry| entry.offset).max().unwrap_or_default(),
        };
        let mut rest = entries;
        while let Some(first) = rest.first() {
            let (page, count) = encode_page(rest);
            batch.insert(&database.index, index.page_key(number, first), page);
            rest = &rest[count..];
        }
        run.write_head(batch, database, index);
        run
    }

    /// Adds the run's head to a batch.
    pub(super) fn write_head(&self, batch: &mut Batch, database: &Database, index: IndexId) {
        let mut value = vec![self.level];
        put_varint(&mut value, self.entries);
        value.extend_from_slice(&self.lowest.to_be_bytes());
        value.extend_from_slice(&self.highest.to_be_bytes());
        put_signed(&mut value, self.earliest);
        put_signed(&mut value, self.latest);
        put_varint(&mut value, self.newest);
        batch.insert(&database.index, index.run_key(self.number), value);
    }

    /// Reads the head of a run.
    pub(super) fn read_head(key: &[u8], value: &[u8]) -> Result<Self, StoreError> {
        let number = key.last_chunk().map(|number| u64::from_be_bytes(*number));
        let number = number.ok_or_else(|| broken("a run of the archive's index has no number".to_owned()))?;
        let decode = || -> Result<Self, Corrupt> {
            let mut reader = Reader::new(value);
            Ok(Self {
                number,
                level: reader.byte()?,
                entries: reader.varint()?,
                lowest: read_hash(&mut reader)?,
                highest: read_hash(&mut reader)?,
                earliest: reader.signed()?,
                latest: reader.signed()?,
                // Runs of versions without retention have no highest offset.
                newest: if reader.is_empty() { u64::MAX } else { reader.varint()? },
            })
        };
        decode().map_err(|error| damaged(format_args!("run {number} of the archive's index"), &error))
    }

    /// Adds the removal of the whole run to a batch.
    pub(super) fn remove(&self, database: &Database, index: IndexId, batch: &mut Batch) -> Result<(), StoreError> {
        for row in database.index.prefix(index.page_prefix(self.number)) {
            let key = row.key().map_err(|error| failed("reading the archive's index", &error))?;
            batch.remove(&database.index, key);
        }
        batch.remove(&database.index, index.run_key(self.number));
        Ok(())
    }

    /// Reads all entries, and adds the removal of the whole run to a batch.
    pub(super) fn take_entries(
        &self,
        database: &Database,
        index: IndexId,
        batch: &mut Batch,
        out: &mut Vec<Entry>,
    ) -> Result<(), StoreError> {
        for row in database.index.prefix(index.page_prefix(self.number)) {
            let (key, page) = row.into_inner().map_err(|error| failed("reading the archive's index", &error))?;
            decode_page(&page, out).map_err(|error| damaged("a page of the archive's index", &error))?;
            batch.remove(&database.index, key);
        }
        batch.remove(&database.index, index.run_key(self.number));
        Ok(())
    }
}

fn read_hash(reader: &mut Reader<'_>) -> Result<u128, Corrupt> {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(reader.take(16)?);
    Ok(u128::from_be_bytes(bytes))
}

/// Iterates over a run from an entry on, page by page.
pub(super) struct RunCursor<'a> {
    database: &'a Database,
    snapshot: &'a Snapshot,
    index: IndexId,
    run: u64,
    page: Vec<Entry>,
    at: usize,
    page_key: Option<Vec<u8>>,
}

impl<'a> RunCursor<'a> {
    /// A cursor at the first entry that is at or after `from`.
    pub(super) fn seek(
        database: &'a Database,
        snapshot: &'a Snapshot,
        index: IndexId,
        run: u64,
        from: &Entry,
    ) -> Result<Self, StoreError> {
        let mut cursor = Self { database, snapshot, index, run, page: Vec::new(), at: 0, page_key: None };
        let start = index.page_prefix(run);
        // `from` is in the last page that begins at or before it; without such a page the run begins after `from`.
        let row = snapshot.range(&database.index, start.clone()..=index.page_key(run, from)).next_back();
        match row {
            Some(row) => cursor.load(row)?,
            None => cursor.load_page_after(start)?,
        }
        cursor.at = cursor.page.partition_point(|entry| entry < from);
        if cursor.at == cursor.page.len() {
            cursor.load_next_page()?;
        }
        Ok(cursor)
    }

    /// The present entry; none at the end.
    pub(super) fn entry(&self) -> Option<Entry> {
        self.page.get(self.at).copied()
    }

    /// Moves to the next entry.
    pub(super) fn advance(&mut self) -> Result<(), StoreError> {
        self.at += 1;
        if self.at >= self.page.len() { self.load_next_page() } else { Ok(()) }
    }

    fn load_next_page(&mut self) -> Result<(), StoreError> {
        let Some(mut after) = self.page_key.take() else {
            return Ok(());
        };
        after.push(0);
        self.load_page_after(after)
    }

    fn load_page_after(&mut self, start: Vec<u8>) -> Result<(), StoreError> {
        self.page.clear();
        self.at = 0;
        let end = self.index.pages_end_key(self.run);
        match self.snapshot.range(&self.database.index, start..end).next() {
            Some(row) => self.load(row),
            None => Ok(()),
        }
    }

    fn load(&mut self, row: fjall::Guard) -> Result<(), StoreError> {
        let (key, page) = row.into_inner().map_err(|error| failed("reading the archive's index", &error))?;
        self.page.clear();
        self.at = 0;
        decode_page(&page, &mut self.page).map_err(|error| damaged("a page of the archive's index", &error))?;
        self.page_key = Some(key.to_vec());
        Ok(())
    }
}
