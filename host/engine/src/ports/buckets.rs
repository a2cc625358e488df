//! The buckets port: what tumbling views have counted, as rows that other programs read. Optional.

use assay_core::names::Offset;
use assay_core::span::Span;
use assay_core::value::Value;

use super::{PartitionId, StoreError};

/// Buckets of one tumbling view that changed.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangedBuckets {
    /// The view.
    pub view: String,
    /// The first revision since which it has not begun empty. Buckets of earlier ones are others.
    pub revision: u32,
    /// The time for which a row is of use after it was written: as long as buckets are kept, and a bucket more.
    pub lifetime: Span,
    /// The names of the measures, in the order of the rows' values.
    pub measures: Vec<String>,
    /// The buckets, in no order that matters.
    pub rows: Vec<BucketRow>,
}

/// The values of a view for one entity and one span of time.
#[derive(Clone, Debug, PartialEq)]
pub struct BucketRow {
    /// The entity.
    pub key: String,
    /// When the bucket begins, ms since 1970.
    pub from: i64,
    /// When it ends: the first time that is not in it.
    pub to: i64,
    /// Values by measure.
    pub values: Vec<Value>,
}

/// The buckets of tumbling views, for others to read.
pub trait Buckets: Send + Sync {
    /// Writes buckets as they are when all events before `events` are counted. Durable on return. A row that is there
    /// and holds more events stays as it is: its writer was replaced. Repeating a write changes nothing.
    ///
    /// # Errors
    /// The store fails; some of the rows may be written then.
    fn write(&self, partition: &PartitionId, events: Offset, changed: &[ChangedBuckets]) -> Result<(), StoreError>;
}
