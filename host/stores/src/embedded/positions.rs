//! How far each follower has written, beside what it wrote: both change in one batch.

use assay_engine::ports::StoreError;

use super::commits::Batch;
use super::database::Database;
use super::error::broken;
use super::keys::{self, PartitionId, Whose};

impl Database {
    /// A follower's position; 0 if it never wrote.
    pub(super) fn position(&self, whose: Whose, of: PartitionId) -> Result<u64, StoreError> {
        let doing = format_args!("reading the position of {whose:?} in partition {}", of.partition);
        let Some(value) = self.get(&self.positions, &keys::position(whose, of), doing)? else {
            return Ok(0);
        };
        match <[u8; 8]>::try_from(&*value) {
            Ok(value) => Ok(u64::from_be_bytes(value)),
            Err(_) => Err(broken(format!("{doing}: what is there is not a number"))),
        }
    }

    /// Adds a follower's new position to the batch with what it wrote.
    pub(super) fn put_position(&self, batch: &mut Batch, whose: Whose, of: PartitionId, next: u64) {
        batch.insert(&self.positions, keys::position(whose, of), next.to_be_bytes());
    }
}
