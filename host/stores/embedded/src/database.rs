//! The fjall database of all adapters: its keyspaces and their options, and the writing of batches.

use std::collections::HashMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use assay_engine::panics::catch;
use assay_engine::ports::StoreError;
use fjall::config::{BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry};
use fjall::{CompressionType, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode, Slice};

use super::Config;
use super::commits::{Batch, COUNT_KEY, COUNTED_KEYSPACES, Commits, CountedKeyspace, read_count};
use super::error::{commit_failed, failed, is_poisoning, unavailable};
use super::keys::TopicPartition;
use super::ledger::{Ledger, LedgerPart};
use super::streams::Streams;

/// The durability of a write on return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// It survives a crash of the process: the operating system has it.
    Process,
    /// It survives a power failure, and so do all earlier writes.
    Power,
}

/// The ends of the partitions that were written to since the last sync, with the names of their streams.
type PartitionEnds = HashMap<TopicPartition, (u64, Arc<str>)>;

/// The database and its keyspaces.
pub(super) struct Database {
    fjall: fjall::Database,
    /// The folder of the database.
    pub(super) dir: PathBuf,
    /// Locked while stored blocks of the log are deleted or rewritten.
    block_changes: Mutex<()>,
    commits: Commits,
    unsynced: Mutex<PartitionEnds>,
    ledger: OnceLock<Ledger>,
    /// The first failure of a write: after it nothing is written any more.
    failure: OnceLock<String>,
    /// The locked file of the data folder.
    lock: OnceLock<std::fs::File>,
    /// Streams' ids and numbers of partitions, and pending deletions.
    pub(super) meta: CountedKeyspace,
    /// The positions of sinks, and the checkpoints.
    pub(super) positions: CountedKeyspace,
    /// Blocks of records.
    pub(super) log: CountedKeyspace,
    /// Revisions of definitions.
    pub(super) catalog: CountedKeyspace,
    /// Artifacts by digest.
    pub(super) artifacts: CountedKeyspace,
    /// Entities' states.
    pub(super) state: CountedKeyspace,
    /// The archive's index.
    pub(super) index: CountedKeyspace,
    /// Entities' profiles.
    pub(super) profiles: CountedKeyspace,
    /// Edges, from both ends.
    pub(super) graph: CountedKeyspace,
    /// Dead letters.
    pub(super) dead_letters: CountedKeyspace,
    /// Empty except during `renew_journals`.
    pub(super) filler: Keyspace,
    /// Streams' ids.
    pub(super) streams: Streams,
}

impl Database {
    /// Opens or creates the database. `min_counts` are the counts of commits before an accepted loss: counting continues
    /// from there.
    pub(super) fn open(dir: &Path, config: &Config, min_counts: [u64; COUNTED_KEYSPACES.len()]) -> fjall::Result<Self> {
        // fjall compresses under the journal's lock, which would block every writer.
        let fjall = fjall::Database::builder(dir)
            .cache_size(config.cache_bytes)
            .journal_compression(CompressionType::None)
            .open()?;
        let mut counts = min_counts;
        let mut open_keyspace = |name: &str, options: fn() -> KeyspaceCreateOptions| {
            let keyspace = fjall.keyspace(name, options)?;
            let number = COUNTED_KEYSPACES.iter().position(|counted| *counted == name).unwrap_or_default();
            let have = keyspace.get(COUNT_KEY)?.and_then(|value| read_count(&value));
            counts[number] = counts[number].max(have.map_or(0, |(count, _)| count));
            fjall::Result::Ok(CountedKeyspace::new(keyspace, number))
        };
        let meta = open_keyspace("meta", small_options)?;
        Ok(Self {
            streams: Streams::load(&meta)?,
            meta,
            positions: open_keyspace("positions", small_options)?,
            log: open_keyspace("log", log_options)?,
            catalog: open_keyspace("catalog", small_options)?,
            artifacts: open_keyspace("artifacts", artifact_options)?,
            state: open_keyspace("state", row_options)?,
            index: open_keyspace("index", row_options)?,
            profiles: open_keyspace("profiles", row_options)?,
            graph: open_keyspace("graph", row_options)?,
            dead_letters: open_keyspace("dead_letters", small_options)?,
            filler: fjall.keyspace("filler", small_options)?,
            commits: Commits::new(counts),
            fjall,
            dir: dir.to_owned(),
            block_changes: Mutex::default(),
            unsynced: Mutex::default(),
            ledger: OnceLock::new(),
            failure: OnceLock::new(),
            lock: OnceLock::new(),
        })
    }

