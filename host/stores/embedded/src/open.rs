//! Opens a data folder: checks its marker and its lock, inspects it for losses, and opens its database. It deletes nothing
//! that holds stored data.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use assay_engine::ports::StoreError;

use super::commits::COUNTED_KEYSPACES;
use super::config::Config;
use super::create::create_if_new;
use super::database::Database;
use super::error::describe;
use super::inspect::{Findings, Loss, inspect};
use super::open_error::{Losses, OpenError};

/// The version of the format of all keys and rows.
const FORMAT: u32 = 1;
/// The file that marks a data folder, with the version of the format.
const MARKER: &str = "assay-store";
/// The file that is locked while the folder is open. It holds the id of the process.
const LOCK: &str = "lock";
/// The number of attempts to lock the folder.
const MAX_LOCK_ATTEMPTS: u32 = 4;
/// The delay before each further attempt.
const LOCK_RETRY_DELAY: Duration = Duration::from_millis(100);
/// The name of the database's folder.
pub(super) const DATABASE: &str = "fjall";

/// An open database, and the findings of the inspection before.
pub(super) struct OpenedDatabase {
    pub(super) database: Database,
    pub(super) findings: Findings,
}

/// Checks a folder and opens the database in it.
pub(super) fn open(dir: &Path, config: &Config) -> Result<OpenedDatabase, OpenError> {
    let unusable = |source| OpenError::Unusable { dir: dir.to_owned(), source };
    fs::create_dir_all(dir).map_err(unusable)?;
    check_marker(dir)?;
    let lock = lock(dir)?;
    create_if_new(dir, config)?;
    let folder = dir.join(DATABASE);
    let findings = inspect_closed_folder(dir)?;
    if !findings.losses.is_empty() && !config.accept_loss {
        return Err(OpenError::Lost { dir: dir.to_owned(), losses: Losses(findings.losses) });
    }
    if let Some(why) = findings.unaccounted.as_ref().filter(|_| !config.accept_loss) {
        return Err(OpenError::Unaccounted { dir: dir.to_owned(), why: why.clone() });
    }
    if let Some(why) = &findings.unaccounted {
        tracing::error!("{why}; going on with what is there, as --accept-loss says");
    }
    for loss in &findings.losses {
        tracing::error!(%loss, "lost; going on without it, as --accept-loss says");
    }
    findings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let mut min_counts = [0; COUNTED_KEYSPACES.len()];
    if config.accept_loss {
        findings.truncate_journals().map_err(unusable)?;
        min_counts = findings.counts;
    }
    create_journal_if_none(&folder).map_err(unusable)?;
    // fjall panics on some damaged files; this reports them as damage, too.
    let opened = catch_unwind(AssertUnwindSafe(|| Database::open(&folder, config, min_counts)));
    let database = match opened {
        Ok(Ok(database)) => database,
        Ok(Err(error)) => return Err(refusal(dir, error)),
        Err(_) => {
            let why = "the database's files contradict each other, see the message above".to_owned();
            return Err(OpenError::Corrupted { dir: dir.to_owned(), why });
        }
    };
    // No checksum covers the order of commits in a journal, so the counts after recovery are compared once more.
    let hidden = find_hidden_losses(&findings, &database);
    if !hidden.is_empty() && !config.accept_loss {
        return Err(OpenError::Lost { dir: dir.to_owned(), losses: Losses(hidden) });
    }
    database.hold_lock(lock);
    Ok(OpenedDatabase { database, findings })
}

/// Creates an empty journal if all are gone. fjall 3.1 would create one, too, but number its writes from 0 then: they would
/// be older than the rows of the tables, and the next start would skip them.
fn create_journal_if_none(database: &Path) -> io::Result<()> {
    for entry in fs::read_dir(database)? {
        if entry?.path().extension().is_some_and(|extension| extension == "jnl") {
            return Ok(());
        }
    }
    // 0.jnl would be that of a creation that was interrupted.
    File::create_new(database.join("1.jnl"))?.sync_all()?;
    File::open(database)?.sync_all()
}

/// Commits that the inspection saw in the journals and that the database did not recover.
fn find_hidden_losses(findings: &Findings, database: &Database) -> Vec<Loss> {
    let both = findings.counts.into_iter().zip(database.commit_counts());
    let lost = both.zip(COUNTED_KEYSPACES).filter(|((seen, done), _)| seen > done);
    lost.map(|((seen, done), keyspace)| Loss::Commits { keyspace, count: seen - done }).collect()
}

/// Locks an existing data folder.
pub(super) fn lock_existing(dir: &Path) -> Result<File, OpenError> {
    if !dir.join(MARKER).exists() {
        let why = format!("there is no '{MARKER}' file in it");
        return Err(OpenError::NotOurs { dir: dir.to_owned(), why });
    }
    check_marker(dir)?;
    lock(dir)
}

