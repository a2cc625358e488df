//! Reading the outcomes of events that were just taken in, in the order of the events.
//!
//! They are read from the verdicts log, from where it ended before the events were appended: a reader holds one block of
//! each partition, however many events it was asked for and however many rules judge them. The outcomes of events that
//! another process scores come from the archive.

use std::collections::BTreeMap;
use std::sync::Arc;

use assay_core::names::{Offset, PartitionIndex};
use assay_core::verdict::{Outcome, OutcomeCursor};

use super::IngestService;
use crate::ports::log::Records;
use crate::ports::{PartitionId, Place, StoreError};
use crate::shared::{Shared, unreadable_block_error};

/// Bytes that are read of a partition's verdicts at once, beyond the first block.
const READ_BYTES: usize = 64 << 10;

/// The ends of the verdicts logs of this process's partitions: the verdicts on later events come after them.
#[derive(Clone, Debug, Default)]
pub struct VerdictMarks(pub(super) BTreeMap<PartitionIndex, Offset>);

impl IngestService {
    /// Reads the outcomes of events, from marks that were taken before the events were appended.
    pub fn outcomes(&self, stream: &str, marks: VerdictMarks) -> OutcomeReader {
        let partitions = marks.0.into_iter().map(|(partition, position)| (partition, PartitionReader::at(position)));
        OutcomeReader {
            shared: self.shared.clone(),
            stream: stream.into(),
            partitions: partitions.collect(),
            judged: BTreeMap::new(),
        }
    }
}

/// Reads the outcomes of events. Those of a partition are asked for in the order of their offsets.
pub struct OutcomeReader {
    shared: Arc<Shared>,
    stream: Arc<str>,
    partitions: BTreeMap<PartitionIndex, PartitionReader>,
    /// The positions of the archive, for partitions that another process scores.
    judged: BTreeMap<PartitionIndex, Offset>,
}

impl OutcomeReader {
    /// The outcome of an event; an empty one if no rule judged it. None: it is not there yet. Blocks.
    ///
    /// # Errors
    /// The log or the archive fails.
    pub fn read(&mut self, place: Place) -> Result<Option<Outcome>, StoreError> {
        let partition_id = PartitionId { stream: self.stream.clone(), partition: place.partition };
        match self.partitions.get_mut(&place.partition) {
            Some(partition) => partition.read(&self.shared, &partition_id, place.offset),
            None => self.read_archived(&partition_id, place.offset),
        }
    }

    fn read_archived(&mut self, partition: &PartitionId, offset: Offset) -> Result<Option<Outcome>, StoreError> {
        let archive = &self.shared.ports.archive;
        let judged = self.judged.entry(partition.partition).or_default();
        if *judged <= offset {
            *judged = archive.judged(partition)?;
        }
        if *judged <= offset {
            return Ok(None);
        }
        Ok(Some(archive.outcome(partition, offset)?.unwrap_or_else(|| Outcome::silent(offset))))
    }
}

/// The blocks of one partition, one after the other.
struct PartitionReader {
    /// The next block to read.
    position: Offset,
    current: Option<OutcomeCursor>,
    /// The block after the current one with its offset, if it was looked at already.
    next_block: Option<(Offset, OutcomeCursor)>,
}

impl PartitionReader {
    fn at(position: Offset) -> Self {
        Self { position, current: None, next_block: None }
    }

    fn read(
        &mut self,
        shared: &Shared,
        partition: &PartitionId,
        offset: Offset,
    ) -> Result<Option<Outcome>, StoreError> {
        loop {
            let next = self.current.as_ref().map(OutcomeCursor::next).filter(|next| *next > offset);
            let Some(next) = next else {
                if !self.advance_block(shared, partition)? {
                    return Ok(None);
                }
                continue;
            };
            if self.current.as_ref().is_some_and(|current| !current.covers(offset)) {
                return self.find_appended_later(shared, partition, offset);
            }
            let position = self.position;
            let found = self.current.as_mut().map(|current| current.find(offset)).transpose();
            if let Some(outcome) = found.map_err(|error| unreadable_block_error(partition, position, &error))?.flatten()
            {
                return Ok(Some(outcome));
            }
            // Blocks that go equally far share what they say: a log may have had to cut one that was too large.
            let is_shared =
                self.peek_next_block(shared, partition)?.is_some_and(|next_block| next_block.next() == next);
            if !is_shared {
                return Ok(Some(Outcome::silent(offset)));
            }
            self.current = self.next_block.take().map(|(_, block)| block);
        }
    }

    /// The outcome of an event whose block was missing when the current one, a later one, was appended. Recovery appends
    /// it again, after the current one. The position of this reader stays, for the events of the current block.
    fn find_appended_later(
        &mut self,
        shared: &Shared,
        partition: &PartitionId,
        offset: Offset,
    ) -> Result<Option<Outcome>, StoreError> {
        // The block that was looked at already is read again by both.
        if let Some((at, _)) = self.next_block.take() {
            self.position = at;
        }
        let mut later = Self::at(self.position);
        while later.advance_block(shared, partition)? {
            let position = later.position;
            let Some(block) = later.current.as_mut().filter(|block| block.covers(offset)) else { continue };
            let found = block.find(offset).map_err(|error| unreadable_block_error(partition, position, &error))?;
            return Ok(Some(found.unwrap_or_else(|| Outcome::silent(offset))));
        }
        Ok(None)
    }

    /// Goes to the next block. False: it is not there yet.
    fn advance_block(&mut self, shared: &Shared, partition: &PartitionId) -> Result<bool, StoreError> {
        // The one before is let go of first: one block at a time.
        self.current = None;
        self.peek_next_block(shared, partition)?;
        self.current = self.next_block.take().map(|(_, block)| block);
        Ok(self.current.is_some())
    }

    fn peek_next_block(
        &mut self,
        shared: &Shared,
        partition: &PartitionId,
    ) -> Result<Option<&OutcomeCursor>, StoreError> {
        if self.next_block.is_none() {
            let from = self.position;
            let read = shared.ports.log.read_verdicts(&partition.stream, partition.partition, from, 1, READ_BYTES)?;
            if let Some((at, block)) = read.iter().flat_map(Records::iter).find(|(at, _)| *at >= from) {
                let cursor = OutcomeCursor::open(block.to_vec());
                self.next_block = Some((at, cursor.map_err(|error| unreadable_block_error(partition, at, &error))?));
                self.position = at.next();
            }
        }
        Ok(self.next_block.as_ref().map(|(_, block)| block))
    }
}
