//! Giving disk space back: what was deleted or overwritten leaves the files of the database at once, and not when it
//! happens to be compacted.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs;
use std::time::{Duration, Instant};

use assay_engine::ports::StoreError;
use fjall::{AbstractTree as _, Keyspace};

use super::database::Database;
use super::error::{failed, unavailable};

/// How long a memtable's way to the disk is waited for.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often to look.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// A journal is sealed by the first memtable that is written behind its first 64 MB. So much is written at once to get
/// it there.
const FILLER: usize = 4 << 20;
/// So often: more than 64 MB in all.
const FILLERS: usize = 17;
/// How often is looked whether replaced files are gone. While much is written there are always some.
const MOST_LOOKS: usize = 100;

impl Database {
    /// Writes what is deleted in a keyspace out of its files, and lets go of journals.
    pub(super) fn reclaim(&self, keyspace: &Keyspace, doing: impl Display) -> Result<(), StoreError> {
        // A journal stays until the tables hold what every keyspace has in it.
        for keyspace in self.keyspaces() {
            self.flush(keyspace, &doing)?;
        }
        // The first pass finds which values no key refers to any more, the second leaves them out of their files.
        for _ in 0..2 {
            keyspace.major_compact().map_err(|error| failed(&doing, &error))?;
        }
        Ok(())
    }

    /// Writes a keyspace's memtable to the disk, and waits until it is there.
    fn flush(&self, keyspace: &Keyspace, doing: &impl Display) -> Result<(), StoreError> {
        keyspace.rotate_memtable().map_err(|error| failed(doing, &error))?;
        let deadline = Instant::now() + PATIENCE;
        while keyspace.sealed_memtable_count() > 0 {
            if Instant::now() > deadline {
                return Err(unavailable(format!("{doing}: the disk does not take what is written")));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// Gets rid of all journals up to one: all that they hold goes to tables, and new ones begin. What one call has done
    /// stays done if the process dies: journals are gone, and the last one is nearer to its end.
    pub(super) fn renew_journals(&self, through: u64, doing: impl Display) -> Result<(), StoreError> {
        let is_left = || Ok::<_, StoreError>(self.journals(&doing)?.range(..=through).next().is_some());
        for keyspace in self.keyspaces() {
            self.flush(keyspace, &doing)?;
        }
        let filler = vec![0; FILLER];
        let deadline = Instant::now() + PATIENCE;
        for _ in 0..FILLERS {
            if !is_left()? {
                break;
            }
            self.filler.insert("filler", &filler[..]).map_err(|error| failed(&doing, &error))?;
        }
        while is_left()? {
            if Instant::now() > deadline {
                return Err(unavailable(format!("{doing}: the journals of before are still needed")));
            }
            // Others write meanwhile: a sealed journal goes when the tables hold all of it.
            self.filler.insert("filler", "").map_err(|error| failed(&doing, &error))?;
            for keyspace in self.keyspaces() {
                self.flush(keyspace, &doing)?;
            }
        }
        self.filler.clear().map_err(|error| failed(&doing, &error))?;
        self.drop_old_files(&doing)?;
        self.sync(&doing)
    }

    /// Files that compaction has replaced stay until no snapshot can need them, which is looked at whenever a memtable
    /// is written.
    fn drop_old_files(&self, doing: &impl Display) -> Result<(), StoreError> {
        let is_old = |keyspace: &&Keyspace| keyspace.tree.version_free_list_len() > 0;
        for _ in 0..MOST_LOOKS {
            self.filler.insert("filler", "").map_err(|error| failed(doing, &error))?;
            self.flush(&self.filler, doing)?;
            let [others @ .., _] = self.keyspaces();
            if !others.iter().any(is_old) {
                break;
            }
        }
        Ok(())
    }

    /// The number of the newest journal.
    pub(super) fn newest_journal(&self, doing: impl Display) -> Result<u64, StoreError> {
        Ok(self.journals(&doing)?.last().copied().unwrap_or_default())
    }

    /// The numbers of all journals.
    fn journals(&self, doing: &impl Display) -> Result<BTreeSet<u64>, StoreError> {
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