/// Inspects a folder that is not open, without changing it.
fn inspect_closed_folder(dir: &Path) -> Result<Findings, OpenError> {
    inspect(dir, &dir.join(DATABASE)).map_err(|why| OpenError::Corrupted { dir: dir.to_owned(), why })
}

/// Locks the folder for this process.
fn lock(dir: &Path) -> Result<File, OpenError> {
    let unusable = |source| OpenError::Unusable { dir: dir.to_owned(), source };
    let path = dir.join(LOCK);
    let mut file = File::options().create(true).truncate(false).read(true).write(true).open(&path).map_err(unusable)?;
    for attempt in 1.. {
        match file.try_lock() {
            Ok(()) => break,
            // The owner may be a process that is ending, or this process before it opens the folder again.
            Err(TryLockError::WouldBlock) if attempt < MAX_LOCK_ATTEMPTS => std::thread::sleep(LOCK_RETRY_DELAY),
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::Locked { by: owner(dir), dir: dir.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
    }
    let id = std::process::id().to_string();
    file.set_len(0).and_then(|()| file.write_all(id.as_bytes())).map_err(unusable)?;
    Ok(file)
}

/// The error for a folder in which an adapter cannot read its rows.
pub(super) fn unreadable(dir: &Path, error: StoreError) -> OpenError {
    OpenError::Corrupted { dir: dir.to_owned(), why: error.to_string() }
}

pub(super) fn refusal(dir: &Path, error: fjall::Error) -> OpenError {
    let dir = dir.to_owned();
    match error {
        fjall::Error::Locked => OpenError::Locked { by: owner(&dir), dir },
        fjall::Error::Io(source) if source.kind() != ErrorKind::InvalidData => OpenError::Unusable { dir, source },
        fjall::Error::InvalidVersion(found) => OpenError::OtherFormat {
            dir,
            found: found.map_or("unknown".to_owned(), |version| format!("fjall {version}")),
            known: FORMAT,
        },
        error => OpenError::Corrupted { dir, why: describe(&error) },
    }
}

fn owner(dir: &Path) -> String {
    match fs::read_to_string(dir.join(LOCK)) {
        Ok(pid) => format!("process {} (most likely another `assay serve`)", pid.trim()),
        Err(_) => "another process (most likely another `assay serve`)".to_owned(),
    }
}

fn check_marker(dir: &Path) -> Result<(), OpenError> {
    let unusable = |source| OpenError::Unusable { dir: dir.to_owned(), source };
    let marker = dir.join(MARKER);
    let text = match fs::read_to_string(&marker) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            check_folder_is_ours(dir)?;
            return write_marker(&marker).map_err(unusable);
        }
        Err(error) => return Err(unusable(error)),
    };
    match text.trim().strip_prefix("format ") {
        Some(found) if found == FORMAT.to_string() => Ok(()),
        found => {
            let found = found.unwrap_or("unknown").to_owned();
            Err(OpenError::OtherFormat { dir: dir.to_owned(), found, known: FORMAT })
        }
    }
}

/// Checks that a folder without a marker is empty. Foreign files are never touched.
fn check_folder_is_ours(dir: &Path) -> Result<(), OpenError> {
    let unusable = |source| OpenError::Unusable { dir: dir.to_owned(), source };
    // A start that was interrupted while it wrote the marker leaves only this file.
    let unfinished = format!("{MARKER}.new");
    for entry in fs::read_dir(dir).map_err(unusable)? {
        let name = entry.map_err(unusable)?.file_name();
        if name != *unfinished {
            let why = format!("it holds '{}' and no '{MARKER}' file", name.display());
            return Err(OpenError::NotOurs { dir: dir.to_owned(), why });
        }
    }
    Ok(())
}

fn write_marker(marker: &Path) -> io::Result<()> {
    let unfinished = marker.with_extension("new");
    let mut file = fs::File::create(&unfinished)?;
    writeln!(file, "format {FORMAT}")?;
    file.sync_all()?;
    fs::rename(unfinished, marker)
}

/// The bytes of a probe write.
const PROBE_BYTES: usize = 4 << 20;

/// Returns whether the disk of a folder accepts writes. It writes and syncs a file of 4 MiB, and deletes it.
pub fn disk_takes_writes(dir: &Path) -> bool {
    let path = dir.join("probe");
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&vec![0; PROBE_BYTES])?;
        file.sync_all()
    });
    // A file that cannot be deleted stays and is replaced by the next probe.
    fs::remove_file(&path).is_ok() && written.is_ok()
}
