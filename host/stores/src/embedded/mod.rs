//! All ports on one fjall database in one folder: no other service is needed.
//!
//! One journal orders every write of every adapter, and fjall syncs it before it writes a table. A power failure
//! therefore takes away a suffix of the writes and nothing in between: verdicts never outlive their events, nor
//! profiles their verdicts.

mod archive;
mod catalog;
mod check;
mod commits;
mod create;
mod cursor;
mod database;
mod dead_letters;
mod erasure;
mod error;
mod graph;
mod inspect;
mod keys;
mod ledger;
mod log;
mod open;
mod positions;
mod profiles;
mod reclaim;
mod state;
mod streams;

use std::path::Path;
use std::sync::Arc;

use assay_engine::ports::membership::Alone;
use assay_engine::ports::{Ports, StoreError};

pub use archive::EmbeddedArchive;
pub use catalog::EmbeddedCatalog;
pub use check::{Report, check};
pub use dead_letters::EmbeddedDeadLetters;
pub use erasure::EmbeddedErasure;
pub use graph::EmbeddedGraph;
pub use inspect::Loss;
pub use log::EmbeddedLog;
pub use open::{Config, Losses, OpenError, disk_takes_writes};
pub use profiles::EmbeddedProfiles;
pub use state::EmbeddedState;

use database::{Database, Durability};
use inspect::Findings;
use ledger::{LEDGER, Part};

/// The embedded store: one database, and an adapter for each port.
pub struct Embedded {
    database: Arc<Database>,
    log: Arc<EmbeddedLog>,
    catalog: Arc<EmbeddedCatalog>,
    state: Arc<EmbeddedState>,
    archive: Arc<EmbeddedArchive>,
    profiles: Arc<EmbeddedProfiles>,
    graph: Arc<EmbeddedGraph>,
    dead_letters: Arc<EmbeddedDeadLetters>,
    erasure: Arc<EmbeddedErasure>,
}

impl Embedded {
    /// Opens the store in a folder of its own, or makes a new one if the folder is empty or not there.
    ///
    /// # Errors
    /// Says what stands in the way; nothing in the folder is changed then.
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

    /// The adapters, as the engine takes them.
    pub fn ports(&self) -> Ports {
        Ports {
            log: self.log.clone(),
            membership: Arc::new(Alone::default()),
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

    /// Writes what waits in the log's queue, syncs everything to disk, and refuses appends from here on. Calling it
    /// twice does no harm. Dropping the last adapter does the same, but cannot tell of a failure.
    ///
    /// # Errors
    /// The last sync failed.
    pub fn shutdown(&self) -> Result<(), StoreError> {
        self.log.close();
        self.database.sync("shutting down")?;
        self.database.sync_ledger();
        Ok(())
    }

    /// Why nothing is written any more; none: writes work. Drop the store and open it anew once [`disk_takes_writes`].
    pub fn failure(&self) -> Option<String> {
        self.database.find_failure().map(str::to_owned)
    }
}

/// Compares the log with what others know of it, deals with what is gone, and begins a ledger of what is there.
fn reconcile(
    dir: &Path,
    log: &EmbeddedLog,
    database: &Database,
    findings: &Findings,
    config: &Config,
) -> Result<(), OpenError> {
    let unreadable = |error: StoreError| open::unreadable(dir, error);
    let cut_off = log.cut_off(&findings.ledger).map_err(unreadable)?;
    if !cut_off.is_empty() && !config.accept_loss {
        return Err(OpenError::Lost { dir: dir.to_owned(), losses: Losses(cut_off) });
    }
    if !cut_off.is_empty() || !findings.losses.is_empty() {
        log.fill_holes(&findings.ledger).map_err(unreadable)?;
        let accepted = database.commit(database.anchor(), Durability::Power, "noting that a loss is accepted");
        accepted.map_err(unreadable)?;
    }
    let ends = log.ends();
    let known = ends.iter().map(|(place, stream, end)| (Part::from(*place), *end, &**stream));
    let kept = database.keep_ledger(&dir.join(LEDGER), known);
    kept.map_err(|source| OpenError::Unusable { dir: dir.to_owned(), source })
}
