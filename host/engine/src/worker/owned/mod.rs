//! A partition in a worker's hands: where it is in its logs, its turns, its checkpoints. How it is opened stands in
//! `recovery`.

mod cut;
mod recovery;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_core::names::Offset;
use assay_core::verdict::RuleStamp;
use assay_runtime::{Unfinished, thread_cpu_time};
use tokio::sync::oneshot::error::TryRecvError;

use super::RECEIPT;
use super::batch_size::BatchSize;
use super::batches::Batches;
use super::saver::{Save, Saved, Saver};
use super::suspects::{Folding, Suspects};
use super::unsaved::Unsaved;
use crate::metrics::Metrics;
use crate::panics::{Panicked, catch};
use crate::partition::{BatchStats, Halt, Instances, Partition, PartitionError, last_of};
use crate::ports::log::{Bell, Durability, Receipt, Records, Refused, Topic};
use crate::ports::state::Checkpoint;
use crate::ports::{StoreError, StreamPartition};
use crate::probe::Probed;
use crate::resolved::in_schema;
use crate::shared::{FIRST_DELAY, LONGEST_DELAY, Shared, log_stopped};

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
    pub(super) batch_size: BatchSize,
    /// The number of its last turn that scored something.
    pub(super) last_turn: u64,
    /// When that was.
    pub(super) turned_at: Option<Instant>,
    /// When to try again after a store failed.
    pub(super) retry_at: Option<Instant>,
    /// How long ago the oldest event of the batch in hand was appended.
    age: Duration,
    /// The events in hand.
    folding: Option<Folding>,
    suspects: Suspects,
    /// When it was opened, and how long that was waited for.
    opened: (Instant, Duration),
}

/// Whether a partition can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Working,
    /// Verdicts could not be appended, or a panic has left something half-done: nothing may be scored or saved any
    /// more. It is opened anew, and folds again from its last checkpoint.
    Reopen,
    /// A plugin's call was stopped in the middle of a batch: the same, but nothing is wrong.
    Interrupted,
    /// The same, after a panic that tells which events to fold one at a time, or which one not at all.
    Narrowed,
    /// A mistake in this program, which opening it anew would only repeat.
    Stuck,
}

/// A block that was handed to the log.
struct Said {
    receipt: Receipt,
    next: Offset,
}

impl Owned {
    fn checkpoint(&self, catalog: u64) -> Checkpoint {
        let origins = self.partition.origins().to_vec();
        Checkpoint { events: self.events, verdicts: self.verdicts, catalog, origins }
    }

    fn read(&mut self, shared: &Shared) -> Result<Vec<Records>, StoreError> {
        let (of, history) = (self.partition.of(), &self.partition.plan().history);
        let (log, most) = (&shared.ports.log, self.batch_size.rows());
        let records = log.read_events(&of.stream, of.partition, self.events, history.newest(), most, READ_BYTES)?;
        self.unsaved.read(of, self.events, records.first());
        if let Some(first) = records.first() {
            shared.progress.note_read(of, self.events, first.appended_at);
        }
        let records = in_schema(history, records);
        self.partition.note_stored(&records);
        Ok(records)
    }

