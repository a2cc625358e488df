//! The indexes of a partition: runs, size-tiered. A write adds one small run; sixteen of a level become one of the next.
//!
//! A row per event and index would cost the database 5 us each; runs cost under 1 us per event for both, merges
//! included.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use assay_engine::ports::StoreError;
use assay_engine::ports::archive::EventEntry;
use fjall::Snapshot;

use super::super::commits::Batch;
use super::super::database::{Database, Durability};
use super::super::error::{damaged, failed};
use super::super::keys::{PartitionId, Whose};
use super::entry::{Entry, decode_page};
use super::pages::Pages;
use super::run::{By, IndexId, Row, Run, RunCursor};

/// So many runs of a level become one.
const FAN_OUT: usize = 16;
/// Runs that would have more entries than this are not made. A merge takes about 0.7 us per entry, so that the
/// longest holds up its partition's follower for less than a second; it needs under 100 MB.
const MOST_ENTRIES: u64 = 1 << 20;

/// The runs of one partition.
struct Partition {
    position: u64,
    next_number: u64,
    runs: [Arc<Vec<Run>>; 2],
}

/// A partition's runs: one writer at a time, any number of readers beside it.
#[derive(Default)]
struct Shared {
    writer: Mutex<()>,
    /// Entries of lesser offsets are of events that are gone.
    begin: AtomicU64,
    now: Mutex<Option<Partition>>,
}

/// The indexes of all partitions.
pub(super) struct Indexes {
    database: Arc<Database>,
    partitions: Mutex<HashMap<PartitionId, Arc<Shared>>>,
}

/// What to look up.
pub(super) struct Lookup {
    /// Entries of this key,
    pub(super) hash: u128,
    /// at this time or later,
    pub(super) earliest: i64,
    /// at this time or earlier,
    pub(super) latest: i64,
    /// and behind the one of this time and offset,
    pub(super) behind: Option<(i64, u64)>,
    /// of this offset or a higher one.
    pub(super) begin: u64,
}

