//! Reads the log's blocks, for the log itself and for the archive and the erasure.

use std::fmt::Display;
use std::sync::Arc;

use assay_core::names::PartitionIndex;
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Records, Topic};
use fjall::Slice;

use super::super::database::Database;
use super::super::error::{broken, damaged, failed};
use super::super::keys::{NumberedPartition, TopicPartition};
use super::block;
use super::start_offsets::StartOffsets;

/// Reads blocks of the log.
#[derive(Clone)]
pub(in super::super) struct LogReader {
    database: Arc<Database>,
    start_offsets: Arc<StartOffsets>,
}

/// A stored block.
pub(in super::super) struct StoredBlock {
    partition: TopicPartition,
    first: u64,
    value: Slice,
}

impl StoredBlock {
    /// Rewrites the block with the records that `change` returns in place of the present ones. Offsets and times stay.
    pub(in super::super) fn rewrite(
        &self,
        mut change: impl FnMut(u64, &[u8]) -> Result<Option<Vec<u8>>, StoreError>,
    ) -> Result<RewrittenBlock, StoreError> {
        let records = self.decode(self.first)?;
        let mut changed = Records { data: Vec::new(), ends: Vec::new(), ..records.clone() };
        let mut has_changed = false;
        for (offset, record) in records.iter() {
            let replacement = change(offset.0, record)?;
            has_changed |= replacement.is_some();
            changed.push(replacement.as_deref().unwrap_or(record));
        }
        let next = records.next().0;
        Ok(RewrittenBlock { first: self.first, next, bytes: has_changed.then(|| block::encode(&[changed])) })
    }

    fn decode(&self, from: u64) -> Result<Records, StoreError> {
        let skip = usize::try_from(from - self.first).unwrap_or(usize::MAX);
        block::decode(&self.value, self.first, skip)
            .map_err(|error| damaged(describe_offset(self.partition, self.first), &error))
    }

    /// The record at an offset; none if it is not in this block.
    pub(in super::super) fn record(&self, offset: u64) -> Result<Option<Records>, StoreError> {
        let Some(index) = offset.checked_sub(self.first).and_then(|index| usize::try_from(index).ok()) else {
            return Ok(None);
        };
        block::record(&self.value, self.first, index)
            .map_err(|error| damaged(describe_offset(self.partition, self.first), &error))
    }
}

/// The result of [`StoredBlock::rewrite`].
pub(in super::super) struct RewrittenBlock {
    pub(in super::super) first: u64,
    /// The offset after the block.
    pub(in super::super) next: u64,
    /// The new block; none if no record changed.
    pub(in super::super) bytes: Option<Vec<u8>>,
}

impl LogReader {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database, start_offsets: Arc::default() }
    }

    /// The first offset of a partition that retention has left.
    pub(in super::super) fn start_offset(&self, topic_partition: TopicPartition) -> u64 {
        self.start_offsets.get(topic_partition)
    }

    /// Sets the start offset: later reads begin at it or after it.
    pub(super) fn set_start_offset(&self, topic_partition: TopicPartition, first: u64) {
        self.start_offsets.set(topic_partition, first);
    }

    /// The offset of the first stored record; 0 if there is none.
    pub(super) fn read_stored_start(&self, topic_partition: TopicPartition) -> Result<u64, StoreError> {
        let first = self.database.log.range(topic_partition.block_key(0)..=topic_partition.block_key(u64::MAX)).next();
        first.map_or(Ok(0), |row| Ok(read_row(topic_partition, row)?.first))
    }

    /// The offset after the last stored record; 0 if there is none.
    pub(super) fn read_stored_end(&self, topic_partition: TopicPartition) -> Result<u64, StoreError> {
        let Some(last) = self.find_block_before(topic_partition, u64::MAX)? else {
            return Ok(0);
        };
        let count =
            block::count(&last.value).map_err(|error| damaged(describe_offset(topic_partition, last.first), &error))?;
        Ok(last.first + count)
    }

    /// Reads from an offset before the end, or from the start offset if that is later.
    pub(in super::super) fn read(
        &self,
        topic_partition: TopicPartition,
        from: u64,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Records>, StoreError> {
        loop {
            let head = self.start_offset(topic_partition);
            let read = self.read_stored(topic_partition, from.max(head), max_records, max_bytes);
            // A read may fail because retention deletes its block meanwhile: then the start offset has changed.
            if read.is_ok() || self.start_offset(topic_partition) == head {
                return read;
            }
        }
    }

    fn read_stored(
        &self,
        topic_partition: TopicPartition,
        from: u64,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Records>, StoreError> {
        let first = self.find_block(topic_partition, from)?.map(|block| block.decode(from)).transpose()?;
        let Some(first) = first.filter(|records| !records.is_empty()) else {
            return Err(broken(format!("{} is not there any more", describe_offset(topic_partition, from))));
        };
        let (mut records, mut bytes, next) = (first.len(), first.data.len(), first.next().0);
        let mut out = vec![first];
        if records >= max_records || bytes >= max_bytes {
            return Ok(out);
        }
        for row in self.database.log.range(topic_partition.block_key(next)..=topic_partition.block_key(u64::MAX)) {
            let block = read_row(topic_partition, row)?;
            let block = block.decode(block.first)?;
            records += block.len();
            bytes += block.data.len();
            out.push(block);
            if records >= max_records || bytes >= max_bytes {
                break;
            }
        }
        Ok(out)
    }

    /// The block of an offset, or the last block if the offset is after the end.
    pub(in super::super) fn find_block(
        &self,
        topic_partition: TopicPartition,
        offset: u64,
    ) -> Result<Option<StoredBlock>, StoreError> {
        // A reader that goes from block to block asks for the first offset of a block: a point read is fastest for it.
        let exact = self.database.get(
            &self.database.log,
            &topic_partition.block_key(offset),
            describe_offset(topic_partition, offset),
        )?;
        match exact {
            Some(value) => Ok(Some(StoredBlock { partition: topic_partition, first: offset, value })),
            None => self.find_block_before(topic_partition, offset),
        }
    }

    /// The last block that begins at or before an offset.
    fn find_block_before(
        &self,
        topic_partition: TopicPartition,
        offset: u64,
    ) -> Result<Option<StoredBlock>, StoreError> {
        let last =
            self.database.log.range(topic_partition.block_key(0)..=topic_partition.block_key(offset)).next_back();
        last.map(|row| read_row(topic_partition, row)).transpose()
    }

    /// The partition of a topic.
    pub(in super::super) fn topic_partition(partition: NumberedPartition, topic: Topic) -> TopicPartition {
        TopicPartition { partition, topic }
    }
}

fn read_row(topic_partition: TopicPartition, row: fjall::Guard) -> Result<StoredBlock, StoreError> {
    let (key, value) =
        row.into_inner().map_err(|error| failed(format_args!("reading {}", describe(topic_partition)), &error))?;
    let first = TopicPartition::first_offset_in(&key)
        .ok_or_else(|| broken(format!("{} has a key that is none", describe(topic_partition))))?;
    Ok(StoredBlock { partition: topic_partition, first, value })
}

fn describe(topic_partition: TopicPartition) -> impl Display {
    let topic = topic_partition.topic.name();
    format!(
        "the log of {topic} of stream number {}, partition {}",
        topic_partition.partition.stream.0,
        PartitionIndex(topic_partition.partition.partition)
    )
}

fn describe_offset(topic_partition: TopicPartition, offset: u64) -> impl Display {
    std::fmt::from_fn(move |f| write!(f, "offset {offset} of {}", describe(topic_partition)))
}
