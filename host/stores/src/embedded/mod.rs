//! All ports on one fjall database in one folder: no other service is needed.
//!
//! One journal orders every write of every adapter, and fjall syncs it before it writes a table. A power failure
//! therefore takes away a suffix of the writes and nothing in between: verdicts never outlive their events, nor
//! profiles their verdicts.

mod archive;
mod catalog;
mod cursor;
mod database;
mod dead_letters;
mod erasure;
mod error;
mod graph;
mod keys;
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
pub use dead_letters::EmbeddedDeadLetters;
pub use erasure::EmbeddedErasure;
pub use graph::EmbeddedGraph;
pub use log::EmbeddedLog;
pub use open::{Config, OpenError};
pub use profiles::EmbeddedProfiles;
pub use state::EmbeddedState;

use database::Database;

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
        let database = Arc::new(open::open(dir, config)?);
        let unreadable = |error: StoreError| open::unreadable(dir, error);
        let log = Arc::new(EmbeddedLog::open(database.clone(), config).map_err(unreadable)?);
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
        self.database.sync("shutting down")
    }
}
