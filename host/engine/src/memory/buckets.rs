//! The buckets port: rows of tumbling views.

use std::collections::BTreeMap;

use assay_core::names::Offset;
use assay_core::value::Value;

use super::client::{Client, Port};
use super::tables::Extent;
use super::world::{World, Write};
use crate::ports::buckets::{BucketRow, Buckets, ChangedBuckets};
use crate::ports::{PartitionId, StoreError};

/// The rows of all views.
#[derive(Clone, Default)]
pub(super) struct BucketTable {
    rows: BTreeMap<Identity, Row>,
}

/// View, revision, entity, and when the bucket begins.
type Identity = (String, u32, String, i64);

#[derive(Clone)]
struct Row {
    /// All events before this offset are counted.
    events: Offset,
    stored: StoredBucket,
}

/// A row as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredBucket {
    /// The view.
    pub view: String,
    /// Its revision.
    pub revision: u32,
    /// The entity.
    pub key: String,
    /// When the bucket begins, ms since 1970.
    pub from: i64,
    /// When it ends: the first time that is not in it.
    pub to: i64,
    /// Values by measure.
    pub values: Vec<(String, Value)>,
}

impl BucketTable {
    fn write(&mut self, events: Offset, changed: &[ChangedBuckets], extent: Extent) {
        let rows: Vec<(&ChangedBuckets, &BucketRow)> =
            changed.iter().flat_map(|view| view.rows.iter().map(move |row| (view, row))).collect();
        for (view, row) in extent.stored_items(&rows) {
            let identity = (view.view.clone(), view.revision, row.key.clone(), row.from);
            if self.rows.get(&identity).is_some_and(|have| have.events > events) {
                continue;
            }
            let stored = StoredBucket {
                view: view.view.clone(),
                revision: view.revision,
                key: row.key.clone(),
                from: row.from,
                to: row.to,
                values: view.measures.iter().cloned().zip(row.values.iter().cloned()).collect(),
            };
            self.rows.insert(identity, Row { events, stored });
        }
    }
}

impl World {
    /// All rows of buckets, by view, revision, entity and time.
    pub fn buckets(&self) -> Vec<StoredBucket> {
        self.lock().tables.buckets.rows.values().map(|row| row.stored.clone()).collect()
    }
}

impl Buckets for Client {
    fn write(&self, _: &PartitionId, events: Offset, changed: &[ChangedBuckets]) -> Result<(), StoreError> {
        let changed = changed.to_vec();
        let count = changed.iter().map(|view| view.rows.len()).sum();
        let write = Write::new(Port::Buckets, move |tables, extent| {
            tables.buckets.write(events, &changed, extent);
            Ok(())
        });
        self.execute(write.synced().divisible(count))
    }
}
