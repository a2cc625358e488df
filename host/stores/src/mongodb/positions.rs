//! How far each follower has written. A position is saved after what it stands for, and only grows.

use ::mongodb::bson::{DateTime, doc};
use assay_core::names::Offset;
use assay_engine::ports::{StoreError, StreamPartition};

use super::database::Database;
use super::error::unavailable;
use super::fields::{Fields, int};
use super::statements::Upsert;

const POSITIONS: &str = "positions";

impl Database {
    /// A follower's position in a partition; 0 if it never wrote.
    pub(super) fn position(&self, follower: &str, of: &StreamPartition) -> Result<Offset, StoreError> {
        self.progress(&id(follower, of)).map(Offset)
    }

    /// Saves a follower's position.
    pub(super) fn save_position(&self, follower: &str, of: &StreamPartition, next: Offset) -> Result<(), StoreError> {
        self.save_progress(&id(follower, of), next.0)
    }

    /// How far something has come; 0 if it never began.
    pub(super) fn progress(&self, id: &str) -> Result<u64, StoreError> {
        let doing = format_args!("reading the position '{id}'");
        let found = self.call(doing, self.collection(POSITIONS).find_one(doc! { "_id": id }))?;
        found.map_or(Ok(0), |position| Fields::new(&doing, &position).number("next"))
    }

    /// Saves how far something has come.
    pub(super) fn save_progress(&self, id: &str, next: u64) -> Result<(), StoreError> {
        let update = doc! { "$max": { "next": int("the position", next)? }, "$set": { "at": DateTime::now() } };
        let statement = Upsert::new(doc! { "_id": id }, update)?;
        let doing = format_args!("saving the position '{id}'");
        // Of two processes that make it at once one may be told that it is a duplicate; it is there the next time.
        for _ in 0..3 {
            if self.upsert(doing, POSITIONS, std::slice::from_ref(&statement))?.is_empty() {
                return Ok(());
            }
        }
        Err(unavailable(format!("{doing}: others keep writing it")))
    }
}

fn id(follower: &str, of: &StreamPartition) -> String {
    format!("{follower}/{of}")
}
