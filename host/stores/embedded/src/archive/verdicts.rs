//! The index of verdict blocks: for each block the event offset before which it judges, and its offset in the verdicts
//! topic.

use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::verdict::{Outcome, find_outcome, read_block_summary};
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Records, Topic};

use super::super::database::{Database, Durability};
use super::super::error::{broken, damaged, failed};
use super::super::keys::{NumberedPartition, PositionOwner};
use super::super::log::LogReader;
use super::run::RowKind;

/// The index of verdict blocks.
pub(super) struct VerdictIndex {
    pub(super) database: Arc<Database>,
    pub(super) log: LogReader,
}

impl VerdictIndex {
    /// Adds the blocks that are not indexed yet, and the position.
    pub(super) fn write(&self, partition: NumberedPartition, blocks: &[Records], next: u64) -> Result<(), StoreError> {
        let position = self.database.position(PositionOwner::ArchivedVerdicts, partition)?;
        if next <= position {
            return Ok(());
        }
        let mut batch = self.database.batch(16);
        for (Offset(at), block) in blocks.iter().flat_map(Records::iter) {
            if !(position..next).contains(&at) {
                continue;
            }
            let summary = read_block_summary(block).map_err(|error| damaged(describe_block(at), &error))?;
            batch.insert(&self.database.index, block_key(partition, summary.next.0, at), []);
        }
        self.database.put_position(&mut batch, PositionOwner::ArchivedVerdicts, partition, next);
        self.database.commit(batch, Durability::Process, "writing the index of verdicts")
    }

    /// Drops the blocks before an offset of the verdicts topic.
    pub(super) fn forget(&self, partition: NumberedPartition, begin: u64) -> Result<(), StoreError> {
        let mut batch = self.database.batch(16);
        for row in self.database.index.range(block_key(partition, 0, 0)..=block_key(partition, u64::MAX, u64::MAX)) {
            let key = row.key().map_err(|error| failed("reading the index of verdicts", &error))?;
            if decode_key(&key)?.1 >= begin {
                break;
            }
            batch.remove(&self.database.index, key);
        }
        self.database.commit(batch, Durability::Process, "forgetting blocks in the index of verdicts")
    }

    /// Calls `on_offset` with the offset of each indexed block.
    pub(super) fn for_each_block(
        &self,
        partition: NumberedPartition,
        mut on_offset: impl FnMut(u64),
    ) -> Result<(), StoreError> {
        for row in self.database.index.range(block_key(partition, 0, 0)..=block_key(partition, u64::MAX, u64::MAX)) {
            let key = row.key().map_err(|error| failed("reading the index of verdicts", &error))?;
            on_offset(decode_key(&key)?.1);
        }
        Ok(())
    }

    /// The event offset before which the indexed blocks have judged all events.
    pub(super) fn read_judged(&self, partition: NumberedPartition) -> Result<u64, StoreError> {
        let mut rows = self.database.index.range(block_key(partition, 0, 0)..=block_key(partition, u64::MAX, u64::MAX));
        let Some(last) = rows.next_back() else { return Ok(0) };
        let key = last.key().map_err(|error| failed("reading the index of verdicts", &error))?;
        Ok(decode_key(&key)?.0)
    }

    /// The outcome of an event. It is in the first block that judges past the event; without an entry there is none.
    pub(super) fn find_event_outcome(
        &self,
        partition: NumberedPartition,
        offset: u64,
    ) -> Result<Option<Outcome>, StoreError> {
        for at in self.find_blocks(partition, offset)? {
            if let Some(outcome) = self.find_outcome_in_block(partition, at, offset)? {
                return Ok(Some(outcome));
            }
        }
        Ok(None)
    }

    /// The offsets of the first blocks that judge past an event. Several blocks with the same end share the outcomes of
    /// their events.
    pub(super) fn find_blocks(&self, partition: NumberedPartition, offset: u64) -> Result<Vec<u64>, StoreError> {
        let mut found = Vec::new();
        let Some(next) = offset.checked_add(1) else {
            return Ok(found);
        };
        let mut first = None;
        for row in self.database.index.range(block_key(partition, next, 0)..=block_key(partition, u64::MAX, u64::MAX)) {
            let key = row.key().map_err(|error| failed("reading the index of verdicts", &error))?;
            let (through, at) = decode_key(&key)?;
            if *first.get_or_insert(through) != through {
                break;
            }
            found.push(at);
        }
        Ok(found)
    }

    fn find_outcome_in_block(
        &self,
        partition: NumberedPartition,
        at: u64,
        offset: u64,
    ) -> Result<Option<Outcome>, StoreError> {
        let stored = self.log.find_block(LogReader::topic_partition(partition, Topic::Verdicts), at)?;
        let block = stored.map(|stored| stored.record(at)).transpose()?.flatten();
        let Some(Records { data: block, .. }) = block else {
            if at < self.log.start_offset(LogReader::topic_partition(partition, Topic::Verdicts)) {
                // Retention deleted the block.
                return Ok(None);
            }
            return Err(broken(format!("{} is in the index but not in the log", describe_block(at))));
        };
        find_outcome(&block, Offset(offset)).map_err(|error| damaged(describe_block(at), &error))
    }
}

fn describe_block(at: u64) -> String {
    format!("the verdict block at offset {at}")
}

fn block_key(partition: NumberedPartition, through: u64, at: u64) -> [u8; 25] {
    let mut key = [RowKind::VerdictBlock as u8; 25];
    key[1..9].copy_from_slice(&partition.to_bytes());
    key[9..17].copy_from_slice(&through.to_be_bytes());
    key[17..].copy_from_slice(&at.to_be_bytes());
    key
}

fn decode_key(key: &[u8]) -> Result<(u64, u64), StoreError> {
    match key.last_chunk::<16>() {
        Some(places) => {
            let places = u128::from_be_bytes(*places);
            Ok(((places >> 64) as u64, places as u64))
        }
        None => Err(broken("the index of verdicts has a key that is none".to_owned())),
    }
}
