//! MongoDB: the catalog, the profiles and the dead letters, as documents that people and other programs read too.
//!
//! `docs/mongodb.md` says what is in which collection. Nothing here needs transactions or a replica set: each fact is
//! one document, and a write names what it expects to find.

mod body;
mod catalog;
mod cursor;
mod database;
mod dead_letters;
mod error;
mod fields;
mod positions;
mod profiles;
mod statements;

use std::sync::Arc;

use assay_engine::ports::StoreError;

pub use catalog::MongoCatalog;
pub use database::Config;
pub use dead_letters::MongoDeadLetters;
pub use profiles::MongoProfiles;

/// A MongoDB database, opened, and its adapters.
pub struct MongoDb {
    catalog: Arc<MongoCatalog>,
    profiles: Arc<MongoProfiles>,
    dead_letters: Arc<MongoDeadLetters>,
}

impl MongoDb {
    /// Connects, makes the collections and indexes that are not there yet, and reads the catalog.
    ///
    /// # Errors
    /// The server does not answer within its time, refuses, or holds something else.
    pub fn open(config: &Config) -> Result<Self, StoreError> {
        let database = Arc::new(database::Database::open(config)?);
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
