//! The log port: partitioned, ordered, durable records. Two topics per stream: its events and its verdicts.

mod displaced;
mod receipt;
mod records;

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use assay_core::names::{Offset, PartitionIndex, partition_of};
use assay_core::stream::StreamDef;
use tokio::sync::watch;

use super::{Place, StoreError};

pub(crate) use displaced::empty_displaced_blocks;
pub(crate) use receipt::{poll_receipt, wait_for_receipt};
pub use records::{Records, Refused};

/// A topic of a stream, by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// Events, as Avro.
    Events,
    /// Verdict blocks.
    Verdicts,
}

impl Topic {
    /// As metrics and messages name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Verdicts => "verdicts",
        }
    }
}

/// The records that the log still has of a partition of a topic, and the time for which it keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The first record that is still there; the partition's end if none is.
    pub first: Offset,
    /// Older records may be deleted; none: age deletes nothing.
    pub max_age: Option<Duration>,
    /// The oldest records may be deleted while the partition has more bytes; none: size deletes nothing.
    pub max_bytes: Option<u64>,
}

/// The records of a partition of a topic that may be deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trim {
    /// Records that were appended before this time, ms since 1970; none: age deletes nothing.
    pub older_than: Option<i64>,
    /// The oldest records while the partition has more bytes; none: size deletes nothing.
    pub max_bytes: Option<u64>,
    /// But nothing from this offset on: somebody needs it.
    pub below: Offset,
}

/// The records of a partition of a topic that were deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrimResult {
    /// So many records.
    pub records: u64,
    /// About so many bytes.
    pub bytes: u64,
    /// True if more would have been deleted if no reader needed it.
    pub is_held: bool,
    /// True if there is more that can be deleted: each call does a part.
    pub has_more: bool,
}

/// The records of a topic that retention deleted before they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The stream.
    pub stream: Arc<str>,
    /// The topic.
    pub topic: Topic,
    /// Their number since the process began, each counted once.
    pub records: u64,
}

/// The durability of an append when its receipt comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It survives a power failure.
    Synced,
    /// It survives the process, and is synced before anything that is appended or saved as synced after it.
    Ordered,
}

/// The places of the records of one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Their partition.
    pub partition: PartitionIndex,
    /// Their offsets.
    pub offsets: Offsets,
}

/// The offsets of records that were appended together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offsets {
    /// One behind the other, from this one on.
    From(Offset),
    /// Each by itself: others appended between them.
    Each(Vec<Offset>),
}

impl Appended {
    /// The place of the i-th record; none if there are not so many.
    pub fn place(&self, index: usize) -> Option<Place> {
        let offset = match &self.offsets {
            Offsets::From(first) => Offset(first.0 + index as u64),
            Offsets::Each(offsets) => *offsets.get(index)?,
        };
        Some(Place { partition: self.partition, offset })
    }
}

/// Comes when an append is done: where the records of each batch are, in the order of the append.
pub type Receipt = tokio::sync::oneshot::Receiver<Result<Vec<Appended>, StoreError>>;

/// Partitioned, ordered, durable records.
pub trait Log: Send + Sync {
    /// Makes the topics of a stream, or does nothing if they are there. Its number of partitions must be filled in.
    ///
    /// # Errors
    /// They are there with another number of partitions, or the store fails.
    fn create(&self, stream: &StreamDef) -> Result<(), StoreError>;

    /// Into how many partitions a stream's events are cut already, if they are there before the stream is made:
    /// somebody else made the topic.
    ///
    /// # Errors
    /// The store fails.
    fn partitions(&self, _stream: &StreamDef) -> Result<Option<u32>, StoreError> {
        Ok(None)
    }

    /// The partition of an entity's events. Whoever else writes to the log has to place events by the same function.
    fn partition_of(&self, key: &str, partitions: u32) -> PartitionIndex {
        partition_of(key, partitions)
    }

    /// Checks that a stream's schema may change: it may if the log knows the schema of each event.
    ///
    /// # Errors
    /// The reason why it may not, with advice.
    fn can_change_schema(&self, _stream: &StreamDef) -> Result<(), String> {
        Ok(())
    }

    /// Appends records to partitions of a topic. A batch keeps its order. Blocks while too much is under way.
    ///
    /// # Errors
    /// The stream is unknown or the store fails; later failures come with the receipt.
    fn append(
        &self,
        stream: &str,
        topic: Topic,
        batches: Vec<(PartitionIndex, Records)>,
        durability: Durability,
    ) -> Result<Receipt, StoreError>;

