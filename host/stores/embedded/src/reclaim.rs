//! Reclaims disk space: removes deleted and overwritten data from the files of the database at once, instead of at some
//! later compaction.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs;
use std::time::{Duration, Instant};

use assay_engine::ports::StoreError;
use fjall::{AbstractTree as _, Keyspace};

use super::database::Database;
use super::error::{failed, unavailable};

/// The longest wait for the flush of a memtable.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(120);
/// The interval of polling for the flush of a memtable.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// fjall seals a journal at the first flush after its first 64 MB. Fillers of this size make it that long.
const FILLER_BYTES: usize = 4 << 20;
/// The number of fillers: together more than 64 MB.
const MAX_FILLERS: usize = 17;
/// The number of checks for replaced files. Under load there are always some, so the wait is bounded.
const MAX_FILE_CHECKS: usize = 100;

impl Database {
    /// Compacts a keyspace so that its files have no deleted data, and drops journals that are not needed any more.
    pub(super) fn reclaim(&self, keyspace: &Keyspace, doing: impl Display) -> Result<(), StoreError> {
        // A journal is dropped once the tables hold the items of all keyspaces in it.
        for keyspace in self.keyspaces() {
            self.flush_memtable(keyspace, &doing)?;
        }
        // The first compaction finds the values without a key; the second one drops them from the blob files.
        for _ in 0..2 {
            keyspace.major_compact().map_err(|error| failed(&doing, &error))?;
        }
        Ok(())
    }

    /// Flushes a keyspace's memtable, and waits until it is on disk.
    fn flush_memtable(&self, keyspace: &Keyspace, doing: &impl Display) -> Result<(), StoreError> {
        keyspace.rotate_memtable().map_err(|error| failed(doing, &error))?;
        let deadline = Instant::now() + FLUSH_TIMEOUT;
        while keyspace.sealed_memtable_count() > 0 {
            if Instant::now() > deadline {
                return Err(unavailable(format!("{doing}: the disk does not take what is written")));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Drops all journals up to number `through`: flushes their content to tables and begins a new journal. A call that
    /// is interrupted leaves progress: journals are dropped, and the last one is longer.
    pub(super) fn renew_journals(&self, through: u64, doing: impl Display) -> Result<(), StoreError> {
        let is_left = || Ok::<_, StoreError>(self.list_journals(&doing)?.range(..=through).next().is_some());
        for keyspace in self.keyspaces() {
            self.flush_memtable(keyspace, &doing)?;
        }
        let filler = vec![0; FILLER_BYTES];
        let deadline = Instant::now() + FLUSH_TIMEOUT;
        for _ in 0..MAX_FILLERS {
            if !is_left()? {
                break;
            }
            self.filler.insert("filler", &filler[..]).map_err(|error| failed(&doing, &error))?;
        }
        while is_left()? {
            if Instant::now() > deadline {
                return Err(unavailable(format!("{doing}: the journals of before are still needed")));
            }
            // Concurrent writes fill memtables again; a sealed journal is dropped once the tables hold all of it.
            self.filler.insert("filler", "").map_err(|error| failed(&doing, &error))?;
            for keyspace in self.keyspaces() {
                self.flush_memtable(keyspace, &doing)?;
            }
        }
        self.filler.clear().map_err(|error| failed(&doing, &error))?;
        self.drop_old_files(&doing)?;
        self.sync(&doing)
    }

    /// Drops the files that compaction has replaced. fjall keeps them while a snapshot may need them, and checks this at
    /// each flush of a memtable.
    fn drop_old_files(&self, doing: &impl Display) -> Result<(), StoreError> {
        let is_old = |keyspace: &&Keyspace| keyspace.tree.version_free_list_len() > 0;
        for _ in 0..MAX_FILE_CHECKS {
            self.filler.insert("filler", "").map_err(|error| failed(doing, &error))?;
            self.flush_memtable(&self.filler, doing)?;
            let [others @ .., _] = self.keyspaces();
            if !others.iter().any(is_old) {
                break;
            }
        }
        Ok(())
    }

    /// The number of the newest journal.
    pub(super) fn newest_journal(&self, doing: impl Display) -> Result<u64, StoreError> {
        Ok(self.list_journals(&doing)?.last().copied().unwrap_or_default())
    }

    /// The numbers of all journals.
    fn list_journals(&self, doing: &impl Display) -> Result<BTreeSet<u64>, StoreError> {
        let unreadable = |error| unavailable(format!("{doing}: the data folder cannot be listed: {error}"));
        let mut journals = BTreeSet::new();
        for entry in fs::read_dir(&self.dir).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".jnl")?.parse::<u64>().ok());
            journals.extend(number);
        }
        Ok(journals)
    }
}
