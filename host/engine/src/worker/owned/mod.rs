//! A partition in a worker's hands: where it is in its logs, its turns, its checkpoints. How it is opened stands in
//! `recovery`.

mod cut;
mod recovery;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use assay_core::names::Offset;
use tokio::sync::oneshot::error::TryRecvError;

use super::RECEIPT;
use super::batches::Batches;
use super::saver::{Save, Saved, Saver};
use super::unsaved::Unsaved;
use crate::metrics::Metrics;
use crate::partition::{Halt, Instances, Partition, PartitionError, last_of};
use crate::ports::log::{Bell, Durability, Receipt, Records, Refused, Topic};
use crate::ports::state::Checkpoint;
use crate::ports::{StoreError, StreamPartition};
use crate::resolved::in_schema;
use crate::shared::{Shared, log_stopped};

/// Bytes of events that are read at once, about.
const READ_BYTES: usize = 4 << 20;
/// Blocks of verdicts of a partition that may be on their way into the log; then its scoring waits, and its next block
/// is larger. Clients of a log that keep order have five requests under way; one that had to hold back a sixth was seen
/// to burn a core meanwhile.
const MOST_UNDER_WAY: usize = 5;

/// A partition in a worker's hands.
pub(super) struct Owned {
    pub(super) partition: Partition,
    /// The next event to score.
    events: Offset,
    /// The end of the verdicts.
    verdicts: Offset,
    /// What the last checkpoint said.
    saved_at: Checkpoint,
    due: Instant,
    saved: Arc<Saved>,
    unsaved: Unsaved,
    block: Vec<u8>,
    /// Blocks that were handed to the log, and are not known to be in it yet.
    under_way: VecDeque<Said>,
    /// What became of it if it cannot go on.
    fate: Fate,
    /// Why it has to be opened anew, if a rule wants that.
    halt: Option<Halt>,
}

/// Whether a partition can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Working,
    /// Verdicts could not be appended: nothing may be scored or saved any more. It is opened anew, and folds again
    /// from its last checkpoint.
    Reopen,
    /// A mistake in this program, which opening it anew would only repeat.
    Stuck,
}

/// A block that was handed to the log.
struct Said {
    receipt: Receipt,
    from: Offset,
    next: Offset,
    block: Vec<u8>,
}

impl Owned {
    fn checkpoint(&self, catalog: u64) -> Checkpoint {
        let origins = self.partition.origins().to_vec();
        Checkpoint { events: self.events, verdicts: self.verdicts, catalog, origins }
    }

    fn read(&mut self, shared: &Shared) -> Result<Vec<Records>, StoreError> {
        let (of, history) = (self.partition.of(), &self.partition.plan().history);
        let (log, most) = (&shared.ports.log, shared.config.batch_rows);
        let records = log.read_events(&of.stream, of.partition, self.events, history.newest(), most, READ_BYTES)?;
        self.unsaved.read(of, self.events, records.first());
        Ok(in_schema(history, records))
    }

    /// Tells the metrics how many events wait and how many entities are in memory.
    pub(super) fn measure(&self, shared: &Shared, lag: u64) {
        let label = Metrics::partition(self.partition.of());
        shared.metrics.lag.get_or_create(&label).set(lag as i64);
        shared.metrics.entities.get_or_create(&label).set(self.partition.entities() as i64);
    }

    /// How many events are in the log and not scored yet.
    pub(super) fn lag(&self, shared: &Shared) -> Result<u64, StoreError> {
        let of = self.partition.of();
        let end = shared.ports.log.end(&of.stream, Topic::Events, of.partition)?;
        Ok(end.0.saturating_sub(self.events.0))
    }

    /// Scores what is there now before an offset, a batch or a few. Returns how many events.
    pub(super) fn turn(
        &mut self,
        before: Offset,
        instances: &mut Instances,
        shared: &Shared,
        bell: &Bell,
    ) -> Result<usize, StoreError> {
        match self.fate {
            Fate::Working => {}
            Fate::Reopen => return Ok(0),
            Fate::Stuck => {
                let message = format!("{}: stopped after an error inside the engine; see the log", self.partition.of());
                return Err(StoreError::Broken { store: "engine", message });
            }
        }
        if self.events >= before {
            return Ok(0);
        }
        let blocks = self.read(shared)?;
        let oldest = blocks.first().map(|block| block.appended_at);
        let batches = Batches::of(&blocks, before);
        for (records, refused) in batches.iter(shared.config.batch_rows) {
            self.settle(MOST_UNDER_WAY - 1, shared, bell);
            if self.fate != Fate::Working {
                break;
            }
            self.block.clear();
            let from = self.events;
            self.score_batch(records, refused, instances, shared)?;
            if self.halt.is_some() {
                // What was said before is still right.
                self.settle(0, shared, bell);
                self.fate = Fate::Reopen;
                return Ok(0);
            }
            self.say(from, shared);
        }
        if let Some(oldest) = oldest {
            let label = Metrics::stream(&self.partition.of().stream);
            let now = crate::clock::now_ms();
            shared.metrics.latency.get_or_create(&label).observe((now - oldest).max(0) as f64 / 1e3);
        }
        Ok(batches.len())
    }

