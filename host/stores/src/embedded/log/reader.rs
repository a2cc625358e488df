//! Reads the log's blocks. The archive reads through it too: embedded, it keeps only where events are.

use std::fmt::Display;
use std::sync::Arc;

use assay_core::names::Partition;
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Records, Topic};
use fjall::Slice;

use super::super::database::Database;
use super::super::error::{broken, damaged, failed};
use super::super::keys::{PartitionId, TopicPartition};
use super::block;
use super::heads::Heads;

/// Reads blocks.
#[derive(Clone)]
pub(in super::super) struct LogReader {
    database: Arc<Database>,
    heads: Arc<Heads>,
}

/// A stored block.
pub(in super::super) struct Stored {
    of: TopicPartition,
    first: u64,
    value: Slice,
}

impl Stored {
    /// Replaces the records for which `change` gives something else. Offsets and times stay.
    pub(in super::super) fn rewrite(
        &self,
        mut change: impl FnMut(u64, &[u8]) -> Result<Option<Vec<u8>>, StoreError>,
    ) -> Result<Rewritten, StoreError> {
        let records = self.decode(self.first)?;
        let mut changed = Records { data: Vec::new(), ends: Vec::new(), ..records.clone() };
        let mut any = false;
        for (offset, record) in records.iter() {
            let instead = change(offset.0, record)?;
            any |= instead.is_some();
            changed.push(instead.as_deref().unwrap_or(record));
        }
        let next = records.next().0;
        Ok(Rewritten { first: self.first, next, bytes: any.then(|| block::encode(&[changed])) })
    }

    fn decode(&self, from: u64) -> Result<Records, StoreError> {
        let skip = usize::try_from(from - self.first).unwrap_or(usize::MAX);
        block::decode(&self.value, self.first, skip).map_err(|error| damaged(at(self.of, self.first), &error))
    }

    /// A record by itself; none if it is not in this block.
    pub(in super::super) fn record(&self, offset: u64) -> Result<Option<Records>, StoreError> {
        let Some(index) = offset.checked_sub(self.first).and_then(|index| usize::try_from(index).ok()) else {
            return Ok(None);
        };
        block::record(&self.value, self.first, index).map_err(|error| damaged(at(self.of, self.first), &error))
    }
}

/// A block of which some records were changed.
pub(in super::super) struct Rewritten {
    pub(in super::super) first: u64,
    /// The offset behind it.
    pub(in super::super) next: u64,
    /// The new block; none: nothing was changed.
    pub(in super::super) bytes: Option<Vec<u8>>,
}

impl LogReader {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database, heads: Arc::default() }
    }

    /// The first offset that is still there.
    pub(in super::super) fn head(&self, of: TopicPartition) -> u64 {
        self.heads.get(of)
    }

    /// From now on nothing before an offset is read.
    pub(super) fn begin_at(&self, of: TopicPartition, first: u64) {
        self.heads.set(of, first);
    }

    /// The offset of the first stored record; 0 if there is none.
    pub(super) fn stored_head(&self, of: TopicPartition) -> Result<u64, StoreError> {
        let first = self.database.log.range(of.block(0)..=of.block(u64::MAX)).next();
        first.map_or(Ok(0), |row| Ok(stored(of, row)?.first))
    }

    /// The offset behind the last stored record.
    pub(super) fn stored_end(&self, of: TopicPartition) -> Result<u64, StoreError> {
        let Some(last) = self.block_before(of, u64::MAX)? else {
            return Ok(0);
        };
        let count = block::count(&last.value).map_err(|error| damaged(at(of, last.first), &error))?;
        Ok(last.first + count)
    }

    /// Reads from an offset on that is before the end, or from the head on.
    pub(in super::super) fn read(
        &self,
        of: TopicPartition,
        from: u64,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Records>, StoreError> {
        loop {
            let head = self.head(of);
            let read = self.read_stored(of, from.max(head), max_records, max_bytes);
            // Retention may have deleted it meanwhile.
            if read.is_ok() || self.head(of) == head {
                return read;
            }
        }
    }

    fn read_stored(
        &self,
        of: TopicPartition,
        from: u64,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Records>, StoreError> {
        let first = self.block_of(of, from)?.map(|block| block.decode(from)).transpose()?;
        let Some(first) = first.filter(|records| !records.is_empty()) else {
            return Err(broken(format!("{} is not there any more", at(of, from))));
        };
        let (mut records, mut bytes, next) = (first.len(), first.data.len(), first.next().0);
        let mut out = vec![first];
        if records >= max_records || bytes >= max_bytes {
            return Ok(out);
        }
        for row in self.database.log.range(of.block(next)..=of.block(u64::MAX)) {
            let block = stored(of, row)?;
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

    /// The block that holds an offset, or the last one if the offset is behind the end.
    pub(in super::super) fn block_of(&self, of: TopicPartition, offset: u64) -> Result<Option<Stored>, StoreError> {
        // Readers that go from block to block ask for a block's first offset: a point read finds it fastest.
        let exact = self.database.get(&self.database.log, &of.block(offset), at(of, offset))?;
        match exact {
            Some(value) => Ok(Some(Stored { of, first: offset, value })),
            None => self.block_before(of, offset),
        }
    }

    /// The last block that begins at or before an offset.
    fn block_before(&self, of: TopicPartition, offset: u64) -> Result<Option<Stored>, StoreError> {
        let last = self.database.log.range(of.block(0)..=of.block(offset)).next_back();
        last.map(|row| stored(of, row)).transpose()
    }

    /// The events or verdicts of a partition.
    pub(in super::super) fn topic(of: PartitionId, topic: Topic) -> TopicPartition {
        TopicPartition { of, topic }
    }
}

fn stored(of: TopicPartition, row: fjall::Guard) -> Result<Stored, StoreError> {
    let (key, value) = row.into_inner().map_err(|error| failed(format_args!("reading {}", part(of)), &error))?;
    let first = TopicPartition::first_of(&key).ok_or_else(|| broken(format!("{} has a key that is none", part(of))))?;
    Ok(Stored { of, first, value })
}

fn part(of: TopicPartition) -> impl Display {
    let topic = of.topic.name();
    format!("the log of {topic} of stream number {}, partition {}", of.of.stream.0, Partition(of.of.partition))
}

fn at(of: TopicPartition, offset: u64) -> impl Display {
    std::fmt::from_fn(move |f| write!(f, "offset {offset} of {}", part(of)))
}
