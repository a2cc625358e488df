//! Where the verdicts of an event are: per verdict block, the event offset it goes to, and its place in the log.

use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::verdict::{Outcome, block_flags, find_outcome};
use assay_engine::ports::StoreError;
use assay_engine::ports::log::{Records, Topic};

use super::super::database::{Database, Durability};
use super::super::error::{broken, damaged, failed};
use super::super::keys::{PartitionId, Whose};
use super::super::log::LogReader;
use super::run::Row;

/// The index of verdict blocks.
pub(super) struct VerdictIndex {
    pub(super) database: Arc<Database>,
    pub(super) log: LogReader,
}

impl VerdictIndex {
    /// Adds the blocks that are not there yet.
    pub(super) fn write(&self, of: PartitionId, blocks: &[Records], next: u64) -> Result<(), StoreError> {
        let position = self.database.position(Whose::ArchivedVerdicts, of)?;
        if next <= position {
            return Ok(());
        }
        let mut batch = self.database.batch(16);
        for (Offset(at), block) in blocks.iter().flat_map(Records::iter) {
            if !(position..next).contains(&at) {
                continue;
            }
            let (_, Offset(through)) = block_flags(block).map_err(|error| damaged(block_at(at), &error))?;
            batch.insert(&self.database.index, key(of, through, at), []);
        }
        self.database.put_position(&mut batch, Whose::ArchivedVerdicts, of, next);
        self.database.commit(batch, Durability::Process, "writing the index of verdicts")
    }

    /// Forgets the blocks before an offset of the verdicts topic.
    pub(super) fn forget(&self, of: PartitionId, begin: u64) -> Result<(), StoreError> {
        let mut batch = self.database.batch(16);
        for row in self.database.index.range(key(of, 0, 0)..=key(of, u64::MAX, u64::MAX)) {
            let key = row.key().map_err(|error| failed("reading the index of verdicts", &error))?;
            if places(&key)?.1 >= begin {
                break;
            }
            batch.remove(&self.database.index, key);
        }
        self.database.commit(batch, Durability::Process, "forgetting blocks in the index of verdicts")
    }

    /// Hands out the places of all blocks that are in the index.
    pub(super) fn each_place(&self, of: PartitionId, mut each: impl FnMut(u64)) -> Result<(), StoreError> {
        for row in self.database.index.range(key(of, 0, 0)..=key(of, u64::MAX, u64::MAX)) {
            let key = row.key().map_err(|error| failed("reading the index of verdicts", &error))?;
            each(places(&key)?.1);
        }
        Ok(())
    }

    /// The offset before which all events are judged by blocks that are in the index.
    pub(super) fn judged(&self, of: PartitionId) -> Result<u64, StoreError> {
        let mut rows = self.database.index.range(key(of, 0, 0)..=key(of, u64::MAX, u64::MAX));
        let Some(last) = rows.next_back() else { return Ok(0) };
        let key = last.key().map_err(|error| failed("reading the index of verdicts", &error))?;
        Ok(places(&key)?.0)
    }

    /// What was said of an event: it is in the first block that goes beyond it, or nothing was said.
    pub(super) fn outcome(&self, of: PartitionId, offset: u64) -> Result<Option<Outcome>, StoreError> {
        for at in self.blocks_of(of, offset)? {
            if let Some(outcome) = self.outcome_in(of, at, offset)? {
                return Ok(Some(outcome));
            }
        }
        Ok(None)
    }

    /// The places of the first blocks that go beyond an event. Those that go equally far share what they say.
    pub(super) fn blocks_of(&self, of: PartitionId, offset: u64) -> Result<Vec<u64>, StoreError> {
        let mut found = Vec::new();
        let Some(behind) = offset.checked_add(1) else {
            return Ok(found);
        };
        let mut first = None;
        for row in self.database.index.range(key(of, behind, 0)..=key(of, u64::MAX, u64::MAX)) {
            let key = row.key().map_err(|error| failed("reading the index of verdicts", &error))?;
            let (through, at) = places(&key)?;
            if *first.get_or_insert(through) != through {
                break;
            }
            found.push(at);
        }
        Ok(found)
    }

    fn outcome_in(&self, of: PartitionId, at: u64, offset: u64) -> Result<Option<Outcome>, StoreError> {
        let stored = self.log.block_of(LogReader::topic(of, Topic::Verdicts), at)?;
        let block = stored.map(|stored| stored.record(at)).transpose()?.flatten();
        let Some(Records { data: block, .. }) = block else {
            if at < self.log.head(LogReader::topic(of, Topic::Verdicts)) {
                // Retention has deleted it.
                return Ok(None);
            }
            return Err(broken(format!("{} is in the index but not in the log", block_at(at))));
        };
        find_outcome(&block, Offset(offset)).map_err(|error| damaged(block_at(at), &error))
    }
}

fn block_at(at: u64) -> String {
    format!("the verdict block at offset {at}")
}

fn key(of: PartitionId, through: u64, at: u64) -> [u8; 25] {
    let mut key = [Row::VerdictBlock as u8; 25];
    key[1..9].copy_from_slice(&of.bytes());
    key[9..17].copy_from_slice(&through.to_be_bytes());
    key[17..].copy_from_slice(&at.to_be_bytes());
    key
}

fn places(key: &[u8]) -> Result<(u64, u64), StoreError> {
    match key.last_chunk::<16>() {
        Some(places) => {
            let places = u128::from_be_bytes(*places);
            Ok(((places >> 64) as u64, places as u64))
        }
        None => Err(broken("the index of verdicts has a key that is none".to_owned())),
    }
}