    /// The keyspaces whose commits are counted, in the order of their numbers.
    pub(super) fn counted(&self) -> [&CountedKeyspace; COUNTED_KEYSPACES.len()] {
        [
            &self.meta,
            &self.positions,
            &self.log,
            &self.catalog,
            &self.artifacts,
            &self.state,
            &self.index,
            &self.profiles,
            &self.graph,
            &self.dead_letters,
        ]
    }

    /// All keyspaces; the filler is the last.
    pub(super) fn keyspaces(&self) -> [&Keyspace; 11] {
        let counted = self.counted();
        std::array::from_fn(|number| counted.get(number).map_or(&self.filler, |keyspace| &***keyspace))
    }

    /// Syncs data and metadata of a new database.
    pub(super) fn sync_all(&self) -> fjall::Result<()> {
        self.fjall.persist(PersistMode::SyncAll)
    }

    /// The number of commits of each counted keyspace.
    pub(super) fn commit_counts(&self) -> [u64; COUNTED_KEYSPACES.len()] {
        self.commits.counts()
    }

    /// Keeps the lock of the folder until the database is closed.
    pub(super) fn hold_lock(&self, lock: std::fs::File) {
        let _ = self.lock.set(lock);
    }

    /// Locks changes of stored blocks. Retention and erasure hold it, so that neither rewrites what the other deletes.
    pub(super) fn lock_block_changes(&self) -> MutexGuard<'_, ()> {
        // A poisoned lock is safe: it guards no data of its own.
        self.block_changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn batch(&self, capacity: usize) -> Batch {
        Batch::new(self.fjall.clone(), capacity)
    }

    /// A batch that marks a loss before it as accepted.
    pub(super) fn anchor_batch(&self) -> Batch {
        Batch::anchor(self.fjall.clone(), self.counted())
    }

    /// A snapshot of all keyspaces.
    pub(super) fn snapshot(&self) -> fjall::Snapshot {
        self.fjall.snapshot()
    }

    /// Commits a batch atomically.
    ///
    /// A panic during the commit leaves its outcome unknown, and the state in memory, such as the ends of the log, may be
    /// wrong. So nothing is written any more until the folder is opened again.
    ///
    /// # Errors
    /// The commit failed, or an earlier write did.
    pub(super) fn commit(&self, batch: Batch, durability: Durability, doing: impl Display) -> Result<(), StoreError> {
        if let Some(failure) = self.failure() {
            return Err(unavailable(format!(
                "{doing}: nothing is written since an earlier write failed ({failure}). It goes on by itself when the \
                 disk takes writes again"
            )));
        }
        let written = catch(|| self.write(batch, durability)).map_err(|panicked| {
            let message = format!("{doing}: {panicked}. Outcome unknown: it may be stored");
            self.set_failure(format!("a write {panicked}"));
            unavailable(message)
        })?;
        written.map_err(|error| {
            self.note_failure(&error);
            commit_failed(doing, &error)
        })
    }

    fn write(&self, batch: Batch, durability: Durability) -> fjall::Result<()> {
        match durability {
            Durability::Process => self.commits.commit(batch, PersistMode::Buffer).map(drop),
            Durability::Power => {
                let ends = self.take_unsynced();
                self.commits.commit(batch, PersistMode::SyncData).map(|counts| self.note_synced(counts, ends))
            }
        }
    }

    /// Syncs all earlier writes, so that they survive a power failure.
    pub(super) fn sync(&self, doing: impl Display) -> Result<(), StoreError> {
        let (counts, ends) = (self.commits.counts(), self.take_unsynced());
        match self.fjall.persist(PersistMode::SyncData) {
            Ok(()) => {
                self.note_synced(counts, ends);
                Ok(())
            }
            Err(error) => {
                self.note_failure(&error);
                Err(commit_failed(doing, &error))
            }
        }
    }

