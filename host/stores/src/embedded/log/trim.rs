//! Retention: deletes whole blocks at the head of a partition.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Trim, Trimmed};
use fjall::Readable as _;

use super::super::database::{Database, Durability};
use super::super::error::{broken, damaged, failed};
use super::super::keys::TopicPartition;
use super::block;
use super::reader::LogReader;

/// The most blocks that one call deletes: what it reads of them is bounded so.
const MOST_BLOCKS: usize = 1024;
/// After so many bytes the disk space is given back.
const RECLAIMED_AT_ONCE: u64 = 64 << 20;

/// Deletes what is too old or too much.
pub(super) struct Trimmer {
    database: Arc<Database>,
    reader: LogReader,
    /// What is known of partitions that have a limit by size.
    sizes: Mutex<HashMap<TopicPartition, Size>>,
    /// Bytes that were deleted and not given back yet.
    deleted: AtomicU64,
}

/// The bytes of a partition's blocks before an offset.
#[derive(Clone, Copy, Default)]
struct Size {
    counted: u64,
    bytes: u64,
}

/// A block at the head.
struct Block {
    key: fjall::Slice,
    first: u64,
    bytes: u64,
    appended_at: i64,
}

impl Trimmer {
    pub(super) fn new(database: Arc<Database>, reader: LogReader) -> Self {
        Self { database, reader, sizes: Mutex::default(), deleted: AtomicU64::new(0) }
    }

    /// Deletes blocks at the head, some at most, but never the last one: it says where the partition ends.
    pub(super) fn trim(&self, of: TopicPartition, wish: &Trim) -> Result<Trimmed, StoreError> {
        let changing = self.database.changing_blocks();
        let mut size = match wish.max_bytes {
            Some(_) => self.measure(of)?,
            None => Size::default(),
        };
        let is_too_much = |size: &Size| wish.max_bytes.is_some_and(|most| size.bytes > most);
        let head = self.reader.head(of);
        let mut batch = self.database.batch(16);
        let (mut trimmed, mut first, mut blocks) = (Trimmed::default(), head, 0);
        let mut rows = self.database.log.range(of.block(head)..=of.block(u64::MAX)).map(head_of).peekable();
        while let Some(block) = rows.next().transpose()? {
            let is_too_old = wish.older_than.is_some_and(|time| block.appended_at < time);
            if !is_too_old && !is_too_much(&size) {
                break;
            }
            // Without a successor it is the last block.
            let Some(next) = rows.peek().and_then(|next| next.as_ref().ok()).map(|next| next.first) else { break };
            if next > wish.below.0 {
                trimmed.is_held = true;
                break;
            }
            if blocks == MOST_BLOCKS {
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
            // Readers pass over what is about to go.
            self.reader.begin_at(of, first);
            self.database.commit(batch, Durability::Process, "deleting what retention does not keep")?;
        }
        if wish.max_bytes.is_some() {
            self.sizes.lock().unwrap_or_else(PoisonError::into_inner).insert(of, size);
        }
        drop(changing);
        let deleted = self.deleted.fetch_add(trimmed.bytes, Ordering::Relaxed) + trimmed.bytes;
        if deleted >= RECLAIMED_AT_ONCE && !trimmed.has_more {
            self.deleted.fetch_sub(deleted, Ordering::Relaxed);
            self.database.reclaim(&self.database.log, "giving back what retention has deleted")?;
        }
        Ok(trimmed)
    }

    /// The bytes of a partition: those of blocks that were not counted yet are added.
    fn measure(&self, of: TopicPartition) -> Result<Size, StoreError> {
        let known = self.sizes.lock().unwrap_or_else(PoisonError::into_inner).get(&of).copied();
        let mut size = known.unwrap_or_default();
        let from = size.counted.max(self.reader.head(of));
        let (snapshot, range) = (self.database.snapshot(), of.block(from)..=of.block(u64::MAX));
        // Neither reads the blocks themselves.
        let keys = snapshot.range(&self.database.log, range.clone()).map(fjall::Guard::key);
        let sizes = snapshot.range(&self.database.log, range).map(fjall::Guard::size);
        for (key, bytes) in keys.zip(sizes) {
            let unreadable = |error| failed("measuring the log", &error);
            let (key, bytes) = (key.map_err(unreadable)?, bytes.map_err(unreadable)?);
            let first = TopicPartition::first_of(&key).unwrap_or_default();
            size = Size { counted: first + 1, bytes: size.bytes + u64::from(bytes) };
        }
        Ok(size)
    }
}

fn head_of(row: fjall::Guard) -> Result<Block, StoreError> {
    let (key, value) = row.into_inner().map_err(|error| failed("reading the head of the log", &error))?;
    let first = TopicPartition::first_of(&key).ok_or_else(|| broken("a block has a key that is none".to_owned()))?;
    let appended_at =
        block::appended_at(&value).map_err(|error| damaged(format_args!("the block at offset {first}"), &error))?;
    Ok(Block { key, first, bytes: value.len() as u64, appended_at })
}
