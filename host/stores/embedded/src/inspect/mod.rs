//! Inspects a data folder for lost data before its database is opened. It changes nothing.
//!
//! fjall ignores journals that are missing, zeroed or truncated, and creates keyspaces again whose folders are missing. So
//! commits are counted (see `commits`): the tables have the commits of a keyspace up to some number, the journals have the
//! following ones without a gap, and at least up to the number in the ledger.

mod journal;
mod offsets;
mod tables;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::commits::{COUNT_KEY, COUNTED_KEYSPACES, read_count};
use super::keys::TopicPartition;
use super::ledger::{self, LEDGER, LedgerContents, LedgerPart};
use super::log::count_records;
use journal::{Item, JournalEnd};

pub(super) use tables::{KeyspaceTables, check_file, open as open_tables};

/// Stored data that is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Records of the log.
    Records {
        /// The stream's name, or its number if the name is lost, too.
        stream: String,
        /// `events` or `verdicts`.
        topic: &'static str,
        /// The partition.
        partition: u32,
        /// The first lost offset.
        from: u64,
        /// The offset after the last lost one.
        to: u64,
    },
    /// Commits to another keyspace, or commits to the log whose offsets are not known.
    Commits {
        /// The keyspace.
        keyspace: &'static str,
        /// The number of commits.
        count: u64,
    },
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Records { stream, topic, partition, from, to } => {
                write!(f, "the {topic} {from} to {} of {stream}/{partition}", to.saturating_sub(1))
            }
            Self::Commits { keyspace, count: 1 } => write!(f, "a write to '{keyspace}'"),
            Self::Commits { keyspace, count } => write!(f, "{count} writes to '{keyspace}'"),
        }
    }
}

/// The result of an inspection.
#[derive(Default)]
pub(super) struct Findings {
    /// Lost data.
    pub(super) losses: Vec<Loss>,
    /// Damage without a known loss.
    pub(super) warnings: Vec<String>,
    /// Why nothing tells what must be there, so that a loss would not be seen; none: the ledger does.
    pub(super) unaccounted: Option<String>,
    /// The content of the ledger.
    pub(super) ledger: LedgerContents,
    /// The highest known number of a commit of each keyspace.
    pub(super) counts: [u64; COUNTED_KEYSPACES.len()],
    /// Journals with unreadable bytes, and the positions of these.
    unreadable: Vec<(PathBuf, u64)>,
}

impl Findings {
    /// Truncates journals before their unreadable bytes, so that fjall opens them. Call it only after the loss was
    /// accepted.
    pub(super) fn truncate_journals(&self) -> io::Result<()> {
        for (path, end) in &self.unreadable {
            let file = fs::File::options().write(true).open(path)?;
            file.set_len(*end)?;
            file.sync_all()?;
        }
        Ok(())
    }
}

/// Inspects the database of a data folder.
///
/// # Errors
/// A file that is needed to read anything is missing or damaged.
pub(super) fn inspect(store: &Path, database: &Path) -> Result<Findings, String> {
    if !database.join("version").exists() {
        return Err(format!("the file 'version' is missing in {}", database.display()));
    }
    let keyspaces = tables::open(database)?;
    let mut scan = JournalScan::default();
    for keyspace in &keyspaces {
        if let Some(number) = keyspace.counted_number() {
            scan.chains[number] = CommitChain { seen: keyspace.read_commit_count()?, missing: 0 };
            scan.numbers.insert(keyspace.id, number);
        }
    }
    let journals = list_journals(database)?;
    for path in &journals {
        let end = journal::read(path, |item| scan.add_item(item));
        let end = end.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        match end {
            JournalEnd::Unreadable(position) => {
                scan.warnings.push(format!("{} cannot be read from byte {position} on", path.display()));
                scan.unreadable.push((path.clone(), position));
            }
            // A crash leaves an incomplete batch only in the last journal.
            JournalEnd::Unfinished if Some(path) != journals.last() => {
                scan.warnings.push(format!("{} is cut off", path.display()));
            }
            JournalEnd::Unfinished | JournalEnd::Whole => {}
        }
    }
    scan.finish(store, &keyspaces)
}

/// Returns whether a journal has no item and no damage.
pub(super) fn is_journal_empty(path: &Path) -> io::Result<bool> {
    let mut is_empty = true;
    let end = journal::read(path, |_| is_empty = false)?;
    Ok(is_empty && end == JournalEnd::Whole)
}