    /// The records before an offset, and how many of them may be folded together.
    fn batches<'a>(
        &self,
        blocks: &'a [Records],
        before: Offset,
        panicked: &'a BTreeMap<Offset, Refused>,
    ) -> (usize, Batches<'a>) {
        let (rows, end) = self.suspects.limits(self.events, self.batch_size.rows(), before);
        let batches = Batches::of(blocks, end, panicked);
        // Where offsets were left out, the next record may be among the suspects.
        if batches.is_empty() { (1, Batches::of(blocks, before, panicked)) } else { (rows, batches) }
    }

    /// Tells the metrics how many entities are in memory.
    pub(super) fn measure(&self, shared: &Shared) {
        let label = Metrics::partition(self.partition.of());
        shared.metrics.entities.get_or_create(&label).set(self.partition.entities() as i64);
    }

    /// How many events are in the log and not scored yet.
    pub(super) fn lag(&self, shared: &Shared) -> Result<u64, StoreError> {
        let of = self.partition.of();
        let end = shared.ports.log.end(&of.stream, Topic::Events, of.partition)?;
        Ok(end.0.saturating_sub(self.events.0))
    }

    /// Scores a batch of what is there now before an offset. Returns how many events.
    pub(super) fn turn(
        &mut self,
        before: Offset,
        instances: &mut Instances,
        shared: &Shared,
        bell: &Bell,
    ) -> Result<usize, StoreError> {
        match self.fate {
            Fate::Working => {}
            Fate::Reopen | Fate::Interrupted | Fate::Narrowed => return Ok(0),
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
        let since_append = |at: i64| Duration::from_millis(u64::try_from(crate::clock::now_ms() - at).unwrap_or(0));
        self.age = oldest.map(since_append).unwrap_or_default();
        let panicked = self.suspects.panicked().clone();
        let (rows, batches) = self.batches(&blocks, before, &panicked);
        let Some((records, refused)) = batches.iter(rows).next() else { return Ok(0) };
        self.block.clear();
        let started = Instant::now();
        if let Some(stats) = self.score_batch(records, refused, instances, shared)? {
            self.note_batch(stats, started.elapsed(), shared);
        }
        if self.halt.is_some() {
            self.fate = Fate::Reopen;
        }
        if self.fate != Fate::Working {
            // What was said before is still right.
            self.settle(0, shared, bell);
            return Ok(0);
        }
        self.say(shared);
        if let Some(oldest) = oldest {
            let label = Metrics::stream(&self.partition.of().stream);
            let now = crate::clock::now_ms();
            shared.metrics.latency.get_or_create(&label).observe((now - oldest).max(0) as f64 / 1e3);
        }
        Ok(records.len() + refused.len())
    }

    /// Folds a batch and puts its verdicts into `block`. None: a rule halts, or a call was stopped; see `fate` and `halt`.
    fn score_batch(
        &mut self,
        records: &[(Offset, &[u8])],
        refused: &[(Offset, &Refused)],
        instances: &mut Instances,
        shared: &Shared,
    ) -> Result<Option<BatchStats>, StoreError> {
        let cpu_started = thread_cpu_time();
        let state = &*shared.ports.state;
        self.folding = Folding::of(self.events, records);
        shared.config.probe.look(Probed::Fold(self.partition.of(), records));
        let scored = self.partition.score(records, refused, instances, state, &mut self.block);
        self.folding = None;
        let stats = match scored {
            Ok(stats) => stats,
            Err(PartitionError::Store(error)) => return Err(error),
            Err(PartitionError::Halt(halt)) => {
                self.halt = Some(halt);
                return Ok(None);
            }
            Err(PartitionError::Unfinished { rule, cause }) => {
                self.give_up_unfinished(&rule, cause, shared);
                return Ok(None);
            }
            Err(error @ PartitionError::Plan(_)) => {
                self.fate = Fate::Stuck;
                return Err(broken(self.partition.of(), &error));
            }
        };
        if let Some(last) = last_of(records, refused) {
            self.events = last.next();
            shared.progress.note_scored(self.partition.of(), self.events);
        }
        let slowest = stats.rules.iter().map(|turn| turn.time.cpu).max().unwrap_or_default();
        self.batch_size.note(stats.events, thread_cpu_time().saturating_sub(cpu_started), slowest);
        Ok(Some(stats))
    }

    /// Counts what a batch did. What recovery folds again was counted before.
    fn note_batch(&self, stats: BatchStats, took: Duration, shared: &Shared) {
        let metrics = &shared.metrics;
        let label = Metrics::stream(&self.partition.of().stream);
        metrics.scored.get_or_create(&label).inc_by(stats.events as u64);
        metrics.verdicts.get_or_create(&label).inc_by(stats.verdicts as u64);
        metrics.failures.get_or_create(&label).inc_by((stats.failures + stats.unreadable) as u64);
        metrics.late.get_or_create(&label).inc_by(stats.late as u64);
        metrics.batch_time.get_or_create(&label).observe(took.as_secs_f64());
        metrics.note_rules(&stats.rules);
        shared.standings.note(self.partition.of(), self.age, stats.rules);
    }

    /// Some of the batch is folded in already, and none of it is judged: only the last checkpoint is right. Whatever plan
    /// is in effect when the partition is open again judges these events.
    fn give_up_unfinished(&mut self, rule: &Arc<RuleStamp>, cause: Unfinished, shared: &Shared) {
        tracing::info!(partition = %self.partition.of(), rule = rule.rule, %cause, "a batch goes back to the last checkpoint");
        if let Unfinished::TooSlow { exhausted, .. } = cause {
            shared.standings.note_given_up(rule, exhausted);
        }
        self.fate = Fate::Interrupted;
    }

    /// Hands the batch's verdicts to the log. Scoring goes on meanwhile.
    fn say(&mut self, shared: &Shared) {
        let of = self.partition.of();
        let mut records = Records { appended_at: crate::clock::now_ms(), ..Records::default() };
        records.push(&self.block);
        let batches = vec![(of.partition, records)];
        match shared.ports.log.append(&of.stream, Topic::Verdicts, batches, Durability::Ordered) {
            Ok(receipt) => self.under_way.push_back(Said { receipt, next: self.events }),
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
                    shared.hub.publish(self.partition.of(), said.next);
                }
                Err(error) => self.give_up(&error, shared),
            }
        }
    }

    /// The events are folded in already, and their verdicts are not in the log: only the last checkpoint is right.
    fn give_up(&mut self, error: &StoreError, shared: &Shared) {
        let of = self.partition.of();
        tracing::warn!(partition = %of, %error, "verdicts cannot be appended; going back to the last checkpoint");
        shared.health.note(&format!("partition {of}"), Some(&error.to_string()));
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

    /// Does something with the partition; none: it panicked. What is in memory may be half-changed then: the partition
    /// is opened anew, and only this one.
    pub(super) fn guarded<T>(&mut self, doing: &str, shared: &Shared, act: impl FnOnce(&mut Self) -> T) -> Option<T> {
        catch(|| act(self)).map_err(|panicked| self.give_up_after(doing, &panicked, shared)).ok()
    }

    fn give_up_after(&mut self, doing: &str, panicked: &Panicked, shared: &Shared) {
        let of = self.partition.of();
        tracing::error!(partition = %of, doing, %panicked, "a panic; the partition goes back to its last checkpoint");
        shared.health.note(&format!("partition {of}"), Some(&format!("{doing} {panicked}")));
        self.under_way.clear();
        self.fate = Fate::Reopen;
        if let Some(folding) = self.folding.take() {
            self.suspects.note(&folding, panicked);
            self.fate = Fate::Narrowed;
        }
    }

    /// Whether it has to be opened anew.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.fate, Fate::Reopen | Fate::Interrupted | Fate::Narrowed) || self.saved.has_failed()
    }

    /// True when it has to be opened anew only because a call was stopped.
    pub(super) fn was_interrupted(&self) -> bool {
        self.fate == Fate::Interrupted
    }

    /// What is known of panics in it, for whoever opens it anew.
    pub(super) fn take_suspects(&mut self) -> Suspects {
        std::mem::take(&mut self.suspects)
    }

    /// How long to wait until it is opened anew: longer each time, unless it went well for a while, or it is known what
    /// to do differently.
    pub(super) fn delay(&self) -> Duration {
        let (at, delay) = self.opened;
        let went_well = at.elapsed() > 2 * LONGEST_DELAY;
        if went_well || self.halt.is_some() || self.fate == Fate::Narrowed { FIRST_DELAY } else { delay }
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