impl Indexes {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database, partitions: Mutex::default() }
    }

    fn shared(&self, of: PartitionId) -> Arc<Shared> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner).entry(of).or_default().clone()
    }

    /// The offset from which on events are not in the indexes.
    pub(super) fn position(&self, of: PartitionId) -> Result<u64, StoreError> {
        self.loaded(&self.shared(of), of, |partition| partition.position)
    }

    /// Adds events. What is before the position is there already and is left out.
    pub(super) fn write(&self, of: PartitionId, entries: &[EventEntry], next: u64) -> Result<(), StoreError> {
        let shared = self.shared(of);
        // The indexes are changed by whole batches that are written already, so a panic leaves nothing half-done.
        let _writer = shared.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let (position, next_number) =
            self.loaded(&shared, of, |partition| (partition.position, partition.next_number))?;
        if next <= position {
            return Ok(());
        }
        let added = entries.iter().filter(|entry| (position..next).contains(&entry.offset.0));
        let mut batch = self.database.batch(entries.len() / 64 + 4);
        let mut runs = [None, None];
        for (number, by) in (next_number..).zip([By::Entity, By::Id]) {
            let sorted = sorted(added.clone(), by);
            if !sorted.is_empty() {
                let index = IndexId { of, by };
                runs[by as usize] = Some(Run::write(&mut batch, &self.database, index, number, 0, &sorted));
            }
        }
        self.database.put_position(&mut batch, Whose::ArchivedEvents, of, next);
        {
            let mut now = lock(&shared);
            self.database.commit(batch, Durability::Process, "writing the archive's index")?;
            if let Some(partition) = now.as_mut() {
                partition.position = next;
                partition.next_number = next_number + 2;
                for (all, run) in partition.runs.iter_mut().zip(runs) {
                    Arc::make_mut(all).extend(run);
                }
            }
        }
        [By::Entity, By::Id].into_iter().try_for_each(|by| self.merge(&shared, IndexId { of, by }))
    }

    /// Merges until no level has too many runs. Each merge is one batch: a crash between two of them loses nothing.
    fn merge(&self, shared: &Shared, index: IndexId) -> Result<(), StoreError> {
        loop {
            let look = |partition: &Partition| (partition.runs[index.by as usize].clone(), partition.next_number);
            let (runs, number) = self.loaded(shared, index.of, look)?;
            let of_level = |level: u8| runs.iter().filter(move |run| run.level == level);
            let Some(level) = (0..Run::FULL).find(|level| of_level(*level).count() >= FAN_OUT) else {
                return Ok(());
            };
            let mut batch = self.database.batch(FAN_OUT);
            let made = if of_level(level).map(|run| run.entries).sum::<u64>() > MOST_ENTRIES {
                let full: Vec<Run> = of_level(level).map(|run| Run { level: Run::FULL, ..*run }).collect();
                full.iter().for_each(|run| run.write_head(&mut batch, &self.database, index));
                full
            } else {
                let mut entries = Vec::new();
                for run in of_level(level) {
                    run.take(&self.database, index, &mut batch, &mut entries)?;
                }
                let begin = shared.begin.load(Ordering::Acquire);
                entries.retain(|entry| entry.offset >= begin);
                // The stable sort finds the sorted runs and merges them.
                entries.sort();
                let made = Some(&entries[..]).filter(|entries| !entries.is_empty());
                made.map(|entries| Run::write(&mut batch, &self.database, index, number, level + 1, entries))
                    .into_iter()
                    .collect()
            };
            let mut now = lock(shared);
            self.database.commit(batch, Durability::Process, "merging the archive's index")?;
            if let Some(partition) = now.as_mut() {
                partition.next_number = number + 1;
                let all = Arc::make_mut(&mut partition.runs[index.by as usize]);
                all.retain(|run| run.level != level);
                all.extend(made);
            }
        }
    }

    /// Forgets events before an offset: whole runs of them at once, others when they are merged.
    pub(super) fn forget(&self, of: PartitionId, begin: u64) -> Result<(), StoreError> {
        let shared = self.shared(of);
        let _writer = shared.writer.lock().unwrap_or_else(PoisonError::into_inner);
        shared.begin.fetch_max(begin, Ordering::AcqRel);
        for by in [By::Entity, By::Id] {
            let index = IndexId { of, by };
            let runs = self.loaded(&shared, of, |partition| partition.runs[by as usize].clone())?;
            let is_gone = |run: &Run| run.newest < begin;
            if !runs.iter().any(is_gone) {
                continue;
            }
            let mut batch = self.database.batch(16);
            runs.iter().filter(|run| is_gone(run)).try_for_each(|run| run.remove(&self.database, index, &mut batch))?;
            let mut now = lock(&shared);
            self.database.commit(batch, Durability::Process, "forgetting events in the archive's index")?;
            if let Some(partition) = now.as_mut() {
                Arc::make_mut(&mut partition.runs[by as usize]).retain(|run| !is_gone(run));
            }
        }
        Ok(())
    }

    /// Takes entries of events out of their pages, in one batch with what it holds already.
    pub(super) fn erase(&self, of: PartitionId, events: &[EventEntry], mut batch: Batch) -> Result<(), StoreError> {
        let shared = self.shared(of);
        // Nobody merges meanwhile.
        let _writer = shared.writer.lock().unwrap_or_else(PoisonError::into_inner);
        for by in [By::Entity, By::Id] {
            let index = IndexId { of, by };
            let runs = self.loaded(&shared, of, |partition| partition.runs[by as usize].clone())?;
            let mut pages = Pages::default();
            for entry in sorted(events.iter(), by) {
                for run in runs.iter().filter(|run| run.may_hold(entry.hash, entry.time, entry.time)) {
                    if pages.erase(&self.database, index, run.number, &entry)? {
                        break;
                    }
                }
            }
            pages.write(&self.database, &mut batch);
        }
        self.database.commit(batch, Durability::Process, "deleting the data of an entity")
    }

    /// Finds entries, the latest first, at most so many.
    pub(super) fn find(&self, index: IndexId, lookup: &Lookup, limit: usize) -> Result<Vec<Entry>, StoreError> {
        let shared = self.shared(index.of);
        // Taken under one lock, the runs and the snapshot fit each other: a merge changes both under it.
        let (runs, snapshot): (Arc<Vec<Run>>, Snapshot) = self.loaded(&shared, index.of, |partition| {
            (partition.runs[index.by as usize].clone(), self.database.snapshot())
        })?;
        let first = (lookup.latest, u64::MAX);
        let (time, offset) = lookup.behind.map_or(first, |behind| behind.min(first));
        let from = Entry { hash: lookup.hash, time, offset };
        let mut cursors = Vec::new();
        for run in runs.iter().filter(|run| run.may_hold(lookup.hash, lookup.earliest, lookup.latest)) {
            cursors.push(RunCursor::seek(&self.database, &snapshot, index, run.number, &from)?);
        }
        let wanted = |entry: &Entry| entry.hash == lookup.hash && entry.time >= lookup.earliest;
        let head = |(at, cursor): (usize, &RunCursor<'_>)| Some(Reverse((cursor.entry().filter(wanted)?, at)));
        let mut heap: BinaryHeap<Reverse<(Entry, usize)>> = cursors.iter().enumerate().filter_map(head).collect();
        let mut found = Vec::new();
        while found.len() < limit
            && let Some(Reverse((entry, at))) = heap.pop()
        {
            if lookup.behind != Some((entry.time, entry.offset)) && entry.offset >= lookup.begin {
                found.push(entry);
            }
            cursors[at].advance()?;
            heap.extend(head((at, &cursors[at])));
        }
        Ok(found)
    }

    /// Hands out all entries of an index.
    pub(super) fn each(&self, index: IndexId, mut each: impl FnMut(&Entry)) -> Result<(), StoreError> {
        let mut page = Vec::new();
        for row in self.database.index.prefix(index.prefix(Row::Page)) {
            let value = row.value().map_err(|error| failed("reading the archive's index", &error))?;
            page.clear();
            decode_page(&value, &mut page).map_err(|error| damaged("a page of the archive's index", &error))?;
            page.iter().for_each(&mut each);
        }
        Ok(())
    }

    /// Looks at a partition, which is read from the database the first time.
    fn loaded<T>(&self, shared: &Shared, of: PartitionId, look: impl FnOnce(&Partition) -> T) -> Result<T, StoreError> {
        let mut now = lock(shared);
        let partition = match now.as_mut() {
            Some(partition) => partition,
            None => now.insert(self.load(of)?),
        };
        Ok(look(partition))
    }

    fn load(&self, of: PartitionId) -> Result<Partition, StoreError> {
        let position = self.database.position(Whose::ArchivedEvents, of)?;
        let mut partition = Partition { position, next_number: 0, runs: Default::default() };
        for by in [By::Entity, By::Id] {
            let mut runs = Vec::new();
            for row in self.database.index.prefix(IndexId { of, by }.prefix(Row::Run)) {
                let (key, value) = row.into_inner().map_err(|error| failed("reading the archive's index", &error))?;
                let run = Run::read_head(&key, &value)?;
                partition.next_number = partition.next_number.max(run.number + 1);
                runs.push(run);
            }
            partition.runs[by as usize] = Arc::new(runs);
        }
        Ok(partition)
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, Option<Partition>> {
    shared.now.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sorted<'a>(entries: impl Iterator<Item = &'a EventEntry>, by: By) -> Vec<Entry> {
    let entry = |event: &EventEntry| {
        let key = match by {
            By::Entity => &event.key,
            By::Id if event.id.is_empty() => return None,
            By::Id => &event.id,
        };
        Some(Entry { hash: Entry::hash_of(key), time: event.time, offset: event.offset.0 })
    };
    let mut entries: Vec<Entry> = entries.filter_map(entry).collect();
    entries.sort_unstable();
    entries
}