/// The journals of a database, ordered by number.
fn list_journals(database: &Path) -> Result<Vec<PathBuf>, String> {
    let unreadable = |error: io::Error| format!("{} cannot be listed: {error}", database.display());
    let mut numbered = Vec::new();
    for entry in fs::read_dir(database).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".jnl")?.parse::<u64>().ok());
        numbered.extend(number.map(|number| (number, path)));
    }
    numbered.sort();
    Ok(numbered.into_iter().map(|(_, path)| path).collect())
}

/// The commits of one keyspace.
#[derive(Clone, Copy, Default)]
struct CommitChain {
    /// The highest number that was seen.
    seen: u64,
    /// The number of missing commits before it.
    missing: u64,
}

/// The content of the journals as far as it is needed to find losses.
#[derive(Default)]
struct JournalScan {
    chains: [CommitChain; COUNTED_KEYSPACES.len()],
    /// The numbers of counted keyspaces by fjall's ids.
    numbers: BTreeMap<u64, usize>,
    /// The blocks of the log in the journals: first offset and number of records.
    blocks: BTreeMap<LedgerPart, Vec<(u64, u64)>>,
    warnings: Vec<String>,
    unreadable: Vec<(PathBuf, u64)>,
}

impl JournalScan {
    fn add_item(&mut self, item: &Item<'_>) {
        let (Some(number), Some(value)) = (self.numbers.get(&item.keyspace), item.value) else { return };
        if item.key == COUNT_KEY {
            match read_count(value) {
                Some((count, is_anchor)) => self.chains[*number].add_count(count, is_anchor),
                None => self
                    .warnings
                    .push(format!("a number of commits of '{}' cannot be read", COUNTED_KEYSPACES[*number])),
            }
        } else if COUNTED_KEYSPACES[*number] == "log"
            && let Some(place) = TopicPartition::from_key(item.key)
            && let Some(first) = TopicPartition::first_offset_in(item.key)
        {
            match count_records(value) {
                Ok(count) => self.blocks.entry(place.into()).or_default().push((first, count)),
                Err(error) => self.warnings.push(format!("the block at offset {first} of the log: {error}")),
            }
        }
    }

    fn finish(mut self, store: &Path, keyspaces: &[KeyspaceTables]) -> Result<Findings, String> {
        let path = store.join(LEDGER);
        let ledger = ledger::read(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        let has_commits = self.chains.iter().any(|chain| chain.seen > 0);
        let unaccounted = match &ledger {
            None if has_commits => Some(format!("{} is missing", path.display())),
            Some(contents) if contents.is_unreadable => Some(format!("{} cannot be read", path.display())),
            _ => None,
        };
        let ledger = ledger.unwrap_or_default();
        self.warnings.extend(ledger.damage.iter().map(|damage| format!("{}: {damage}", path.display())));
        let mut losses = Vec::new();
        for ((number, chain), keyspace) in (0..).zip(&mut self.chains).zip(COUNTED_KEYSPACES) {
            let synced = ledger.values.get(&LedgerPart::Keyspace(number)).map_or(0, |(count, _)| *count);
            let count = chain.missing + synced.saturating_sub(chain.seen);
            chain.seen = chain.seen.max(synced);
            if count > 0 {
                losses.push(Loss::Commits { keyspace, count });
            }
        }
        if losses.iter().any(|loss| matches!(loss, Loss::Commits { keyspace: "log", .. })) {
            let log = keyspaces.iter().find(|keyspace| keyspace.name == "log");
            losses.splice(0..0, offsets::find_lost_records(log, self.blocks, &ledger)?);
        }
        Ok(Findings {
            losses,
            warnings: self.warnings,
            unaccounted,
            ledger,
            counts: self.chains.map(|chain| chain.seen),
            unreadable: self.unreadable,
        })
    }
}

impl CommitChain {
    fn add_count(&mut self, count: u64, is_anchor: bool) {
        if is_anchor && count > self.seen {
            // The user accepted the losses before an anchor.
            *self = Self { seen: count, missing: 0 };
        } else if count > self.seen {
            self.missing += count - self.seen - 1;
            self.seen = count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_missing_and_commits_in_tables_are_not() {
        let mut chain = CommitChain { seen: 5, missing: 0 };
        for count in [3, 4, 5, 6, 7] {
            chain.add_count(count, false);
        }
        assert_eq!((chain.seen, chain.missing), (7, 0));
        chain.add_count(11, false);
        assert_eq!((chain.seen, chain.missing), (11, 3));
        chain.add_count(20, true);
        assert_eq!((chain.seen, chain.missing), (20, 0));
    }
}
