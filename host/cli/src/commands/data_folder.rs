//! Finds the store in a data folder, for commands that read one.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// Which folder to give instead.
const ADVICE: &str = "give the data folder of a server: data.dir of its config, by default assay-data";

/// The store's folder in a data folder.
///
/// # Errors
/// There is no such folder, or it is no data folder.
pub(super) fn find_store(dir: &Path) -> Result<PathBuf> {
    ensure!(dir.is_dir(), "there is no folder {}: {ADVICE}", dir.display());
    let store = dir.join("store");
    ensure!(store.is_dir(), "{} is not a data folder, because it has no folder 'store': {ADVICE}", dir.display());
    Ok(store)
}
