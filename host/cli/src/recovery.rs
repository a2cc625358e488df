//! Recovery from failed writes to the data folder: reads continue, and when the disk accepts writes again, the folder
//! is reopened in the same process, as at a start. fjall writes nothing after a failed write until it is reopened.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use assay_embedded::disk_takes_writes;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::stores::Stores;

/// The interval of the check for failed writes.
const FAILURE_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The interval of the test whether the disk accepts writes again.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// The time the users of the failed stores may take to end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(60);
/// The time for which reopening the folder is tried.
const REOPEN_TIMEOUT: Duration = Duration::from_secs(60);
/// The exit code that asks a supervisor for a restart (EX_TEMPFAIL of sysexits.h).
const EXIT_CODE_RESTART: i32 = 75;

/// Completes when the stores have failed and can be reopened.
pub(crate) async fn wait_until_recoverable(stores: Arc<Stores>, dir: PathBuf) {
    loop {
        tokio::time::sleep(FAILURE_CHECK_INTERVAL).await;
        let stores = stores.clone();
        // The check may wait for a write in progress.
        let failure = tokio::task::spawn_blocking(move || stores.failure()).await;
        if matches!(failure, Ok(Some(_))) {
            break;
        }
    }
    wait_until_writable(&dir).await;
    tracing::info!(folder = %dir.display(), "the disk accepts writes again: the data folder is reopened");
}

/// Completes when the disk of a folder accepts writes.
async fn wait_until_writable(dir: &Path) {
    loop {
        let dir = dir.to_owned();
        let probed = tokio::task::spawn_blocking(move || disk_takes_writes(&dir)).await;
        if probed.unwrap_or(false) {
            return;
        }
        tokio::time::sleep(PROBE_INTERVAL).await;
    }
}

/// Waits until all users of the failed stores have ended. If a thread hangs in a write that never completes, the
/// process exits, and a supervisor has to restart it.
pub(crate) async fn wait_until_closed(closed: JoinHandle<Result<()>>) {
    match tokio::time::timeout(CLOSE_TIMEOUT, closed).await {
        // The last sync is expected to fail.
        Ok(Ok(_)) => {}
        Ok(Err(panicked)) => tracing::error!(%panicked, "closing the failed data folder"),
        Err(_) => {
            tracing::error!(
                "a thread hangs in a failed write: this process ends with code {EXIT_CODE_RESTART}; start it again"
            );
            std::process::exit(EXIT_CODE_RESTART);
        }
    }
}

/// Reopens the stores. Tries several times, because the disk may be full again.
pub(crate) async fn reopen(config: &Config) -> Result<Stores> {
    // The disk may be full again already.
    wait_until_writable(&config.data.dir).await;
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
