//! The catalog, the profiles and the dead letters on MongoDB, as documents that people and other programs can read.
//!
//! `docs/mongodb.md` describes the collections. The adapters need neither transactions nor a replica set: each fact is one
//! document, and a conditional write names the state that it expects.

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
mod store;

pub use catalog::MongoCatalog;
pub use database::Config;
pub use dead_letters::MongoDeadLetters;
pub use profiles::MongoProfiles;
pub use store::MongoDb;
