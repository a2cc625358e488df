//! The embedded store: opens the database, and makes the adapters of the ports on it.

use std::path::Path;
use std::sync::Arc;

use assay_engine::ports::membership::SingleProcess;
use assay_engine::ports::{Ports, StoreError};

use super::archive::EmbeddedArchive;
use super::catalog::EmbeddedCatalog;
use super::config::Config;
use super::database::{Database, Durability};
use super::dead_letters::EmbeddedDeadLetters;
use super::erasure::EmbeddedErasure;
use super::graph::EmbeddedGraph;
use super::inspect::Findings;
use super::ledger::{LEDGER, LedgerPart};
use super::log::EmbeddedLog;
use super::open;
use super::open_error::{Losses, OpenError};
use super::profiles::EmbeddedProfiles;
use super::state::EmbeddedState;

/// The embedded store: an open database, and the adapter of each port.
pub struct Embedded {
    pub(super) database: Arc<Database>,
    pub(super) log: Arc<EmbeddedLog>,
    pub(super) catalog: Arc<EmbeddedCatalog>,
    pub(super) state: Arc<EmbeddedState>,
    pub(super) archive: Arc<EmbeddedArchive>,
    pub(super) profiles: Arc<EmbeddedProfiles>,
    pub(super) graph: Arc<EmbeddedGraph>,
    pub(super) dead_letters: Arc<EmbeddedDeadLetters>,
    pub(super) erasure: Arc<EmbeddedErasure>,
}

impl Embedded {
    /// Opens the store in a folder, or creates one if the folder is empty or does not exist.
    ///
    /// # Errors
    /// See [`OpenError`]. Stored data is not changed then.
    pub fn open(dir: &Path, config: &Config) -> Result<Self, OpenError> {
        let opened = open::open(dir, config)?;
        let database = Arc::new(opened.database);
        let unreadable = |error: StoreError| open::unreadable(dir, error);
        let log = Arc::new(EmbeddedLog::open(database.clone(), config).map_err(unreadable)?);
        reconcile(dir, &log, &database, &opened.findings, config)?;
        let archive = Arc::new(EmbeddedArchive::new(database.clone(), log.reader()));
        let profiles = Arc::new(EmbeddedProfiles::new(database.clone()));
        let graph = Arc::new(EmbeddedGraph::new(database.clone()));
        let parts = (archive.clone(), profiles.clone(), graph.clone());
        let erasure = EmbeddedErasure::new(database.clone(), log.reader(), parts.0, parts.1, parts.2);
        Ok(Self {
            catalog: Arc::new(EmbeddedCatalog::open(database.clone()).map_err(unreadable)?),
            state: Arc::new(EmbeddedState::new(database.clone())),
            erasure: Arc::new(erasure),
            archive,
            profiles,
            graph,
            dead_letters: Arc::new(EmbeddedDeadLetters::new(database.clone())),
            log,
            database,
        })
    }

    /// The adapters as ports for the engine.
    pub fn ports(&self) -> Ports {
        Ports {
            log: self.log.clone(),
            membership: Arc::new(SingleProcess::default()),
            catalog: self.catalog.clone(),
            state: self.state.clone(),
            buckets: None,
            archive: self.archive.clone(),
            profiles: self.profiles.clone(),
            graph: self.graph.clone(),
            dead_letters: self.dead_letters.clone(),
            series: None,
            outbox: None,
            erasure: Some(self.erasure.clone()),
        }
    }

    /// Commits the queued appends, syncs all writes, and refuses further appends. Repeated calls do no harm. Dropping the
    /// last adapter also commits the queued appends, but cannot report a failure.
    ///
    /// # Errors
    /// The sync failed.
    pub fn shutdown(&self) -> Result<(), StoreError> {
        self.log.close();
        self.database.sync("shutting down")?;
        self.database.sync_ledger();
        Ok(())
    }

    /// The failure after which nothing is written any more; none: writes work. To recover, drop the store, and open it again
    /// once [`disk_takes_writes`](crate::disk_takes_writes).
    pub fn failure(&self) -> Option<String> {
        self.database.find_failure().map(str::to_owned)
    }
}

/// Compares the log with the ledger, the checkpoints and the positions. Refuses a loss unless it is accepted, and fills its
/// gaps then. Creates the ledger last, when it can hold the true ends.
fn reconcile(
    dir: &Path,
    log: &EmbeddedLog,
    database: &Database,
    findings: &Findings,
    config: &Config,
) -> Result<(), OpenError> {
    let unreadable = |error: StoreError| open::unreadable(dir, error);
    let truncated = log.find_truncated_partitions(&findings.ledger).map_err(unreadable)?;
    if !truncated.is_empty() && !config.accept_loss {
        return Err(OpenError::Lost { dir: dir.to_owned(), losses: Losses(truncated) });
    }
    if !truncated.is_empty() || !findings.losses.is_empty() {
        log.fill_gaps(&findings.ledger).map_err(unreadable)?;
        let accepted = database.commit(database.anchor_batch(), Durability::Power, "noting that a loss is accepted");
        accepted.map_err(unreadable)?;
    }
    let ends = log.ends();
    let known = ends.iter().map(|(place, stream, end)| (LedgerPart::from(*place), *end, &**stream));
    let kept = database.start_ledger(&dir.join(LEDGER), known);
    kept.map_err(|source| OpenError::Unusable { dir: dir.to_owned(), source })
}
