//! Commits are counted per keyspace, so that a start can tell whether some of them are gone.
//!
//! Each batch carries, in every keyspace that it touches, a row with the number of batches that have touched the
//! keyspace so far. The numbers follow one another without a gap: the tables hold them up to some number, the journals
//! from there on, and the last one is not below the number that the ledger says was synced. See `inspect`.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fjall::{Keyspace, OwnedWriteBatch, PersistMode, Slice};

/// The keyspaces whose commits are counted, by their numbers in masks and in the ledger. New ones go to the end.
pub(super) const COUNTED: [&str; 10] =
    ["meta", "positions", "log", "catalog", "artifacts", "state", "index", "profiles", "graph", "dead_letters"];
/// The key of a keyspace's count, greater than all others of it.
pub(super) const COUNT_KEY: &[u8] = b"\xff\xffcommits";
/// Behind the number, in the row of the first commit after a loss was accepted: what was before does not count.
const ANCHOR: u8 = 1;

/// A keyspace whose commits are counted.
pub(super) struct Space {
    keyspace: Keyspace,
    number: usize,
}

impl Space {
    pub(super) fn new(keyspace: Keyspace, number: usize) -> Self {
        Self { keyspace, number }
    }
}

impl Deref for Space {
    type Target = Keyspace;

    fn deref(&self) -> &Keyspace {
        &self.keyspace
    }
}

impl AsRef<Keyspace> for Space {
    fn as_ref(&self) -> &Keyspace {
        &self.keyspace
    }
}

/// Writes that are done together or not at all.
pub(super) struct Batch {
    batch: OwnedWriteBatch,
    touched: [Option<Keyspace>; COUNTED.len()],
    is_anchor: bool,
}

impl Batch {
    pub(super) fn new(database: fjall::Database, capacity: usize) -> Self {
        let batch = OwnedWriteBatch::with_capacity(database, capacity + 2);
        Self { batch, touched: [const { None }; COUNTED.len()], is_anchor: false }
    }

    /// A batch that touches some keyspaces, and from which on their commits are counted anew.
    pub(super) fn anchor<'s>(database: fjall::Database, spaces: impl IntoIterator<Item = &'s Space>) -> Self {
        let mut batch = Self::new(database, COUNTED.len());
        spaces.into_iter().for_each(|space| batch.touch(space));
        batch.is_anchor = true;
        batch
    }

    pub(super) fn insert(&mut self, space: &Space, key: impl Into<Slice>, value: impl Into<Slice>) {
        self.touch(space);
        self.batch.insert(space, key, value);
    }

    pub(super) fn remove(&mut self, space: &Space, key: impl Into<Slice>) {
        self.touch(space);
        self.batch.remove(space, key);
    }

    fn touch(&mut self, space: &Space) {
        if self.touched[space.number].is_none() {
            self.touched[space.number] = Some(space.keyspace.clone());
        }
    }
}

/// The number of commits that have touched each counted keyspace.
pub(super) struct Commits {
    /// Held while a commit that touches the keyspace is under way, so that the numbers rise in the order of the journal.
    counts: [Mutex<u64>; COUNTED.len()],
    done: [AtomicU64; COUNTED.len()],
}

impl Commits {
    /// Begins with what the database holds.
    pub(super) fn new(counts: [u64; COUNTED.len()]) -> Self {
        Self { counts: counts.map(Mutex::new), done: counts.map(AtomicU64::new) }
    }

    /// The numbers of the commits that are in the journal already.
    pub(super) fn done(&self) -> [u64; COUNTED.len()] {
        std::array::from_fn(|number| self.done[number].load(Ordering::Acquire))
    }

    /// Counts and commits a batch. Returns the counts that are in the journal with it.
    pub(super) fn commit(&self, batch: Batch, mode: PersistMode) -> fjall::Result<[u64; COUNTED.len()]> {
        let Batch { mut batch, touched, is_anchor } = batch;
        let mut counts = self.done();
        // Always in the order of the numbers, so that no two commits wait for each other.
        let mut held: Vec<(usize, MutexGuard<'_, u64>)> = Vec::with_capacity(2);
        for (number, keyspace) in touched.iter().enumerate() {
            let Some(keyspace) = keyspace else { continue };
            let count = self.lock(number);
            counts[number] = *count + 1;
            let mut value = counts[number].to_be_bytes().to_vec();
            if is_anchor {
                value.push(ANCHOR);
            }
            batch.insert(keyspace, COUNT_KEY, value);
            held.push((number, count));
        }
        batch.durability(Some(mode)).commit()?;
        for (number, mut count) in held {
            *count = counts[number];
            self.done[number].store(counts[number], Ordering::Release);
        }
        Ok(counts)
    }

    fn lock(&self, number: usize) -> MutexGuard<'_, u64> {
        // The number changes after a commit that succeeded, so it is right whatever happened before.
        self.counts[number].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the row of a count says: the number, and whether what was before counts.
pub(super) fn read_count(value: &[u8]) -> Option<(u64, bool)> {
    let (count, rest) = value.split_first_chunk()?;
    match rest {
        [] => Some((u64::from_be_bytes(*count), false)),
        [ANCHOR] => Some((u64::from_be_bytes(*count), true)),
        _ => None,
    }
}
