//! The state port: what each entity's views and plugins remember, saved with the offset up to which they have read.

use assay_core::names::Offset;

use super::{PartitionId, StoreError};

/// The position up to which a partition's state goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// All events before this offset are folded into the saved state.
    pub events: Offset,
    /// Their verdicts are before this offset of the verdicts log.
    pub verdicts: Offset,
    /// The version of the catalog that is in effect for the events from here on.
    pub catalog: u64,
    /// In a derived stream, by partition of its source: the next of its events that is not folded in yet.
    pub origins: Vec<Offset>,
}

/// One entity's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRow {
    /// The entity.
    pub key: String,
    /// Its views' values and plugins' states, in the engine's format, which holds the high-water mark too.
    pub state: Vec<u8>,
}

/// The saved state of entities: their views and their plugins' states.
pub trait StateStore: Send + Sync {
    /// The position up to which a partition's state goes; none: nothing was saved yet.
    ///
    /// # Errors
    /// The store fails.
    fn checkpoint(&self, partition: &PartitionId) -> Result<Option<Checkpoint>, StoreError>;

    /// The states of some entities, in their order; none for an entity without one.
    ///
    /// # Errors
    /// The store fails.
    fn load(&self, partition: &PartitionId, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>, StoreError>;

    /// Saves entities' states and how far they go. Durable on return. An older checkpoint (by its events, then by its
    /// catalog's version) than the one that is there changes nothing: its owner was replaced. A store that cannot save
    /// everything in one piece saves the checkpoint last.
    ///
    /// # Errors
    /// The store fails; the checkpoint is not saved then.
    fn save(&self, partition: &PartitionId, checkpoint: &Checkpoint, rows: &[StateRow]) -> Result<(), StoreError>;
}
