//! The one database under all adapters: its keyspaces, how they are set up, and how a batch is written.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use assay_engine::ports::StoreError;
use fjall::config::{BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry};
use fjall::{
    CompressionType, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, OwnedWriteBatch, PersistMode, Slice,
};

use super::Config;
use super::error::failed;
use super::streams::Streams;

/// How sure a write is when it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// It survives the process: the operating system has it.
    Process,
    /// It survives a power failure, and so does everything written before it.
    Power,
}

/// The database and its keyspaces.
pub(super) struct Database {
    fjall: fjall::Database,
    /// Where it is.
    pub(super) dir: PathBuf,
    /// Held while blocks that are in the log already are deleted or rewritten.
    changing: Mutex<()>,
    /// Streams' ids, and how many partitions each has.
    pub(super) meta: Keyspace,
    /// How far each follower and each partition's state goes.
    pub(super) positions: Keyspace,
    /// Blocks of records.
    pub(super) log: Keyspace,
    /// Revisions of definitions.
    pub(super) catalog: Keyspace,
    /// Artifacts by digest.
    pub(super) artifacts: Keyspace,
    /// Entities' states.
    pub(super) state: Keyspace,
    /// The archive's index.
    pub(super) index: Keyspace,
    /// Entities' profiles.
    pub(super) profiles: Keyspace,
    /// Edges, from both ends.
    pub(super) graph: Keyspace,
    /// Dead letters.
    pub(super) dead_letters: Keyspace,
    /// Nothing, but for a moment: see `renew_journals`.
    pub(super) filler: Keyspace,
    /// Streams' ids.
    pub(super) streams: Streams,
}

impl Database {
    pub(super) fn open(dir: &Path, config: &Config) -> fjall::Result<Self> {
        // Journal compression is done under the journal's lock: it would hold up every writer.
        let fjall = fjall::Database::builder(dir)
            .cache_size(config.cache_bytes)
            .journal_compression(CompressionType::None)
            .open()?;
        let meta = fjall.keyspace("meta", small)?;
        Ok(Self {
            streams: Streams::load(&meta)?,
            meta,
            positions: fjall.keyspace("positions", small)?,
            log: fjall.keyspace("log", || blobs(64 << 20))?,
            catalog: fjall.keyspace("catalog", small)?,
            artifacts: fjall.keyspace("artifacts", || blobs(8 << 20))?,
            state: fjall.keyspace("state", rows)?,
            index: fjall.keyspace("index", rows)?,
            profiles: fjall.keyspace("profiles", rows)?,
            graph: fjall.keyspace("graph", rows)?,
            dead_letters: fjall.keyspace("dead_letters", small)?,
            filler: fjall.keyspace("filler", small)?,
            fjall,
            dir: dir.to_owned(),
            changing: Mutex::default(),
        })
    }

    /// Every keyspace.
    pub(super) fn keyspaces(&self) -> [&Keyspace; 11] {
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
            &self.filler,
        ]
    }

    /// To be held while blocks that are in the log already are deleted or rewritten: one at a time does so.
    pub(super) fn changing_blocks(&self) -> MutexGuard<'_, ()> {
        // The lock guards no data of its own, so what a panic left behind does not matter.
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn batch(&self, capacity: usize) -> OwnedWriteBatch {
        OwnedWriteBatch::with_capacity(self.fjall.clone(), capacity)
    }

    /// A view of everything as it is now.
    pub(super) fn snapshot(&self) -> fjall::Snapshot {
        self.fjall.snapshot()
    }

    /// Writes a batch, all of it or nothing.
    pub(super) fn commit(
        &self,
        batch: OwnedWriteBatch,
        durability: Durability,
        doing: impl Display,
    ) -> Result<(), StoreError> {
        let mode = match durability {
            Durability::Process => PersistMode::Buffer,
            Durability::Power => PersistMode::SyncData,
        };
        batch.durability(Some(mode)).commit().map_err(|error| failed(doing, &error))
    }

    /// Makes everything that was written survive a power failure.
    pub(super) fn sync(&self, doing: impl Display) -> Result<(), StoreError> {
        self.fjall.persist(PersistMode::SyncData).map_err(|error| failed(doing, &error))
    }

    pub(super) fn get(
        &self,
        keyspace: &Keyspace,
        key: &[u8],
        doing: impl Display,
    ) -> Result<Option<Slice>, StoreError> {
        keyspace.get(key).map_err(|error| failed(doing, &error))
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

/// Large values, written once: kept in files of their own, so that compaction does not copy them again and again. What
/// is deleted of such a file is left out as soon as the file is compacted, however little it is.
fn blobs(memtable: u64) -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(memtable)
        .with_kv_separation(Some(KvSeparationOptions::default().staleness_threshold(0.0).age_cutoff(1.0)))
}
