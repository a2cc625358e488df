//! Following verdicts as they come: a cursor over the verdict logs of all partitions, whichever process scores them.
//!
//! Nothing is buffered for a reader. Whoever is slow reads older parts of the log, and whoever comes back goes on where
//! the mark says that he was; what the log has deleted meanwhile is told.

mod resume_token;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_core::names::{Offset, PartitionIndex};
use assay_core::verdict::{Outcome, Verdict, VerdictBlock, read_block};
use tokio::sync::watch;

use crate::plan::Plan;
use crate::ports::catalog::Kind;
use crate::ports::log::{Records, Topic};
use crate::ports::{PartitionId, Place, StoreError};
use crate::problem::ReadError;
use crate::shared::{Shared, unreadable_block_error};
use resume_token::Position;

/// The most verdicts that are handed over at once.
const MAX_VERDICTS_AT_ONCE: usize = 256;
/// Blocks of verdicts that are read of a partition at once, about.
const READ_BLOCKS: usize = 64;
/// Bytes that are read of a partition at once, about.
const READ_BYTES: usize = 1 << 20;
/// The interval at which verdicts of other processes are looked for: no wake signal comes for them.
const REMOTE_POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The filter of verdicts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveFilter {
    /// Of this stream.
    pub stream: Option<String>,
    /// Of this rule.
    pub rule: Option<String>,
    /// Those with this tag.
    pub tag: Option<String>,
    /// Those with at least this score.
    pub min: Option<f64>,
}

/// Verdicts of all partitions, from a place on.
pub struct LiveVerdicts {
    shared: Arc<Shared>,
    filter: LiveFilter,
    streams: BTreeMap<String, Vec<Position>>,
    /// The partition to begin with next time, so that a busy one does not starve the others.
    next_index: usize,
}

/// Something that a reader of live verdicts is told.
#[derive(Clone, Debug, PartialEq)]
pub enum LiveItem {
    /// A verdict.
    Verdict(Box<LiveVerdict>),
    /// The log has deleted verdicts before they were read.
    Missed {
        /// Of which partition.
        partition: PartitionId,
        /// The number of missed batches of verdicts.
        batches: u64,
        /// The mark from which a reader resumes after this.
        mark: String,
    },
}

/// A verdict on an event.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveVerdict {
    /// The event's stream.
    pub stream: Arc<str>,
    /// The event's place in the log.
    pub place: Place,
    /// The event's id; empty if its stream declares none.
    pub id: String,
    /// The entity.
    pub key: String,
    /// The event's time, ms since 1970.
    pub time: i64,
    /// The verdict.
    pub verdict: Verdict,
    /// The mark from which a reader resumes after this.
    pub mark: String,
}

impl LiveFilter {
    fn takes(&self, verdict: &Verdict) -> bool {
        self.rule.as_ref().is_none_or(|rule| verdict.by.rule == *rule)
            && self.tag.as_ref().is_none_or(|tag| verdict.tags.contains(tag))
            && self.min.is_none_or(|min| verdict.score.is_some_and(|score| score >= min))
    }
}

/// Hands out cursors over verdicts as they come.
pub struct LiveVerdictService {
    shared: Arc<Shared>,
}

impl LiveVerdictService {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Follows verdicts: from now on, or after a mark. Blocks.
    ///
    /// # Errors
    /// The stream or the rule is unknown, the mark is malformed, or the log fails.
    pub fn follow(&self, filter: LiveFilter, mark: Option<&str>) -> Result<LiveVerdicts, ReadError> {
        let plan = self.shared.plan();
        if let Some(stream) = filter.stream.as_ref().filter(|stream| !plan.streams.contains_key(*stream)) {
            return Err(ReadError::NotFound(plan.describe_unknown_stream(stream)));
        }
        if let Some(rule) = filter.rule.as_ref().filter(|rule| plan.snapshot.get(Kind::Rule, rule).is_none()) {
            return Err(ReadError::NotFound(format!("there is no rule '{rule}'")));
        }
        let mut live = LiveVerdicts { shared: self.shared.clone(), filter, streams: BTreeMap::new(), next_index: 0 };
        match mark {
            Some(mark) => live.streams = resume_token::read(mark).ok_or_else(|| bad_mark(mark))?,
            None => live.begin_at_ends(&plan)?,
        }
        Ok(live)
    }

    /// Changes when there are verdicts of this process's partitions.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.shared.verdicts_appended.subscribe()
    }
}

impl LiveVerdicts {
    fn begin_at_ends(&mut self, plan: &Plan) -> Result<(), StoreError> {
        for name in self.wanted(plan) {
            let ends = (0..plan.streams[&name].partitions)
                .map(|partition| self.shared.ports.log.end(&name, Topic::Verdicts, PartitionIndex(partition)));
            let positions = ends.map(|end| Ok(Position { block: end?.0, is_sure: true, ..Position::default() }));
            self.streams.insert(name.clone(), positions.collect::<Result<_, StoreError>>()?);
        }
        Ok(())
    }

