//! The positions of sinks. A position is written in one batch with the data that it covers.

use assay_engine::ports::StoreError;

use super::commits::Batch;
use super::database::Database;
use super::error::broken;
use super::keys::{self, NumberedPartition, PositionOwner};

impl Database {
    /// A sink's position; 0 if there is none.
    pub(super) fn position(&self, owner: PositionOwner, partition: NumberedPartition) -> Result<u64, StoreError> {
        let doing = format_args!("reading the position of {owner:?} in partition {}", partition.partition);
        let Some(value) = self.get(&self.positions, &keys::position_key(owner, partition), doing)? else {
            return Ok(0);
        };
        match <[u8; 8]>::try_from(&*value) {
            Ok(value) => Ok(u64::from_be_bytes(value)),
            Err(_) => Err(broken(format!("{doing}: what is there is not a number"))),
        }
    }

    /// Adds a sink's new position to the batch with its data.
    pub(super) fn put_position(
        &self,
        batch: &mut Batch,
        owner: PositionOwner,
        partition: NumberedPartition,
        next: u64,
    ) {
        batch.insert(&self.positions, keys::position_key(owner, partition), next.to_be_bytes());
    }
}
