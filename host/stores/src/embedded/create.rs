//! Makes the database of a new folder: under another name, which it loses in one step when it is whole. So a start that
//! is interrupted leaves nothing that was ever written to, and the next one begins anew.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::Config;
use super::commits::COUNTED;
use super::database::Database;
use super::inspect::is_journal_empty;
use super::ledger::LEDGER;
use super::open::{DATABASE, OpenError, refusal};

/// The database while it is made.
const UNFINISHED: &str = "fjall.new";
/// Earlier versions of Assay wrote this file once the database was open.
const OPENED: &str = "owner";

/// Makes the database if there is none, and nothing says that there was one.
pub(super) fn create_if_new(dir: &Path, config: &Config) -> Result<(), OpenError> {
    let unusable = |source| OpenError::Unusable { dir: dir.to_owned(), source };
    let (database, unfinished) = (dir.join(DATABASE), dir.join(UNFINISHED));
    if unfinished.exists() {
        tracing::info!(folder = %dir.display(), "the first start was interrupted; it begins anew");
        fs::remove_dir_all(&unfinished).map_err(unusable)?;
    }
    if database.exists() {
        if !was_never_used(dir, &database).map_err(unusable)? {
            return Ok(());
        }
        tracing::info!(folder = %dir.display(), "the first start was interrupted; it begins anew");
        fs::remove_dir_all(&database).map_err(unusable)?;
    } else if dir.join(LEDGER).exists() || dir.join(OPENED).exists() {
        let why = format!("the folder '{DATABASE}' is missing");
        return Err(OpenError::Corrupted { dir: dir.to_owned(), why });
    }
    let made = Database::open(&unfinished, config, [0; COUNTED.len()]).and_then(|made| {
        made.sync_all()?;
        drop(made);
        fs::rename(&unfinished, &database)?;
        File::open(dir)?.sync_all()?;
        Ok(())
    });
    made.map_err(|error| refusal(dir, error))
}

/// Whether a database was interrupted while an earlier version of Assay made it. fjall writes its version last, and such
/// a folder has no ledger; a folder that was used has at least something in its journals.
fn was_never_used(dir: &Path, database: &Path) -> io::Result<bool> {
    if [database.join("version"), dir.join(LEDGER), dir.join(OPENED)].iter().any(|path| path.exists()) {
        return Ok(false);
    }
    for entry in fs::read_dir(database)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_unused = match name {
            "lock" => true,
            "0.jnl" => is_journal_empty(&path)?,
            "keyspaces" => fs::read_dir(&path)?.next().is_none(),
            _ => false,
        };
        if !is_unused {
            return Ok(false);
        }
    }
    Ok(true)
}
