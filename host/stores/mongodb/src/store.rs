//! An open database with its adapters.

use std::sync::Arc;

use assay_engine::ports::StoreError;

use super::catalog::MongoCatalog;
use super::database::{Config, Database};
use super::dead_letters::MongoDeadLetters;
use super::profiles::MongoProfiles;

/// An open MongoDB database and its adapters.
pub struct MongoDb {
    catalog: Arc<MongoCatalog>,
    profiles: Arc<MongoProfiles>,
    dead_letters: Arc<MongoDeadLetters>,
}

impl MongoDb {
    /// Connects, creates missing collections and indexes, and reads the catalog. It blocks up to the timeouts.
    ///
    /// # Errors
    /// The server does not answer in time or refuses access, or the data has another format.
    pub fn open(config: &Config) -> Result<Self, StoreError> {
        let database = Arc::new(Database::open(config)?);
        Ok(Self {
            catalog: Arc::new(MongoCatalog::open(database.clone())?),
            profiles: Arc::new(MongoProfiles::open(database.clone())?),
            dead_letters: Arc::new(MongoDeadLetters::open(database)?),
        })
    }

    /// The catalog.
    pub fn catalog(&self) -> Arc<MongoCatalog> {
        self.catalog.clone()
    }

    /// The profiles.
    pub fn profiles(&self) -> Arc<MongoProfiles> {
        self.profiles.clone()
    }

    /// The dead letters.
    pub fn dead_letters(&self) -> Arc<MongoDeadLetters> {
        self.dead_letters.clone()
    }
}