    pub(super) fn get(
        &self,
        keyspace: &Keyspace,
        key: &[u8],
        doing: impl Display,
    ) -> Result<Option<Slice>, StoreError> {
        keyspace.get(key).map_err(|error| failed(doing, &error))
    }

    /// Notes the new end of a partition. The next sync records it in the ledger.
    pub(super) fn note_end(&self, topic_partition: TopicPartition, end: u64, stream: &Arc<str>) {
        let mut unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
        let have = unsynced.entry(topic_partition).or_insert_with(|| (end, stream.clone()));
        have.0 = have.0.max(end);
    }

    fn take_unsynced(&self) -> PartitionEnds {
        std::mem::take(&mut *self.unsynced.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Records in the ledger what a sync made durable. It must not be called earlier: the ledger never exceeds the disk.
    fn note_synced(&self, counts: [u64; COUNTED_KEYSPACES.len()], ends: PartitionEnds) {
        let Some(ledger) = self.ledger.get() else { return };
        for (number, count) in (0..).zip(counts) {
            ledger.record(LedgerPart::Keyspace(number), count, "");
        }
        for (partition, (end, stream)) in ends {
            ledger.record(partition.into(), end, &stream);
        }
    }

    /// Creates the ledger. `known` are the ends of all partitions.
    pub(super) fn start_ledger<'a>(
        &self,
        path: &Path,
        known: impl Iterator<Item = (LedgerPart, u64, &'a str)>,
    ) -> std::io::Result<()> {
        let counts = (0..).zip(self.commits.counts()).map(|(number, count)| (LedgerPart::Keyspace(number), count, ""));
        let _ = self.ledger.set(Ledger::create(path, counts.chain(known))?);
        Ok(())
    }

    /// Syncs the ledger. A failure is only logged: an outdated ledger loses no data.
    pub(super) fn sync_ledger(&self) {
        if let Some(Err(error)) = self.ledger.get().map(Ledger::sync) {
            tracing::warn!(%error, "the ledger cannot be synced: a later loss may go unnoticed");
        }
    }

    /// The first failure of a write. After it fjall writes nothing until the database is opened again.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// As [`Self::failure`], and also finds failures of fjall's own threads, which fail silently: it tries to persist.
    pub(super) fn find_failure(&self) -> Option<&str> {
        if self.failure.get().is_none()
            && let Err(error) = self.fjall.persist(PersistMode::Buffer)
        {
            self.note_failure(&error);
        }
        self.failure()
    }

    fn note_failure(&self, error: &fjall::Error) {
        if !is_poisoning(error) {
            return;
        }
        self.set_failure(match failed("writing to the data folder", error) {
            StoreError::Unavailable { message, .. } | StoreError::Broken { message, .. } => message,
            other => other.to_string(),
        });
    }

    fn set_failure(&self, first: String) {
        if self.failure.set(first.clone()).is_ok() {
            tracing::error!(
                folder = %self.dir.display(),
                error = first,
                "nothing is written from now on; what was acked before is safe. The folder is opened anew when the disk \
                 takes writes again"
            );
        }
    }
}

/// Options for few rows.
fn small_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(8 << 20)
}

/// Options for many rows of tens to thousands of bytes that are read by key.
fn row_options() -> KeyspaceCreateOptions {
    let bloom = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(10.0));
    KeyspaceCreateOptions::default().max_memtable_size(32 << 20).filter_policy(FilterPolicy::all(bloom))
}

fn log_options() -> KeyspaceCreateOptions {
    blob_options(64 << 20)
}

fn artifact_options() -> KeyspaceCreateOptions {
    blob_options(8 << 20)
}

/// Options for large values that are written once. They are stored in blob files, so that compaction of the tables does not
/// copy them. A blob file with any deleted value is rewritten when it is compacted, so that deleted data leaves the disk.
fn blob_options(memtable: u64) -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(memtable)
        .with_kv_separation(Some(KvSeparationOptions::default().staleness_threshold(0.0).age_cutoff(1.0)))
}