    /// Reads records from an offset on: not many more than `max_records` or `max_bytes`. The first block begins exactly
    /// at `from`, or later if the offsets between belong to no record. There may be none though the end is farther:
    /// they are on their way then, and a wake signal comes when they are there.
    ///
    /// # Errors
    /// The store fails.
    fn read(
        &self,
        stream: &str,
        topic: Topic,
        partition: PartitionIndex,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Records>, StoreError>;

    /// Reads events for somebody who knows a stream's schemas up to a number. They come in the schema that they were
    /// appended in, or, if the log turns events of any writer into events of the stream, in the one of that number.
    /// Before an event of a later schema the reading ends, or fails if that is the first.
    ///
    /// # Errors
    /// As [`Log::read`].
    fn read_events(
        &self,
        stream: &str,
        partition: PartitionIndex,
        from: Offset,
        _schema: u32,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Records>, StoreError> {
        self.read(stream, Topic::Events, partition, from, max_records, max_bytes)
    }

    /// Reads blocks of verdicts. In the place of a displaced block there is an empty one. A writer that appends a block
    /// says at which offset: elsewhere, others have appended before it, such as another owner of the partition, and it
    /// counts for nobody.
    ///
    /// # Errors
    /// As [`Log::read`].
    fn read_verdicts(
        &self,
        stream: &str,
        partition: PartitionIndex,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Records>, StoreError> {
        let mut blocks = self.read(stream, Topic::Verdicts, partition, from, max_records, max_bytes)?;
        blocks.iter_mut().for_each(empty_displaced_blocks);
        Ok(blocks)
    }

    /// The offset that the next append to a partition gets.
    ///
    /// # Errors
    /// The store fails.
    fn end(&self, stream: &str, topic: Topic, partition: PartitionIndex) -> Result<Offset, StoreError>;

    /// The records that are still there of a partition of a topic, and the time for which records are kept. May ask a
    /// server each time, so the hot path must not call it.
    ///
    /// # Errors
    /// The store fails.
    fn kept(&self, stream: &str, topic: Topic, partition: PartitionIndex) -> Result<Kept, StoreError>;

    /// True if `trim` deletes. Otherwise the log deletes by settings of its own, if at all.
    fn trims(&self) -> bool {
        false
    }

    /// Deletes the oldest records of a partition of a topic, in whole blocks, at most up to `wish.below`. The newest
    /// block stays in any case. Reads before what is left begin with it.
    ///
    /// # Errors
    /// The store fails.
    fn trim(
        &self,
        _stream: &str,
        _topic: Topic,
        _partition: PartitionIndex,
        _wish: &Trim,
    ) -> Result<TrimResult, StoreError> {
        Ok(TrimResult::default())
    }

    /// The reason why nothing can be appended until the log is opened anew; none: appends work, as far as is known. Does
    /// not block.
    fn failure(&self) -> Option<String> {
        None
    }

    /// The records that were deleted before they were read, for each topic that may have lost some. Empty for a log
    /// without retention.
    fn lost(&self) -> Vec<Lost> {
        Vec::new()
    }

    /// Notifies the signal after each append to a topic of any stream, once what was appended can be read.
    fn on_append(&self, topic: Topic, wake: Arc<WakeSignal>);
}

/// Wakes a sleeping thread. A notification while nobody sleeps is remembered, once.
#[derive(Debug, Default)]
pub struct WakeSignal {
    is_notified: Mutex<bool>,
    condvar: Condvar,
    changes: watch::Sender<u64>,
}

impl WakeSignal {
    /// Wakes whoever waits, or lets the next wait return at once.
    pub fn notify(&self) {
        // A flag cannot be left half-written by a panic.
        *self.is_notified.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.condvar.notify_all();
        self.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    /// For those who may not block: changes at every notification.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Waits for a notification, at most so long. Returns whether there was one.
    pub fn wait(&self, at_most: Duration) -> bool {
        let deadline = Instant::now() + at_most;
        let mut is_notified = self.is_notified.lock().unwrap_or_else(PoisonError::into_inner);
        while !*is_notified {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            is_notified = self.condvar.wait_timeout(is_notified, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *is_notified = false;
        true
    }
}
