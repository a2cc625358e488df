//! Opening the folder: whose it is, who has it, and what stands in the way. Nothing is ever deleted here.

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use assay_engine::ports::StoreError;

use super::database::Database;
use super::error::describe;

/// The version of everything that the adapters write.
const FORMAT: u32 = 1;
/// The file that says that a folder is ours.
const MARKER: &str = "assay-store";
/// The file that says who has the folder open.
const OWNER: &str = "owner";
/// The folder of the database.
const DATABASE: &str = "fjall";

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
}

impl Default for Config {
    fn default() -> Self {
        Self { cache_bytes: 128 << 20, queue_bytes: 64 << 20, queue_appends: 4096, block_bytes: 256 << 10 }
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
    /// The first start was interrupted before the database was there.
    #[error("{dir} was being made when it was interrupted, and never held anything: delete it and start again")]
    HalfMade {
        /// The folder.
        dir: PathBuf,
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

/// Checks the folder and opens the database in it.
pub(super) fn open(dir: &Path, config: &Config) -> Result<Database, OpenError> {
    let unusable = |source| OpenError::Unusable { dir: dir.to_owned(), source };
    fs::create_dir_all(dir).map_err(unusable)?;
    check_marker(dir)?;
    let folder = dir.join(DATABASE);
    // fjall writes its version file last when it makes a database: a folder without it was never used.
    if folder.exists() && !folder.join("version").exists() && folder.join("0.jnl").exists() {
        return Err(OpenError::HalfMade { dir: dir.to_owned() });
    }
    // fjall panics on some damaged files; for the operator that is damage like any other.
    let opened = catch_unwind(AssertUnwindSafe(|| Database::open(&folder, config)));
    let database = match opened {
        Ok(Ok(database)) => database,
        Ok(Err(error)) => return Err(refusal(dir, error)),
        Err(_) => {
            let why = "the database's files contradict each other, see the message above".to_owned();
            return Err(OpenError::Corrupted { dir: dir.to_owned(), why });
        }
    };
    fs::write(dir.join(OWNER), std::process::id().to_string()).map_err(unusable)?;
    Ok(database)
}

/// What an adapter that cannot read its own part means for the folder.
pub(super) fn unreadable(dir: &Path, error: StoreError) -> OpenError {
    OpenError::Corrupted { dir: dir.to_owned(), why: error.to_string() }
}

fn refusal(dir: &Path, error: fjall::Error) -> OpenError {
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
    match fs::read_to_string(dir.join(OWNER)) {
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