    fn score_batch(
        &mut self,
        records: &[(Offset, &[u8])],
        refused: &[(Offset, &Refused)],
        instances: &mut Instances,
        shared: &Shared,
    ) -> Result<(), StoreError> {
        let started = Instant::now();
        let state = &*shared.ports.state;
        let stats = match self.partition.score(records, refused, instances, state, &mut self.block) {
            Ok(stats) => stats,
            Err(PartitionError::Store(error)) => return Err(error),
            Err(PartitionError::Halt(halt)) => {
                self.halt = Some(halt);
                return Ok(());
            }
            Err(error @ PartitionError::Plan(_)) => {
                self.fate = Fate::Stuck;
                return Err(broken(self.partition.of(), &error));
            }
        };
        if let Some(last) = last_of(records, refused) {
            self.events = last.next();
        }
        let metrics = &shared.metrics;
        let label = Metrics::stream(&self.partition.of().stream);
        metrics.scored.get_or_create(&label).inc_by(stats.events as u64);
        metrics.verdicts.get_or_create(&label).inc_by(stats.verdicts as u64);
        metrics.failures.get_or_create(&label).inc_by((stats.failures + stats.unreadable) as u64);
        metrics.late.get_or_create(&label).inc_by(stats.late as u64);
        metrics.batch_time.get_or_create(&label).observe(started.elapsed().as_secs_f64());
        metrics.note_rules(&stats.rules);
        shared.standings.note(self.partition.of(), stats.rules);
        Ok(())
    }

    /// Hands the batch's verdicts to the log. Scoring goes on meanwhile.
    fn say(&mut self, from: Offset, shared: &Shared) {
        let of = self.partition.of();
        let block = std::mem::take(&mut self.block);
        let mut records = Records { appended_at: crate::clock::now_ms(), ..Records::default() };
        records.push(&block);
        let batches = vec![(of.partition, records)];
        match shared.ports.log.append(&of.stream, Topic::Verdicts, batches, Durability::Ordered) {
            Ok(receipt) => self.under_way.push_back(Said { receipt, from, next: self.events, block }),
            Err(error) => self.give_up(&error, shared),
        }
    }

    /// Publishes the blocks that have come into the log, and waits until at most `most` are on their way.
    fn settle(&mut self, most: usize, shared: &Shared, bell: &Bell) {
        while let Some(first) = self.under_way.front_mut() {
            let result = match first.receipt.try_recv() {
                Ok(result) => result,
                Err(TryRecvError::Empty) if self.under_way.len() <= most || shared.is_stopping() => return,
                Err(TryRecvError::Empty) => {
                    bell.wait(RECEIPT);
                    continue;
                }
                Err(TryRecvError::Closed) => Err(log_stopped()),
            };
            let Some(said) = self.under_way.pop_front() else { return };
            match result {
                Ok(appended) => {
                    let place = appended.first().and_then(|appended| appended.place(0));
                    self.verdicts = place.map_or(self.verdicts, |place| place.offset.next());
                    shared.hub.publish(self.partition.of(), said.from, said.next, said.block);
                }
                Err(error) => self.give_up(&error, shared),
            }
        }
    }

    /// The events are folded in already, and their verdicts are not in the log: only the last checkpoint is right.
    fn give_up(&mut self, error: &StoreError, shared: &Shared) {
        let of = self.partition.of();
        tracing::warn!(partition = %of, %error, "verdicts cannot be appended; going back to the last checkpoint");
        shared.health.note(&format!("partition {of}"), Some(&error.to_string()), 0);
        self.under_way.clear();
        self.fate = Fate::Reopen;
    }

    /// Whether as many blocks as may be are on their way into the log.
    pub(super) fn is_full(&mut self, shared: &Shared, bell: &Bell) -> bool {
        self.settle(MOST_UNDER_WAY, shared, bell);
        self.under_way.len() >= MOST_UNDER_WAY
    }

    /// Whether verdicts are on their way into the log.
    pub(super) fn is_waiting(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Whether it has to be opened anew.
    pub(super) fn has_failed(&self) -> bool {
        self.fate == Fate::Reopen
    }

    /// Where a rule wants it to wait when it is opened anew.
    pub(super) fn take_halt(&mut self) -> Option<Halt> {
        self.halt.take()
    }

    /// Saves a checkpoint if one is due and something has changed.
    pub(super) fn save_if_due(&mut self, saver: &Saver, shared: &Shared, bell: &Bell) {
        self.settle(MOST_UNDER_WAY, shared, bell);
        self.unsaved.tell(self.saved.barrier(), self.partition.of(), &shared.needs);
        if Instant::now() < self.due || !saver.is_free() {
            return;
        }
        self.due = Instant::now() + self.saved.pause(shared.config.checkpoint_every);
        let catalog = self.partition.catalog();
        self.save(catalog, saver, shared, bell);
        self.partition.evict(shared.config.entities_in_memory, self.saved.barrier());
    }

    /// Hands a checkpoint to the saver, if something has changed since the last. Waits until all verdicts before it are
    /// in the log.
    pub(super) fn save(&mut self, catalog: u64, saver: &Saver, shared: &Shared, bell: &Bell) {
        self.settle(0, shared, bell);
        let checkpoint = self.checkpoint(catalog);
        if checkpoint == self.saved_at || self.fate != Fate::Working || self.is_waiting() {
            return;
        }
        let barrier = self.partition.barrier();
        self.unsaved.hand_over(barrier.epoch, self.events);
        let of = self.partition.of().clone();
        self.saved_at = checkpoint.clone();
        saver.save(Save { of, checkpoint, barrier, saved: self.saved.clone() });
    }
}

fn broken(of: &StreamPartition, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Broken { store: "engine", message: format!("{of}: {error}") }
}
