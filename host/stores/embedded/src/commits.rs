//! Counts commits per keyspace, so that a start detects lost ones.
//!
//! Each batch writes, into every keyspace that it touches, a row with the number of batches that have touched the keyspace
//! so far. These numbers have no gap: the tables hold them up to some number, the journals from there on, and the last
//! one is at least the number that the ledger has as synced. `inspect` checks this.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fjall::{Keyspace, OwnedWriteBatch, PersistMode, Slice};

/// The keyspaces whose commits are counted. The index is a keyspace's number in the ledger, so new ones go to the end.
pub(super) const COUNTED_KEYSPACES: [&str; 10] =
    ["meta", "positions", "log", "catalog", "artifacts", "state", "index", "profiles", "graph", "dead_letters"];
/// The key of a keyspace's count. It sorts after all other keys.
pub(super) const COUNT_KEY: &[u8] = b"\xff\xffcommits";
/// Follows the number in the count of the first commit after an accepted loss: gaps before this commit are no loss.
const ANCHOR: u8 = 1;

/// A keyspace whose commits are counted.
pub(super) struct CountedKeyspace {
    keyspace: Keyspace,
    number: usize,
}

impl CountedKeyspace {
    pub(super) fn new(keyspace: Keyspace, number: usize) -> Self {
        Self { keyspace, number }
    }
}

impl Deref for CountedKeyspace {
    type Target = Keyspace;

    fn deref(&self) -> &Keyspace {
        &self.keyspace
    }
}

impl AsRef<Keyspace> for CountedKeyspace {
    fn as_ref(&self) -> &Keyspace {
        &self.keyspace
    }
}

/// Writes that are committed atomically.
pub(super) struct Batch {
    batch: OwnedWriteBatch,
    touched: [Option<Keyspace>; COUNTED_KEYSPACES.len()],
    is_anchor: bool,
}

impl Batch {
    pub(super) fn new(database: fjall::Database, capacity: usize) -> Self {
        let batch = OwnedWriteBatch::with_capacity(database, capacity + 2);
        Self { batch, touched: [const { None }; COUNTED_KEYSPACES.len()], is_anchor: false }
    }

    /// A batch that marks its commit of each keyspace with [`ANCHOR`].
    pub(super) fn anchor<'s>(
        database: fjall::Database,
        keyspaces: impl IntoIterator<Item = &'s CountedKeyspace>,
    ) -> Self {
        let mut batch = Self::new(database, COUNTED_KEYSPACES.len());
        keyspaces.into_iter().for_each(|keyspace| batch.touch(keyspace));
        batch.is_anchor = true;
        batch
    }

    pub(super) fn insert(&mut self, keyspace: &CountedKeyspace, key: impl Into<Slice>, value: impl Into<Slice>) {
        self.touch(keyspace);
        self.batch.insert(keyspace, key, value);
    }

    pub(super) fn remove(&mut self, keyspace: &CountedKeyspace, key: impl Into<Slice>) {
        self.touch(keyspace);
        self.batch.remove(keyspace, key);
    }

    fn touch(&mut self, keyspace: &CountedKeyspace) {
        if self.touched[keyspace.number].is_none() {
            self.touched[keyspace.number] = Some(keyspace.keyspace.clone());
        }
    }
}

/// The number of commits that have touched each counted keyspace.
pub(super) struct Commits {
    /// Locked during a commit that touches the keyspace, so that the numbers rise in the order of the journal.
    counts: [Mutex<u64>; COUNTED_KEYSPACES.len()],
    committed: [AtomicU64; COUNTED_KEYSPACES.len()],
}

impl Commits {
    /// Continues from the counts of the database.
    pub(super) fn new(counts: [u64; COUNTED_KEYSPACES.len()]) -> Self {
        Self { counts: counts.map(Mutex::new), committed: counts.map(AtomicU64::new) }
    }

    /// The counts of the commits that are in the journal.
    pub(super) fn counts(&self) -> [u64; COUNTED_KEYSPACES.len()] {
        std::array::from_fn(|number| self.committed[number].load(Ordering::Acquire))
    }

    /// Counts and commits a batch. Returns the counts of the journal after it.
    pub(super) fn commit(&self, batch: Batch, mode: PersistMode) -> fjall::Result<[u64; COUNTED_KEYSPACES.len()]> {
        let Batch { mut batch, touched, is_anchor } = batch;
        let mut counts = self.counts();
        // The locks are always taken in the order of the numbers, so that two commits cannot deadlock.
        let mut held: Vec<(usize, MutexGuard<'_, u64>)> = Vec::with_capacity(2);
        for (number, keyspace) in touched.iter().enumerate() {
            let Some(keyspace) = keyspace else { continue };
            let count = self.lock_count(number);
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
            self.committed[number].store(counts[number], Ordering::Release);
        }
        Ok(counts)
    }

    fn lock_count(&self, number: usize) -> MutexGuard<'_, u64> {
        // A poisoned lock is safe: the number changes only after its commit has succeeded.
        self.counts[number].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decodes the row of a count: the number, and whether it is an anchor. None if it is damaged.
pub(super) fn read_count(value: &[u8]) -> Option<(u64, bool)> {
    let (count, rest) = value.split_first_chunk()?;
    match rest {
        [] => Some((u64::from_be_bytes(*count), false)),
        [ANCHOR] => Some((u64::from_be_bytes(*count), true)),
        _ => None,
    }
}
