//! The journal: writes that took effect and that a power failure may still take back, in the order of all stores.
//!
//! One order for all of them is the contract of [`Durability::Ordered`]: an append is never lost while something that was
//! written as durable after it is kept.
//!
//! [`Durability::Ordered`]: crate::ports::log::Durability::Ordered

use super::tables::Tables;

/// A write that can be repeated on another copy of the tables, where it does the same.
type Redo = Box<dyn Fn(&mut Tables) + Send>;

/// The tables as they are on disk, and the writes since.
#[derive(Default)]
pub(super) struct Journal {
    synced: Tables,
    unsynced: Vec<Redo>,
}

impl Journal {
    /// Notes a write that took effect.
    pub(super) fn note(&mut self, redo: impl Fn(&mut Tables) + Send + 'static) {
        self.unsynced.push(Box::new(redo));
    }

    /// How many writes a power failure may take back.
    pub(super) fn len(&self) -> usize {
        self.unsynced.len()
    }

    /// Everything that was written is durable from now on.
    pub(super) fn sync(&mut self) {
        let all = self.unsynced.len();
        self.redo(all);
    }

    /// The tables as a power failure leaves them: with the first of the writes that were not synced.
    pub(super) fn recover(&mut self, kept: usize) -> Tables {
        self.redo(kept);
        self.unsynced.clear();
        self.synced.clone()
    }

    fn redo(&mut self, count: usize) {
        for redo in self.unsynced.drain(..count) {
            redo(&mut self.synced);
        }
    }
}
