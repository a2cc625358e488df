//! Errors of opening a data folder.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::inspect::Loss;

/// Lost data; displayed as a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Losses(pub Vec<Loss>);

/// A message names at most this many losses.
const MAX_SHOWN_LOSSES: usize = 20;

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, loss) in self.0.iter().take(MAX_SHOWN_LOSSES).enumerate() {
            write!(f, "{}{loss}", if at == 0 { "" } else { "; " })?;
        }
        match self.0.len().saturating_sub(MAX_SHOWN_LOSSES) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// The reason why a data folder cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has locked the folder.
    #[error("{dir} is in use by {by}: stop it, or choose another data folder")]
    Locked {
        /// The folder.
        dir: PathBuf,
        /// The process, as far as it is known.
        by: String,
    },
    /// The folder cannot be created, read or written.
    #[error("{dir} cannot be used as a data folder: {source}")]
    Unusable {
        /// The folder.
        dir: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The folder holds foreign files.
    #[error("{dir} is not a data folder of Assay: {why}; choose an empty folder")]
    NotOurs {
        /// The folder.
        dir: PathBuf,
        /// The foreign file.
        why: String,
    },
    /// The folder has another format.
    #[error(
        "{dir} has the data format {found}, and this version of Assay reads {known}: use the version that wrote it"
    )]
    OtherFormat {
        /// The folder.
        dir: PathBuf,
        /// The format of the folder.
        found: String,
        /// The format of this version.
        known: u32,
    },
    /// Stored data is lost.
    #[error(
        "{dir} lacks data that was stored: {losses}. Restore a backup; or start with --accept-loss, which goes on without \
         it for good"
    )]
    Lost {
        /// The folder.
        dir: PathBuf,
        /// The lost data.
        losses: Losses,
    },
    /// The ledger is lost, so nothing tells what must be there.
    #[error(
        "{why}. It says what must be in {dir}, so without it a loss of stored data would not be seen. Restore a backup of \
         the whole folder; or start with --accept-loss, which goes on with what is there"
    )]
    Unaccounted {
        /// The folder.
        dir: PathBuf,
        /// The ledger, and how it is.
        why: String,
    },
    /// The content of the folder is damaged.
    #[error("{dir} is damaged: {why}; keep a copy of it, then restore a backup or start with another folder")]
    Corrupted {
        /// The folder.
        dir: PathBuf,
        /// The damage.
        why: String,
    },
}
