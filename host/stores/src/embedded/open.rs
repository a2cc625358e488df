//! Opening the folder: whose it is, who has it, what is missing, and what stands in the way. Nothing that was ever
//! written to is deleted here.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use assay_engine::ports::StoreError;

use super::commits::COUNTED;
use super::create::create_if_new;
use super::database::Database;
use super::error::describe;
use super::inspect::{Findings, Loss, inspect};

/// The version of everything that the adapters write.
const FORMAT: u32 = 1;
/// The file that says that a folder is ours.
const MARKER: &str = "assay-store";
/// The file that is locked while the folder is open, and says by which process.
const LOCK: &str = "lock";
/// How often the lock is tried.
const LOCK_ATTEMPTS: u32 = 4;
/// How long to wait before each further attempt.
const LOCK_PAUSE: Duration = Duration::from_millis(100);
/// The folder of the database.
pub(super) const DATABASE: &str = "fjall";

/// How the embedded store is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Memory for blocks that were read, in bytes.
    pub cache_bytes: u64,
    /// How many bytes may wait to be appended to the log before appends block.
    pub queue_bytes: usize,
    /// How many appends may wait before appends block.
    pub queue_appends: usize,
    /// Small appends to one partition are put together into blocks of about so many bytes.
    pub block_bytes: usize,
    /// Whether to go on when data that was stored is gone.
    pub accept_loss: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cache_bytes: 128 << 20,
            queue_bytes: 64 << 20,
            queue_appends: 4096,
            block_bytes: 256 << 10,
            accept_loss: false,
        }
    }
}

/// What is gone, as a list for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Losses(pub Vec<Loss>);

/// The most losses that one message names.
const MAX_NAMED: usize = 20;

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, loss) in self.0.iter().take(MAX_NAMED).enumerate() {
            write!(f, "{}{loss}", if at == 0 { "" } else { "; " })?;
        }
        match self.0.len().saturating_sub(MAX_NAMED) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// Why the embedded store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{dir} is in use by {by}: stop it, or choose another data folder")]
    Locked {
        /// The folder.
        dir: PathBuf,
        /// Who might have it.
        by: String,
    },
    /// The folder cannot be made, read or written.
    #[error("{dir} cannot be used as a data folder: {source}")]
    Unusable {
        /// The folder.
        dir: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The folder holds something else.
    #[error("{dir} is not a data folder of Assay: {why}; choose an empty folder")]
    NotOurs {
        /// The folder.
        dir: PathBuf,
        /// What was found.
        why: String,
    },
    /// The folder was written by another version.
    #[error(
        "{dir} has the data format {found}, and this version of Assay reads {known}: use the version that wrote it"
    )]
    OtherFormat {
        /// The folder.
        dir: PathBuf,
        /// Its format.
        found: String,
        /// The format that we know.
        known: u32,
    },
    /// Data that was stored is gone.
    #[error(
        "{dir} lacks data that was stored: {losses}. Restore a backup; or start with --accept-loss, which goes on without \
         it for good"
    )]
    Lost {
        /// The folder.
        dir: PathBuf,
        /// What is gone.
        losses: Losses,
    },
    /// What is in the folder cannot be read.
    #[error("{dir} is damaged: {why}; keep a copy of it, then restore a backup or start with another folder")]
    Corrupted {
        /// The folder.
        dir: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// An open database, and what was found in its folder before.
pub(super) struct Opened {
    pub(super) database: Database,
    pub(super) findings: Findings,
}

/// Checks the folder and opens the database in it.
pub(super) fn open(dir: &Path, config: &Config) -> Result<Opened, OpenError> {
    let unusable = |source| OpenError::Unusable { dir: dir.to_owned(), source };
    fs::create_dir_all(dir).map_err(unusable)?;
    check_marker(dir)?;
    let lock = lock(dir)?;
    create_if_new(dir, config)?;
    let folder = dir.join(DATABASE);
    let findings = look(dir)?;
    if !findings.losses.is_empty() && !config.accept_loss {
        return Err(OpenError::Lost { dir: dir.to_owned(), losses: Losses(findings.losses) });
    }
    for loss in &findings.losses {
        tracing::error!(%loss, "lost; going on without it, as --accept-loss says");
    }
    findings.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let mut at_least = [0; COUNTED.len()];
    if config.accept_loss {
        findings.cut_journals().map_err(unusable)?;
        at_least = findings.counts;
    }
    // fjall panics on some damaged files; for the operator that is damage like any other.
    let opened = catch_unwind(AssertUnwindSafe(|| Database::open(&folder, config, at_least)));
    let database = match opened {
        Ok(Ok(database)) => database,
        Ok(Err(error)) => return Err(refusal(dir, error)),
        Err(_) => {
            let why = "the database's files contradict each other, see the message above".to_owned();
            return Err(OpenError::Corrupted { dir: dir.to_owned(), why });
        }
    };
    // What the journals hold must be what is read now: their order is in no checksum.
    let hidden = hidden(&findings, &database);
    if !hidden.is_empty() && !config.accept_loss {
        return Err(OpenError::Lost { dir: dir.to_owned(), losses: Losses(hidden) });
    }
    database.keep_lock(lock);
    Ok(Opened { database, findings })
}

/// Commits that were seen in the journals, and are not the last ones that the database knows.
fn hidden(findings: &Findings, database: &Database) -> Vec<Loss> {
    let both = findings.counts.into_iter().zip(database.commits_done());
    let lost = both.zip(COUNTED).filter(|((seen, done), _)| seen > done);
    lost.map(|((seen, done), keyspace)| Loss::Commits { keyspace, count: seen - done }).collect()
}

/// Locks a folder that is a store's already.
pub(super) fn lock_existing(dir: &Path) -> Result<File, OpenError> {
    if !dir.join(MARKER).exists() {
        let why = format!("there is no '{MARKER}' file in it");
        return Err(OpenError::NotOurs { dir: dir.to_owned(), why });
    }
    check_marker(dir)?;
    lock(dir)
}

/// Looks at a folder that is not open, and changes nothing.
fn look(dir: &Path) -> Result<Findings, OpenError> {
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
            // A process that is just ending, or this one before it opens the folder anew.
            Err(TryLockError::WouldBlock) if attempt < LOCK_ATTEMPTS => std::thread::sleep(LOCK_PAUSE),
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

/// What an adapter that cannot read its own part means for the folder.
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
            refuse_strangers(dir)?;
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

/// A folder without our marker must be empty: what is in it is somebody else's.
fn refuse_strangers(dir: &Path) -> Result<(), OpenError> {
    let unusable = |source| OpenError::Unusable { dir: dir.to_owned(), source };
    // A start that was interrupted while it wrote the marker leaves only this.
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

/// How much is written to see whether a disk takes writes again.
const PROBE_BYTES: usize = 4 << 20;

/// Whether the disk of a folder takes writes: some are made, and taken back.
pub fn disk_takes_writes(dir: &Path) -> bool {
    let path = dir.join("probe");
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&vec![0; PROBE_BYTES])?;
        file.sync_all()
    });
    // What cannot be deleted takes some space; the next probe takes its place.
    fs::remove_file(&path).is_ok() && written.is_ok()
}
