//! What all stores hold.

use std::collections::BTreeMap;

use assay_core::names::Offset;

use super::archive::ArchiveTable;
use super::buckets::BucketTable;
use super::catalog::CatalogTable;
use super::dead_letters::DeadLetterTable;
use super::erasure::ErasureTable;
use super::graph::GraphTable;
use super::log::LogTable;
use super::outbox::OutboxTable;
use super::profiles::ProfileTable;
use super::series::SeriesTable;
use super::state::StateTable;
use crate::ports::PartitionId;

/// What all stores hold. Ordered maps only, so that no answer depends on an order that is drawn by the standard library.
#[derive(Clone, Default)]
pub(super) struct Tables {
    pub(super) log: LogTable,
    pub(super) state: StateTable,
    pub(super) catalog: CatalogTable,
    pub(super) archive: ArchiveTable,
    pub(super) profiles: ProfileTable,
    pub(super) graph: GraphTable,
    pub(super) dead_letters: DeadLetterTable,
    pub(super) series: SeriesTable,
    pub(super) outbox: OutboxTable,
    pub(super) buckets: BucketTable,
    pub(super) erasure: ErasureTable,
}

/// How much of a write takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// All items, and the position that goes with them.
    Whole,
    /// So many items and no position: the store failed on the way.
    First(usize),
}

impl Extent {
    /// The items that are stored.
    pub(super) fn stored_items<T>(self, items: &[T]) -> &[T] {
        match self {
            Self::Whole => items,
            Self::First(count) => &items[..count.min(items.len())],
        }
    }

    pub(super) fn is_whole(self) -> bool {
        self == Self::Whole
    }
}

/// How far one sink has come in each partition.
#[derive(Clone, Debug, Default)]
pub(super) struct Positions(BTreeMap<PartitionId, Offset>);

impl Positions {
    /// 0 for a partition of which nothing was written.
    pub(super) fn get(&self, partition: &PartitionId) -> Offset {
        self.0.get(partition).copied().unwrap_or_default()
    }

    /// Moves on after a whole write. It never moves back.
    pub(super) fn advance(&mut self, partition: &PartitionId, next: Offset, extent: Extent) {
        if extent.is_whole() && next > self.get(partition) {
            self.0.insert(partition.clone(), next);
        }
    }
}
