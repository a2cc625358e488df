//! The positions of sinks. A position is saved after the data that it covers, so a crash between the two repeats the
//! write. It never decreases.

use ::mongodb::bson::{DateTime, doc};
use assay_core::names::Offset;
use assay_engine::ports::{PartitionId, StoreError};

use super::database::Database;
use super::error::unavailable;
use super::fields::{Fields, int};
use super::statements::Upsert;

const POSITIONS: &str = "positions";
/// The number of attempts to save a position.
const MAX_ATTEMPTS: usize = 3;

impl Database {
    /// A sink's position in a partition; 0 if there is none.
    pub(super) fn position(&self, sink: &str, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.progress(&id(sink, partition)).map(Offset)
    }

    /// Raises a sink's position.
    pub(super) fn save_position(&self, sink: &str, partition: &PartitionId, next: Offset) -> Result<(), StoreError> {
        self.save_progress(&id(sink, partition), next.0)
    }

    /// The position with an id; 0 if there is none.
    pub(super) fn progress(&self, id: &str) -> Result<u64, StoreError> {
        let doing = format_args!("reading the position '{id}'");
        let found = self.call(doing, self.collection(POSITIONS).find_one(doc! { "_id": id }))?;
        found.map_or(Ok(0), |position| Fields::new(&doing, &position).number("next"))
    }

    /// Raises the position with an id.
    pub(super) fn save_progress(&self, id: &str, next: u64) -> Result<(), StoreError> {
        let update = doc! { "$max": { "next": int("the position", next)? }, "$set": { "at": DateTime::now() } };
        let statement = Upsert::new(doc! { "_id": id }, update)?;
        let doing = format_args!("saving the position '{id}'");
        // Of two processes that insert the position at once, one may fail as a duplicate. Its next attempt updates it.
        for _ in 0..MAX_ATTEMPTS {
            if self.upsert(doing, POSITIONS, std::slice::from_ref(&statement))?.is_empty() {
                return Ok(());
            }
        }
        Err(unavailable(format!("{doing}: others keep writing it")))
    }
}

fn id(sink: &str, partition: &PartitionId) -> String {
    format!("{sink}/{partition}")
}
