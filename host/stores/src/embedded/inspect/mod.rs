//! Looks at a data folder before its database is opened, and changes nothing in it.
//!
//! fjall passes over journals that are missing, zeroed or cut, and makes keyspaces anew whose folders are gone. So the
//! commits are counted (see `commits`): the tables hold those of a keyspace up to some number, the journals those from
//! there on, without a gap, and at least up to the number in the ledger.

mod journal;
mod offsets;
mod tables;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::commits::{COUNT_KEY, COUNTED, read_count};
use super::keys::TopicPartition;
use super::ledger::{self, Contents, LEDGER, Part};
use super::log::count_records;
use journal::{End, Item};

pub(super) use tables::{Keyspace, check_file, open as open_tables};

/// Data that was stored and is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Records of the log.
    Records {
        /// The stream's name, or its number if the name is gone, too.
        stream: String,
        /// `events` or `verdicts`.
        topic: &'static str,
        /// The partition.
        partition: u32,
        /// The first offset that is gone.
        from: u64,
        /// The offset after the last one.
        to: u64,
    },
    /// Writes to another part of the database, or ones whose offsets are not known.
    Commits {
        /// The part.
        keyspace: &'static str,
        /// How many.
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

/// What is found in a folder whose manifests are whole.
#[derive(Default)]
pub(super) struct Findings {
    /// What was stored and is gone.
    pub(super) losses: Vec<Loss>,
    /// Damage that has cost nothing that is known.
    pub(super) warnings: Vec<String>,
    /// What the ledger says.
    pub(super) ledger: Contents,
    /// The highest number of a commit of each keyspace of which anything is known.
    pub(super) counts: [u64; COUNTED.len()],
    /// Journals that cannot be read to their end, and how far they can.
    unreadable: Vec<(PathBuf, u64)>,
}

impl Findings {
    /// Cuts journals off before what cannot be read, so that fjall opens them. What it costs was accepted.
    pub(super) fn cut_journals(&self) -> io::Result<()> {
        for (path, end) in &self.unreadable {
            let file = fs::File::options().write(true).open(path)?;
            file.set_len(*end)?;
            file.sync_all()?;
        }
        Ok(())
    }
}

/// Looks at the database of a store's folder.
///
/// # Errors
/// A part without which nothing can be read is missing or damaged.
pub(super) fn inspect(store: &Path, database: &Path) -> Result<Findings, String> {
    if !database.join("version").exists() {
        return Err(format!("the file 'version' is missing in {}", database.display()));
    }
    let keyspaces = tables::open(database)?;
    let mut scan = Scan::default();
    for keyspace in &keyspaces {
        if let Some(number) = keyspace.number() {
            scan.chains[number] = Chain { seen: keyspace.count()?, missing: 0 };
            scan.numbers.insert(keyspace.id, number);
        }
    }
    let journals = journals(database)?;
    for path in &journals {
        let end = journal::read(path, |item| scan.take(item));
        let end = end.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        match end {
            End::Unreadable(position) => {
                scan.warnings.push(format!("{} cannot be read from byte {position} on", path.display()));
                scan.unreadable.push((path.clone(), position));
            }
            // A crash leaves that in the last one only.
            End::Unfinished if Some(path) != journals.last() => {
                scan.warnings.push(format!("{} is cut off", path.display()));
            }
            End::Unfinished | End::Whole => {}
        }
    }
    scan.finish(store, &keyspaces)
}

/// Whether a journal holds nothing.
pub(super) fn is_journal_empty(path: &Path) -> io::Result<bool> {
    let mut is_empty = true;
    let end = journal::read(path, |_| is_empty = false)?;
    Ok(is_empty && end == End::Whole)
}

/// The journals of a database in their order.
fn journals(database: &Path) -> Result<Vec<PathBuf>, String> {
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
struct Chain {
    /// The number of the last one that was seen.
    seen: u64,
    /// How many before it are missing.
    missing: u64,
}

/// What the journals say.
#[derive(Default)]
struct Scan {
    chains: [Chain; COUNTED.len()],
    numbers: BTreeMap<u64, usize>,
    /// The blocks of the log that are in journals: first offset and number of records.
    blocks: BTreeMap<Part, Vec<(u64, u64)>>,
    warnings: Vec<String>,
    unreadable: Vec<(PathBuf, u64)>,
}

impl Scan {
    fn take(&mut self, item: &Item<'_>) {
        let (Some(number), Some(value)) = (self.numbers.get(&item.keyspace), item.value) else { return };
        if item.key == COUNT_KEY {
            match read_count(value) {
                Some((count, is_anchor)) => self.chains[*number].take(count, is_anchor),
                None => self.warnings.push(format!("a number of commits of '{}' cannot be read", COUNTED[*number])),
            }
        } else if COUNTED[*number] == "log"
            && let Some(place) = TopicPartition::of_key(item.key)
            && let Some(first) = TopicPartition::first_of(item.key)
        {
            match count_records(value) {
                Ok(count) => self.blocks.entry(place.into()).or_default().push((first, count)),
                Err(error) => self.warnings.push(format!("the block at offset {first} of the log: {error}")),
            }
        }
    }

    fn finish(mut self, store: &Path, keyspaces: &[Keyspace]) -> Result<Findings, String> {
        let path = store.join(LEDGER);
        let ledger = ledger::read(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        let has_commits = self.chains.iter().any(|chain| chain.seen > 0);
        if ledger.is_none() && has_commits {
            self.warnings.push(format!("{} is missing: a loss at the end would not be seen", path.display()));
        }
        let ledger = ledger.unwrap_or_default();
        self.warnings.extend(ledger.damage.iter().map(|damage| format!("{}: {damage}", path.display())));
        let mut losses = Vec::new();
        for ((number, chain), keyspace) in (0..).zip(&mut self.chains).zip(COUNTED) {
            let synced = ledger.values.get(&Part::Keyspace(number)).map_or(0, |(count, _)| *count);
            let count = chain.missing + synced.saturating_sub(chain.seen);
            chain.seen = chain.seen.max(synced);
            if count > 0 {
                losses.push(Loss::Commits { keyspace, count });
            }
        }
        if losses.iter().any(|loss| matches!(loss, Loss::Commits { keyspace: "log", .. })) {
            let log = keyspaces.iter().find(|keyspace| keyspace.name == "log");
            losses.splice(0..0, offsets::lost(log, self.blocks, &ledger)?);
        }
        Ok(Findings {
            losses,
            warnings: self.warnings,
            ledger,
            counts: self.chains.map(|chain| chain.seen),
            unreadable: self.unreadable,
        })
    }
}

impl Chain {
    fn take(&mut self, count: u64, is_anchor: bool) {
        if is_anchor && count > self.seen {
            // What was missing before was accepted.
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
    fn a_gap_counts_and_what_the_tables_hold_does_not() {
        let mut chain = Chain { seen: 5, missing: 0 };
        for count in [3, 4, 5, 6, 7] {
            chain.take(count, false);
        }
        assert_eq!((chain.seen, chain.missing), (7, 0));
        chain.take(11, false);
        assert_eq!((chain.seen, chain.missing), (11, 3));
        chain.take(20, true);
        assert_eq!((chain.seen, chain.missing), (20, 0));
    }
}
