//! The collection `definitions`: what is defined now, one document each, for people and other programs. It is made from
//! the commits and never read here.

use std::sync::Arc;

use ::mongodb::bson::{Bson, DateTime, doc};
use assay_engine::ports::StoreError;
use assay_engine::ports::catalog::Revision;

use super::super::body::to_bson;
use super::super::database::Database;
use super::super::fields::int;
use super::super::statements::Upsert;
use super::now::Now;

const DEFINITIONS: &str = "definitions";

/// The readable definitions.
pub(super) struct Definitions {
    database: Arc<Database>,
}

impl Definitions {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// Brings the documents up to what holds now, also those whose commit was made by a process that died right after.
    /// A document of a later version stays as it is.
    pub(super) fn project(&self, now: &Now) -> Result<(), StoreError> {
        let projected = self.database.progress(DEFINITIONS)?;
        if projected >= now.version {
            return Ok(());
        }
        let newer = now.last.values().filter(|revision| revision.version > projected);
        let statements: Vec<Upsert> = newer.map(statement).collect::<Result<_, StoreError>>()?;
        // Duplicates are those that are of a later version already.
        self.database.upsert("writing the readable definitions", DEFINITIONS, &statements)?;
        self.database.save_progress(DEFINITIONS, now.version)
    }
}

fn statement(revision: &Revision) -> Result<Upsert, StoreError> {
    let version = int("the version", revision.version)?;
    let older = doc! {
        "_id": format!("{}/{}", revision.kind, revision.name),
        "version": { "$lt": version },
    };
    let fields = doc! {
        "kind": revision.kind.to_string(),
        "name": &revision.name,
        "status": if revision.body.is_some() { "current" } else { "deleted" },
        "revision": int("the revision", u64::from(revision.revision))?,
        "version": version,
        "author": &revision.author,
        "at": DateTime::from_millis(revision.at),
        "body": revision.body.as_ref().map_or(Bson::Null, to_bson),
    };
    Upsert::new(older, doc! { "$set": fields })
}
