//! The one database under all adapters: its keyspaces, how they are set up, and how a batch is written.

use std::collections::HashMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use assay_engine::panics::catch;
use assay_engine::ports::StoreError;
use fjall::config::{BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry};
use fjall::{CompressionType, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode, Slice};

use super::Config;
use super::commits::{Batch, COUNT_KEY, COUNTED, Commits, Space, read_count};
use super::error::{commit_failed, failed, is_poisoning, unavailable};
use super::keys::TopicPartition;
use super::ledger::{Ledger, Part};
use super::streams::Streams;

/// How sure a write is when it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// It survives the process: the operating system has it.
    Process,
    /// It survives a power failure, and so does everything written before it.
    Power,
}

/// Where partitions end that were written to since the last sync, with their streams' names.
type Ends = HashMap<TopicPartition, (u64, Arc<str>)>;

/// The database and its keyspaces.
pub(super) struct Database {
    fjall: fjall::Database,
    /// Where it is.
    pub(super) dir: PathBuf,
    /// Held while blocks that are in the log already are deleted or rewritten.
    changing: Mutex<()>,
    commits: Commits,
    unsynced: Mutex<Ends>,
    ledger: OnceLock<Ledger>,
    failure: OnceLock<String>,
    lock: OnceLock<std::fs::File>,
    /// Streams' ids, and how many partitions each has.
    pub(super) meta: Space,
    /// How far each follower and each partition's state goes.
    pub(super) positions: Space,
    /// Blocks of records.
    pub(super) log: Space,
    /// Revisions of definitions.
    pub(super) catalog: Space,
    /// Artifacts by digest.
    pub(super) artifacts: Space,
    /// Entities' states.
    pub(super) state: Space,
    /// The archive's index.
    pub(super) index: Space,
    /// Entities' profiles.
    pub(super) profiles: Space,
    /// Edges, from both ends.
    pub(super) graph: Space,
    /// Dead letters.
    pub(super) dead_letters: Space,
    /// Nothing, but for a moment: see `renew_journals`.
    pub(super) filler: Keyspace,
    /// Streams' ids.
    pub(super) streams: Streams,
}

impl Database {
    /// Opens the database, or makes it. `at_least` are the commits of which others know: of a loss that was accepted.
    pub(super) fn open(dir: &Path, config: &Config, at_least: [u64; COUNTED.len()]) -> fjall::Result<Self> {
        // Journal compression is done under the journal's lock: it would hold up every writer.
        let fjall = fjall::Database::builder(dir)
            .cache_size(config.cache_bytes)
            .journal_compression(CompressionType::None)
            .open()?;
        let mut counts = at_least;
        let mut space = |name: &str, options: fn() -> KeyspaceCreateOptions| {
            let keyspace = fjall.keyspace(name, options)?;
            let number = COUNTED.iter().position(|counted| *counted == name).unwrap_or_default();
            let have = keyspace.get(COUNT_KEY)?.and_then(|value| read_count(&value));
            counts[number] = counts[number].max(have.map_or(0, |(count, _)| count));
            fjall::Result::Ok(Space::new(keyspace, number))
        };
        let meta = space("meta", small)?;
        Ok(Self {
            streams: Streams::load(&meta)?,
            meta,
            positions: space("positions", small)?,
            log: space("log", log_blobs)?,
            catalog: space("catalog", small)?,
            artifacts: space("artifacts", artifact_blobs)?,
            state: space("state", rows)?,
            index: space("index", rows)?,
            profiles: space("profiles", rows)?,
            graph: space("graph", rows)?,
            dead_letters: space("dead_letters", small)?,
            filler: fjall.keyspace("filler", small)?,
            commits: Commits::new(counts),
            fjall,
            dir: dir.to_owned(),
            changing: Mutex::default(),
            unsynced: Mutex::default(),
            ledger: OnceLock::new(),
            failure: OnceLock::new(),
            lock: OnceLock::new(),
        })
    }

