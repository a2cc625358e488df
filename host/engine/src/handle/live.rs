//! Following verdicts as they come: a cursor over the verdict logs of all partitions, whichever process scores them.
//!
//! Nothing is buffered for a reader. Whoever is slow reads older parts of the log, and whoever comes back goes on where
//! the mark says that he was; what the log has deleted meanwhile is told.

mod mark;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_core::names::{Offset, Partition};
use assay_core::verdict::{Outcome, Verdict, VerdictBlock, read_block};
use tokio::sync::watch;

use self::mark::Position;
use super::Engine;
use crate::plan::Plan;
use crate::ports::catalog::Kind;
use crate::ports::log::{Records, Topic};
use crate::ports::{Place, StoreError, StreamPartition};
use crate::problem::ReadError;
use crate::shared::unreadable_block;

/// How many verdicts are handed over at once, at most.
const AT_ONCE: usize = 256;
/// Blocks of verdicts that are read of a partition at once, about.
const READ_BLOCKS: usize = 64;
/// Bytes that are read of a partition at once, about.
const READ_BYTES: usize = 1 << 20;
/// How often to look for what other processes say: no bell rings here for them.
const ELSEWHERE: Duration = Duration::from_millis(500);

/// Which verdicts are wanted.
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
    engine: Engine,
    filter: LiveFilter,
    streams: BTreeMap<String, Vec<Position>>,
    /// The partition to begin with next time, so that a busy one does not starve the others.
    turn: usize,
}

/// Something that a follower is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Live {
    /// A verdict.
    Said(Box<Said>),
    /// The log has deleted verdicts before they were read.
    Missed {
        /// Of which partition.
        of: StreamPartition,
        /// How many batches of verdicts.
        batches: u64,
        /// Where to go on behind this.
        mark: String,
    },
}

/// A verdict on an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// The event's stream.
    pub stream: Arc<str>,
    /// Where the event is.
    pub place: Place,
    /// The event's id; empty if its stream declares none.
    pub id: String,
    /// The entity.
    pub key: String,
    /// The event's time, ms since 1970.
    pub time: i64,
    /// What was said.
    pub verdict: Verdict,
    /// Where to go on behind this.
    pub mark: String,
}

impl LiveFilter {
    fn takes(&self, verdict: &Verdict) -> bool {
        self.rule.as_ref().is_none_or(|rule| verdict.by.rule == *rule)
            && self.tag.as_ref().is_none_or(|tag| verdict.tags.contains(tag))
            && self.min.is_none_or(|min| verdict.score.is_some_and(|score| score >= min))
    }
}

impl Engine {
    /// Follows verdicts: from now on, or behind a mark. Blocks.
    ///
    /// # Errors
    /// The stream or the rule is unknown, the mark is none, or the log fails.
    pub fn follow(&self, filter: LiveFilter, mark: Option<&str>) -> Result<LiveVerdicts, ReadError> {
        let plan = self.plan();
        if let Some(stream) = filter.stream.as_ref().filter(|stream| !plan.streams.contains_key(*stream)) {
            return Err(ReadError::NotFound(format!("there is no stream '{stream}'")));
        }
        if let Some(rule) = filter.rule.as_ref().filter(|rule| plan.snapshot.get(Kind::Rule, rule).is_none()) {
            return Err(ReadError::NotFound(format!("there is no rule '{rule}'")));
        }
        let mut live = LiveVerdicts { engine: self.clone(), filter, streams: BTreeMap::new(), turn: 0 };
        match mark {
            Some(mark) => live.streams = mark::read(mark).ok_or_else(|| bad_mark(mark))?,
            None => live.begin_at_ends(&plan)?,
        }
        Ok(live)
    }

    /// Changes when there are verdicts of this process's partitions.
    pub fn said(&self) -> watch::Receiver<u64> {
        self.inner.shared.said.rings()
    }
}

impl LiveVerdicts {
    fn begin_at_ends(&mut self, plan: &Plan) -> Result<(), StoreError> {
        for name in self.wanted(plan) {
            let ends = (0..plan.streams[&name].partitions)
                .map(|partition| self.engine.ports().log.end(&name, Topic::Verdicts, Partition(partition)));
            let positions = ends.map(|end| Ok(Position { block: end?.0, is_sure: true, ..Position::default() }));
            self.streams.insert(name.clone(), positions.collect::<Result<_, StoreError>>()?);
        }
        Ok(())
    }

