//! Retention: deletes the oldest blocks of a partition.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Trim, TrimResult};
use fjall::Readable as _;

use super::super::database::{Database, Durability};
use super::super::error::{broken, damaged, failed};
use super::super::keys::TopicPartition;
use super::block;
use super::reader::LogReader;

/// The number of blocks that one call deletes: it reads each of them.
const MAX_BLOCKS_PER_CALL: usize = 1024;
/// Disk space is reclaimed once this many bytes were deleted.
const MIN_RECLAIM_BYTES: u64 = 64 << 20;

/// Deletes blocks that are too old or exceed the size limit.
pub(super) struct Trimmer {
    database: Arc<Database>,
    reader: LogReader,
    /// The measured sizes of partitions with a size limit.
    sizes: Mutex<HashMap<TopicPartition, PartitionSize>>,
    /// Deleted bytes whose disk space was not reclaimed yet.
    deleted: AtomicU64,
}

/// The bytes of a partition's blocks that begin before the offset `counted_to`.
#[derive(Clone, Copy, Default)]
struct PartitionSize {
    counted_to: u64,
    bytes: u64,
}

/// One of the oldest blocks.
struct OldestBlock {
    key: fjall::Slice,
    first: u64,
    bytes: u64,
    appended_at: i64,
}

impl Trimmer {
    pub(super) fn new(database: Arc<Database>, reader: LogReader) -> Self {
        Self { database, reader, sizes: Mutex::default(), deleted: AtomicU64::new(0) }
    }

    /// Deletes the oldest blocks, at most [`MAX_BLOCKS_PER_CALL`]. The last block stays: the partition's end follows from
    /// it.
    pub(super) fn trim(&self, topic_partition: TopicPartition, wish: &Trim) -> Result<TrimResult, StoreError> {
        let block_changes = self.database.lock_block_changes();
        let mut size = match wish.max_bytes {
            Some(_) => self.measure(topic_partition)?,
            None => PartitionSize::default(),
        };
        let is_too_much = |size: &PartitionSize| wish.max_bytes.is_some_and(|max| size.bytes > max);
        let head = self.reader.start_offset(topic_partition);
        let mut batch = self.database.batch(16);
        let (mut trimmed, mut first, mut blocks) = (TrimResult::default(), head, 0);
        let mut rows = self
            .database
            .log
            .range(topic_partition.block_key(head)..=topic_partition.block_key(u64::MAX))
            .map(read_block_row)
            .peekable();
        while let Some(block) = rows.next().transpose()? {
            let is_too_old = wish.older_than.is_some_and(|time| block.appended_at < time);
            if !is_too_old && !is_too_much(&size) {
                break;
            }
            // A block without a successor is the last one.
            let Some(next) = rows.peek().and_then(|next| next.as_ref().ok()).map(|next| next.first) else { break };
            if next > wish.below.0 {
                trimmed.is_held = true;
                break;
            }
            if blocks == MAX_BLOCKS_PER_CALL {
                trimmed.has_more = true;
                break;
            }
            size.bytes = size.bytes.saturating_sub(block.bytes);
            trimmed.bytes += block.bytes;
            trimmed.records += next - block.first;
            batch.remove(&self.database.log, block.key);
            (first, blocks) = (next, blocks + 1);
        }
        drop(rows);
        if blocks > 0 {
            // Readers must skip the blocks before they are deleted.
            self.reader.set_start_offset(topic_partition, first);
            self.database.commit(batch, Durability::Process, "deleting what retention does not keep")?;
        }
        if wish.max_bytes.is_some() {
            self.sizes.lock().unwrap_or_else(PoisonError::into_inner).insert(topic_partition, size);
        }
        drop(block_changes);
        let deleted = self.deleted.fetch_add(trimmed.bytes, Ordering::Relaxed) + trimmed.bytes;
        if deleted >= MIN_RECLAIM_BYTES && !trimmed.has_more {
            self.deleted.fetch_sub(deleted, Ordering::Relaxed);
            self.database.reclaim(&self.database.log, "giving back what retention has deleted")?;
        }
        Ok(trimmed)
    }

    /// The bytes of a partition: the known size plus that of the blocks since.
    fn measure(&self, topic_partition: TopicPartition) -> Result<PartitionSize, StoreError> {
        let known = self.sizes.lock().unwrap_or_else(PoisonError::into_inner).get(&topic_partition).copied();
        let mut size = known.unwrap_or_default();
        let from = size.counted_to.max(self.reader.start_offset(topic_partition));
        let (snapshot, range) =
            (self.database.snapshot(), topic_partition.block_key(from)..=topic_partition.block_key(u64::MAX));
        // Neither iterator reads the blocks themselves.
        let keys = snapshot.range(&self.database.log, range.clone()).map(fjall::Guard::key);
        let sizes = snapshot.range(&self.database.log, range).map(fjall::Guard::size);
        for (key, bytes) in keys.zip(sizes) {
            let unreadable = |error| failed("measuring the log", &error);
            let (key, bytes) = (key.map_err(unreadable)?, bytes.map_err(unreadable)?);
            let first = TopicPartition::first_offset_in(&key).unwrap_or_default();
            size = PartitionSize { counted_to: first + 1, bytes: size.bytes + u64::from(bytes) };
        }
        Ok(size)
    }
}

fn read_block_row(row: fjall::Guard) -> Result<OldestBlock, StoreError> {
    let (key, value) = row.into_inner().map_err(|error| failed("reading the head of the log", &error))?;
    let first =
        TopicPartition::first_offset_in(&key).ok_or_else(|| broken("a block has a key that is none".to_owned()))?;
    let appended_at =
        block::appended_at(&value).map_err(|error| damaged(format_args!("the block at offset {first}"), &error))?;
    Ok(OldestBlock { key, first, bytes: value.len() as u64, appended_at })
}