    /// The keyspaces whose commits are counted, in the order of their numbers.
    pub(super) fn counted(&self) -> [&Space; COUNTED.len()] {
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

    /// Every keyspace; the filler is the last.
    pub(super) fn keyspaces(&self) -> [&Keyspace; 11] {
        let counted = self.counted();
        std::array::from_fn(|number| counted.get(number).map_or(&self.filler, |space| &***space))
    }

    /// Writes all of it to the disk, for a database that was just made.
    pub(super) fn sync_all(&self) -> fjall::Result<()> {
        self.fjall.persist(PersistMode::SyncAll)
    }

    /// How many commits have touched each counted keyspace.
    pub(super) fn commits_done(&self) -> [u64; COUNTED.len()] {
        self.commits.done()
    }

    /// Keeps the folder locked as long as the database is open.
    pub(super) fn keep_lock(&self, lock: std::fs::File) {
        let _ = self.lock.set(lock);
    }

    /// To be held while blocks that are in the log already are deleted or rewritten: one at a time does so.
    pub(super) fn changing_blocks(&self) -> MutexGuard<'_, ()> {
        // The lock guards no data of its own, so what a panic left behind does not matter.
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn batch(&self, capacity: usize) -> Batch {
        Batch::new(self.fjall.clone(), capacity)
    }

    /// A batch from which on commits are counted anew: a loss before it was accepted.
    pub(super) fn anchor(&self) -> Batch {
        Batch::anchor(self.fjall.clone(), self.counted())
    }

    /// A view of everything as it is now.
    pub(super) fn snapshot(&self) -> fjall::Snapshot {
        self.fjall.snapshot()
    }

    /// Writes a batch, all of it or nothing. After a panic in here nobody knows whether it is there, and what is known in
    /// memory may be wrong, such as where the log ends: nothing is written until the folder is opened anew.
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

    /// Makes everything that was written survive a power failure.
    pub(super) fn sync(&self, doing: impl Display) -> Result<(), StoreError> {
        let (counts, ends) = (self.commits.done(), self.take_unsynced());
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

    /// Says where a partition ends that was just written to. The next sync notes it in the ledger.
    pub(super) fn note_end(&self, of: TopicPartition, end: u64, stream: &Arc<str>) {
        let mut unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
        let have = unsynced.entry(of).or_insert_with(|| (end, stream.clone()));
        have.0 = have.0.max(end);
    }

    fn take_unsynced(&self) -> Ends {
        std::mem::take(&mut *self.unsynced.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note_synced(&self, counts: [u64; COUNTED.len()], ends: Ends) {
        let Some(ledger) = self.ledger.get() else { return };
        for (number, count) in (0..).zip(counts) {
            ledger.note(Part::Keyspace(number), count, "");
        }
        for (of, (end, stream)) in ends {
            ledger.note(of.into(), end, &stream);
        }
    }

    /// Begins to keep a ledger: `known` are the ends of partitions.
    pub(super) fn keep_ledger<'a>(
        &self,
        path: &Path,
        known: impl Iterator<Item = (Part, u64, &'a str)>,
    ) -> std::io::Result<()> {
        let counts = (0..).zip(self.commits.done()).map(|(number, count)| (Part::Keyspace(number), count, ""));
        let _ = self.ledger.set(Ledger::create(path, counts.chain(known))?);
        Ok(())
    }

    /// Makes the ledger survive a power failure.
    pub(super) fn sync_ledger(&self) {
        if let Some(Err(error)) = self.ledger.get().map(Ledger::sync) {
            tracing::warn!(%error, "the ledger cannot be synced: a later loss may go unnoticed");
        }
    }

    /// The first failure of a write. From then on fjall writes nothing until the database is opened anew.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Looks whether a write would be refused: fjall's own threads write, too, and fail without a word.
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

/// A few rows.
fn small() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(8 << 20)
}

/// Many rows of some tens to thousands of bytes, read by key.
fn rows() -> KeyspaceCreateOptions {
    let bloom = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(10.0));
    KeyspaceCreateOptions::default().max_memtable_size(32 << 20).filter_policy(FilterPolicy::all(bloom))
}

fn log_blobs() -> KeyspaceCreateOptions {
    blobs(64 << 20)
}

fn artifact_blobs() -> KeyspaceCreateOptions {
    blobs(8 << 20)
}

/// Large values, written once: kept in files of their own, so that compaction does not copy them again and again. What
/// is deleted of such a file is left out as soon as the file is compacted, however little it is.
fn blobs(memtable: u64) -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(memtable)
        .with_kv_separation(Some(KvSeparationOptions::default().staleness_threshold(0.0).age_cutoff(1.0)))
}
