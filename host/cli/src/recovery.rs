//! What becomes of a server whose data folder cannot be written: reads go on, and when the disk takes writes again, the
//! folder is opened anew in this process, as a start does it. fjall writes nothing after a failed write until then.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use assay_stores::embedded::disk_takes_writes;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::stores::Stores;

/// How often to look whether a write has failed.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// How often to look whether the disk takes writes again.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// How long everything that used the failed stores may take to end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long opening the folder anew is tried.
const REOPEN_TIMEOUT: Duration = Duration::from_secs(60);
/// The exit code of a process that a supervisor is to start again (EX_TEMPFAIL of sysexits.h).
const EXIT_START_AGAIN: i32 = 75;

/// Done when the stores have failed and would work if they were opened anew; else never.
pub(crate) async fn until_recoverable(stores: Arc<Stores>, dir: PathBuf) {
    loop {
        tokio::time::sleep(WATCH_INTERVAL).await;
        let stores = stores.clone();
        // It may wait for a write that is under way.
        let failure = tokio::task::spawn_blocking(move || stores.failure()).await;
        if matches!(failure, Ok(Some(_))) {
            break;
        }
    }
    until_writable(&dir).await;
    tracing::info!(folder = %dir.display(), "the disk takes writes again: the data folder is opened anew");
}

/// Done when the disk of a folder takes writes.
async fn until_writable(dir: &Path) {
    loop {
        let dir = dir.to_owned();
        let probed = tokio::task::spawn_blocking(move || disk_takes_writes(&dir)).await;
        if probed.unwrap_or(false) {
            return;
        }
        tokio::time::sleep(PROBE_INTERVAL).await;
    }
}

/// Waits until everything that used the failed stores has ended. A thread may hang in a write that will never be done:
/// then the process ends, for a supervisor to start it again.
pub(crate) async fn within_patience(closed: JoinHandle<Result<()>>) {
    match tokio::time::timeout(CLOSE_TIMEOUT, closed).await {
        // That the last sync fails was to be expected.
        Ok(Ok(_)) => {}
        Ok(Err(panicked)) => tracing::error!(%panicked, "closing the failed data folder"),
        Err(_) => {
            tracing::error!(
                "a thread hangs in a failed write: this process ends with code {EXIT_START_AGAIN}; start it again"
            );
            std::process::exit(EXIT_START_AGAIN);
        }
    }
}

/// Opens the stores anew, several times if need be: the disk may be full again.
pub(crate) async fn reopen(config: &Config) -> Result<Stores> {
    // The disk may be full again already.
    until_writable(&config.data.dir).await;
    let deadline = Instant::now() + REOPEN_TIMEOUT;
    loop {
        let opened = config.clone();
        match tokio::task::spawn_blocking(move || Stores::open(&opened)).await? {
            Ok(stores) => {
                tracing::info!("the data folder is open again");
                return Ok(stores);
            }
            Err(error) if Instant::now() < deadline => {
                tracing::warn!(error = format!("{error:#}"), "the data folder cannot be opened yet; trying again");
                tokio::time::sleep(PROBE_INTERVAL).await;
            }
            Err(error) => return Err(error),
        }
    }
}
