//! The collection `definitions`: the present definitions, one document each, for people and other programs. It is a
//! projection of the commits; Assay never reads it.

use std::sync::Arc;

use ::mongodb::bson::{Bson, DateTime, doc};
use assay_engine::ports::StoreError;
use assay_engine::ports::catalog::{CatalogState, Revision};

use super::super::body::to_bson;
use super::super::database::Database;
use super::super::fields::int;
use super::super::statements::Upsert;

const DEFINITIONS: &str = "definitions";

/// Writes the collection `definitions`.
pub(super) struct Definitions {
    database: Arc<Database>,
}

impl Definitions {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// Updates the documents of all definitions that changed since the last projection, also of commits whose process
    /// died before it projected them. A document of a later version is not changed.
    pub(super) fn project(&self, state: &CatalogState) -> Result<(), StoreError> {
        let projected = self.database.progress(DEFINITIONS)?;
        if projected >= state.version() {
            return Ok(());
        }
        let newer = state.revisions().filter(|revision| revision.version > projected);
        let statements: Vec<Upsert> = newer.map(statement).collect::<Result<_, StoreError>>()?;
        // The filter does not match a document of a later version, so its upsert fails as a duplicate.
        self.database.upsert("writing the readable definitions", DEFINITIONS, &statements)?;
        self.database.save_progress(DEFINITIONS, state.version())
    }
}

fn statement(revision: &Revision) -> Result<Upsert, StoreError> {
    let version = int("the version", revision.version)?;
    let older_document = doc! {
        "_id": format!("{}/{}", revision.kind, revision.name),
        "version": { "$lt": version },
    };
    let fields = doc! {
        "kind": revision.kind.to_string(),
        "name": &revision.name,
        "status": if revision.definition.is_some() { "current" } else { "deleted" },
        "revision": int("the revision", u64::from(revision.revision))?,
        "version": version,
        "author": &revision.author,
        "at": DateTime::from_millis(revision.at),
        "body": revision.definition.as_ref().map_or(Bson::Null, |definition| to_bson(&definition.to_json())),
    };
    Upsert::new(older_document, doc! { "$set": fields })
}