    fn wanted(&self, plan: &Plan) -> Vec<String> {
        let is_wanted = |name: &&String| self.filter.stream.as_ref().is_none_or(|wanted| wanted == *name);
        plan.streams.keys().filter(is_wanted).cloned().collect()
    }

    /// The next verdicts that are there already, about as many as are handed over at once. None: wait for
    /// [`LiveVerdictService::subscribe`], but not for longer than half a second, for verdicts of other processes. Blocks.
    ///
    /// # Errors
    /// The log fails.
    pub fn read(&mut self) -> Result<Vec<LiveItem>, StoreError> {
        let plan = self.shared.plan();
        let wanted = self.wanted(&plan);
        self.streams.retain(|name, _| wanted.contains(name));
        for name in &wanted {
            // A stream that was made meanwhile is read from its beginning.
            let partitions = plan.streams[name].partitions as usize;
            self.streams.entry(name.clone()).or_default().resize(partitions, Position::default());
        }
        let all: Vec<PartitionId> =
            plan.partitions().filter(|partition| self.streams.contains_key(&*partition.stream)).collect();
        let mut found = Vec::new();
        for step in 0..all.len() {
            let index = (self.next_index + step) % all.len();
            self.read_partition(&all[index], &mut found)?;
            if found.len() >= MAX_VERDICTS_AT_ONCE {
                self.next_index = index + 1;
                break;
            }
        }
        Ok(found)
    }

    fn read_partition(&mut self, partition: &PartitionId, found: &mut Vec<LiveItem>) -> Result<(), StoreError> {
        let shared = self.shared.clone();
        let log = &shared.ports.log;
        let Some(position) = self.position(partition) else { return Ok(()) };
        if !shared.is_owned(partition) {
            if position.asked.is_some_and(|asked| asked.elapsed() < REMOTE_POLL_INTERVAL) {
                return Ok(());
            }
            position.asked = Some(Instant::now());
        }
        let from = position.block;
        if log.end(&partition.stream, Topic::Verdicts, partition.partition)?.0 <= from {
            return Ok(());
        }
        let kept = || log.kept(&partition.stream, Topic::Verdicts, partition.partition);
        let mut first = if position.is_sure { from } else { kept()?.first.0.max(from) };
        position.is_sure = true;
        let records =
            log.read_verdicts(&partition.stream, partition.partition, Offset(first), READ_BLOCKS, READ_BYTES)?;
        if records.first().is_some_and(|block| block.first.0 > first) {
            // Deleted while they were waiting to be read.
            first = kept()?.first.0.max(first);
        }
        if first > from {
            self.note(partition, |position| *position = Position { block: first, verdicts: 0, ..position.clone() });
            let mark = self.mark();
            found.push(LiveItem::Missed { partition: partition.clone(), batches: first - from, mark });
        }
        for (offset, bytes) in records.iter().flat_map(Records::iter) {
            let block = read_block(bytes).map_err(|error| unreadable_block_error(partition, offset, &error))?;
            if !self.hand_over(partition, offset, block, found) {
                break;
            }
        }
        Ok(())
    }

    /// Hands over a block's verdicts; false: there was no room for all.
    fn hand_over(
        &mut self,
        partition: &PartitionId,
        offset: Offset,
        block: VerdictBlock,
        found: &mut Vec<LiveItem>,
    ) -> bool {
        let Some(position) = self.position(partition) else { return true };
        let skip = if position.block == offset.0 { position.verdicts } else { 0 };
        let done = position.done;
        position.block = offset.0;
        let mut count = 0;
        for Outcome { offset: event, time, key, id, verdicts, .. } in block.outcomes {
            for verdict in verdicts {
                count += 1;
                if count <= skip || event.0 < done || !self.filter.takes(&verdict) {
                    continue;
                }
                if found.len() >= MAX_VERDICTS_AT_ONCE {
                    self.note(partition, |position| position.verdicts = count - 1);
                    return false;
                }
                self.note(partition, |position| position.verdicts = count);
                let place = Place { partition: partition.partition, offset: event };
                let (stream, mark) = (partition.stream.clone(), self.mark());
                let (id, key) = (id.clone(), key.clone());
                found.push(LiveItem::Verdict(Box::new(LiveVerdict { stream, place, id, key, time, verdict, mark })));
            }
        }
        self.note(partition, |position| {
            (position.block, position.verdicts) = (offset.0 + 1, 0);
            position.done = done.max(block.next.0);
        });
        true
    }

    fn position(&mut self, partition: &PartitionId) -> Option<&mut Position> {
        self.streams.get_mut(&*partition.stream)?.get_mut(partition.partition.0 as usize)
    }

    fn note(&mut self, partition: &PartitionId, note: impl FnOnce(&mut Position)) {
        if let Some(position) = self.position(partition) {
            note(position);
        }
    }

    /// The mark of the current position, as [`LiveVerdictService::follow`] takes it.
    pub fn mark(&self) -> String {
        resume_token::write(&self.streams)
    }
}

fn bad_mark(mark: &str) -> ReadError {
    let shown: String = mark.chars().take(100).collect();
    ReadError::Bad(format!("Last-Event-ID: '{shown}' is no id of this stream; begin without one"))
}