    fn wanted(&self, plan: &Plan) -> Vec<String> {
        let is_wanted = |name: &&String| self.filter.stream.as_ref().is_none_or(|wanted| wanted == *name);
        plan.streams.keys().filter(is_wanted).cloned().collect()
    }

    /// The next verdicts that are there already, about as many as are handed over at once. None: wait for [`Engine::said`],
    /// but not for longer than half a second, for verdicts of other processes. Blocks.
    ///
    /// # Errors
    /// The log fails.
    pub fn read(&mut self) -> Result<Vec<Live>, StoreError> {
        let plan = self.engine.plan();
        let wanted = self.wanted(&plan);
        self.streams.retain(|name, _| wanted.contains(name));
        for name in &wanted {
            // A stream that was made meanwhile is read from its beginning.
            let partitions = plan.streams[name].partitions as usize;
            self.streams.entry(name.clone()).or_default().resize(partitions, Position::default());
        }
        let all: Vec<StreamPartition> = plan.partitions().filter(|of| self.streams.contains_key(&*of.stream)).collect();
        let mut found = Vec::new();
        for step in 0..all.len() {
            let index = (self.turn + step) % all.len();
            self.read_partition(&all[index], &mut found)?;
            if found.len() >= AT_ONCE {
                self.turn = index + 1;
                break;
            }
        }
        Ok(found)
    }

    fn read_partition(&mut self, of: &StreamPartition, found: &mut Vec<Live>) -> Result<(), StoreError> {
        let shared = self.engine.inner.shared.clone();
        let log = &shared.ports.log;
        let Some(position) = self.position(of) else { return Ok(()) };
        if !shared.is_mine(of) {
            if position.asked.is_some_and(|asked| asked.elapsed() < ELSEWHERE) {
                return Ok(());
            }
            position.asked = Some(Instant::now());
        }
        let from = position.block;
        if log.end(&of.stream, Topic::Verdicts, of.partition)?.0 <= from {
            return Ok(());
        }
        let kept = || log.kept(&of.stream, Topic::Verdicts, of.partition);
        let mut first = if position.is_sure { from } else { kept()?.first.0.max(from) };
        position.is_sure = true;
        let records = log.read(&of.stream, Topic::Verdicts, of.partition, Offset(first), READ_BLOCKS, READ_BYTES)?;
        if records.first().is_some_and(|block| block.first.0 > first) {
            // Deleted while they were waiting to be read.
            first = kept()?.first.0.max(first);
        }
        if first > from {
            self.note(of, |position| *position = Position { block: first, verdicts: 0, ..position.clone() });
            let mark = self.mark();
            found.push(Live::Missed { of: of.clone(), batches: first - from, mark });
        }
        for (offset, bytes) in records.iter().flat_map(Records::iter) {
            let block = read_block(bytes).map_err(|error| unreadable_block(of, offset, &error))?;
            if !self.hand_over(of, offset, block, found) {
                break;
            }
        }
        Ok(())
    }

    /// Hands over a block's verdicts; false: there was no room for all.
    fn hand_over(&mut self, of: &StreamPartition, offset: Offset, block: VerdictBlock, found: &mut Vec<Live>) -> bool {
        let Some(position) = self.position(of) else { return true };
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
                if found.len() >= AT_ONCE {
                    self.note(of, |position| position.verdicts = count - 1);
                    return false;
                }
                self.note(of, |position| position.verdicts = count);
                let place = Place { partition: of.partition, offset: event };
                let (stream, mark) = (of.stream.clone(), self.mark());
                let (id, key) = (id.clone(), key.clone());
                found.push(Live::Said(Box::new(Said { stream, place, id, key, time, verdict, mark })));
            }
        }
        self.note(of, |position| {
            (position.block, position.verdicts) = (offset.0 + 1, 0);
            position.done = done.max(block.next.0);
        });
        true
    }

    fn position(&mut self, of: &StreamPartition) -> Option<&mut Position> {
        self.streams.get_mut(&*of.stream)?.get_mut(of.partition.0 as usize)
    }

    fn note(&mut self, of: &StreamPartition, note: impl FnOnce(&mut Position)) {
        if let Some(position) = self.position(of) {
            note(position);
        }
    }

    /// Where this is, as `Engine::follow` takes it.
    pub fn mark(&self) -> String {
        mark::write(&self.streams)
    }
}

fn bad_mark(mark: &str) -> ReadError {
    let shown: String = mark.chars().take(100).collect();
    ReadError::Bad(format!("Last-Event-ID: '{shown}' is no id of this stream; begin without one"))
}
