//! Waiting for the verdicts on events that were just taken in, and reading them in the order of the events.
//!
//! They are read from the verdicts log, from where it ended before the events were appended: a reader holds one block of
//! each partition, however many events it was asked for and however many rules judge them. What another process scores
//! comes from the archive.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use assay_core::names::{Offset, Partition};
use assay_core::verdict::{Outcome, OutcomeCursor};

use super::Engine;
use crate::ports::log::{Records, Topic};
use crate::ports::{Place, StoreError, StreamPartition};
use crate::shared::{Shared, unreadable_block};

/// Why verdicts did not come. The events are in the log in any case.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// They were not there in time.
    #[error("the verdicts were not there in time; the events are stored and will be scored")]
    Timeout,
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How often to look whether a partition still is this process's.
const STILL_MINE: Duration = Duration::from_millis(250);
/// How often to look whether another process has scored a partition.
const ELSEWHERE: Duration = Duration::from_millis(10);
/// Bytes that are read of a partition's verdicts at once, beyond the first block.
const READ_BYTES: usize = 64 << 10;

/// Where the verdicts logs of this process's partitions ended: what is said of later events comes after it.
#[derive(Clone, Debug, Default)]
pub struct VerdictMarks(pub(super) BTreeMap<Partition, Offset>);

impl Engine {
    /// Waits until events are scored, at most so long.
    ///
    /// # Errors
    /// Not all of them were in time, or the archive fails.
    pub async fn wait_scored(&self, stream: &str, places: &[Place], at_most: Duration) -> Result<(), WaitError> {
        let mut last: BTreeMap<Partition, Offset> = BTreeMap::new();
        for place in places {
            let offset = last.entry(place.partition).or_insert(place.offset);
            *offset = place.offset.max(*offset);
        }
        let all = async {
            for (partition, offset) in last {
                self.wait_partition(&StreamPartition { stream: stream.into(), partition }, offset).await?;
            }
            Ok(())
        };
        tokio::time::timeout(at_most, all).await.unwrap_or(Err(WaitError::Timeout))
    }

    async fn wait_partition(&self, of: &StreamPartition, last: Offset) -> Result<(), WaitError> {
        let mut progress = self.inner.shared.hub.progress(of);
        loop {
            if self.inner.shared.is_mine(of) {
                if tokio::time::timeout(STILL_MINE, progress.wait_for(|next| *next > last.0)).await.is_ok() {
                    return Ok(());
                }
                continue;
            }
            // Another process scores it, from the beginning or from now on: the archive tells how far it is.
            let (archive, asked) = (self.ports().archive.clone(), of.clone());
            let judged = tokio::task::spawn_blocking(move || archive.judged(&asked)).await;
            let judged = judged.unwrap_or_else(|error| {
                Err(StoreError::Broken { store: "archive", message: format!("reading it failed: {error}") })
            })?;
            if judged > last {
                return Ok(());
            }
            tokio::time::sleep(ELSEWHERE).await;
        }
    }

    /// Reads what is said of events, from marks that were taken before they were appended.
    pub fn outcomes(&self, stream: &str, marks: VerdictMarks) -> OutcomeReader {
        let partitions = marks.0.into_iter().map(|(partition, position)| (partition, PartitionReader::at(position)));
        OutcomeReader {
            shared: self.inner.shared.clone(),
            stream: stream.into(),
            partitions: partitions.collect(),
            judged: BTreeMap::new(),
        }
    }
}

/// Reads what is said of events. Those of a partition are asked for in the order of their offsets.
pub struct OutcomeReader {
    shared: Arc<Shared>,
    stream: Arc<str>,
    partitions: BTreeMap<Partition, PartitionReader>,
    /// How far the archive is, of partitions that another process scores.
    judged: BTreeMap<Partition, Offset>,
}

impl OutcomeReader {
    /// What is said of an event; of one that no rule judged, nothing. None: it is not there yet. Blocks.
    ///
    /// # Errors
    /// The log or the archive fails.
    pub fn read(&mut self, place: Place) -> Result<Option<Outcome>, StoreError> {
        let of = StreamPartition { stream: self.stream.clone(), partition: place.partition };
        match self.partitions.get_mut(&place.partition) {
            Some(partition) => partition.read(&self.shared, &of, place.offset),
            None => self.read_archived(&of, place.offset),
        }
    }

    fn read_archived(&mut self, of: &StreamPartition, offset: Offset) -> Result<Option<Outcome>, StoreError> {
        let archive = &self.shared.ports.archive;
        let judged = self.judged.entry(of.partition).or_default();
        if *judged <= offset {
            *judged = archive.judged(of)?;
        }
        if *judged <= offset {
            return Ok(None);
        }
        Ok(Some(archive.outcome(of, offset)?.unwrap_or_else(|| Outcome::silent(offset))))
    }
}

/// The blocks of one partition, one after the other.
struct PartitionReader {
    /// The next block to read.
    position: Offset,
    current: Option<OutcomeCursor>,
    /// The block after the current one, if it was looked at already.
    following: Option<OutcomeCursor>,
}

impl PartitionReader {
    fn at(position: Offset) -> Self {
        Self { position, current: None, following: None }
    }

    fn read(&mut self, shared: &Shared, of: &StreamPartition, offset: Offset) -> Result<Option<Outcome>, StoreError> {
        loop {
            let covered = self.current.as_ref().map(OutcomeCursor::next).filter(|next| *next > offset);
            let Some(next) = covered else {
                if !self.advance(shared, of)? {
                    return Ok(None);
                }
                continue;
            };
            let position = self.position;
            let found = self.current.as_mut().map(|current| current.find(offset)).transpose();
            if let Some(outcome) = found.map_err(|error| unreadable_block(of, position, &error))?.flatten() {
                return Ok(Some(outcome));
            }
            // Blocks that go equally far share what they say: a log may have had to cut one that was too large.
            let is_shared = self.peek(shared, of)?.is_some_and(|following| following.next() == next);
            if !is_shared {
                return Ok(Some(Outcome::silent(offset)));
            }
            self.current = self.following.take();
        }
    }

    /// Goes to the next block. False: it is not there yet.
    fn advance(&mut self, shared: &Shared, of: &StreamPartition) -> Result<bool, StoreError> {
        // The one before is let go of first: one block at a time.
        self.current = None;
        self.peek(shared, of)?;
        self.current = self.following.take();
        Ok(self.current.is_some())
    }

    fn peek(&mut self, shared: &Shared, of: &StreamPartition) -> Result<Option<&OutcomeCursor>, StoreError> {
        if self.following.is_none() {
            let from = self.position;
            let read = shared.ports.log.read(&of.stream, Topic::Verdicts, of.partition, from, 1, READ_BYTES)?;
            if let Some((at, block)) = read.iter().flat_map(Records::iter).find(|(at, _)| *at >= from) {
                let cursor = OutcomeCursor::open(block.to_vec());
                self.following = Some(cursor.map_err(|error| unreadable_block(of, at, &error))?);
                self.position = at.next();
            }
        }
        Ok(self.following.as_ref())
    }
}
