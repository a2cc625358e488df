//! Creates the database of a new folder under a temporary name, and renames it once it is complete. An interrupted start
//! therefore leaves no half-made database, and the next start creates it again.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::Config;
use super::commits::COUNTED_KEYSPACES;
use super::database::Database;
use super::inspect::is_journal_empty;
use super::ledger::LEDGER;
use super::open::{DATABASE, refusal};
use super::open_error::OpenError;

/// The temporary name of the database.
const UNFINISHED: &str = "fjall.new";
/// Earlier versions of Assay wrote this file after they had opened the database.
const LEGACY_OWNER: &str = "owner";

/// Creates the database if there is none.
///
/// # Errors
/// The folder cannot be written, or it has traces of a database that is missing.
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
    } else if dir.join(LEDGER).exists() || dir.join(LEGACY_OWNER).exists() {
        let why = format!("the folder '{DATABASE}' is missing");
        return Err(OpenError::Corrupted { dir: dir.to_owned(), why });
    }
    let created = Database::open(&unfinished, config, [0; COUNTED_KEYSPACES.len()]).and_then(|created| {
        created.sync_all()?;
        drop(created);
        fs::rename(&unfinished, &database)?;
        // Makes the rename durable.
        File::open(dir)?.sync_all()?;
        Ok(())
    });
    created.map_err(|error| refusal(dir, error))
}

/// Returns whether an earlier version of Assay was interrupted while it created the database. fjall writes its version
/// last, and such a folder has no ledger. A database that was used has entries in its journals.
fn was_never_used(dir: &Path, database: &Path) -> io::Result<bool> {
    if [database.join("version"), dir.join(LEDGER), dir.join(LEGACY_OWNER)].iter().any(|path| path.exists()) {
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
