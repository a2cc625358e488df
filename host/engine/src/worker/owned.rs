//! A partition in a worker's hands: where it is in its logs, its recovery, its checkpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use assay_core::names::Offset;
use assay_core::verdict::block_flags;

use super::saver::{Save, Saver};
use crate::partition::{Instances, Partition, PartitionError};
use crate::plan::{Plan, StreamPlan};
use crate::ports::log::{Bell, Durability, Records, Topic};
use crate::ports::state::Checkpoint;
use crate::ports::{StoreError, StreamPartition};
use crate::shared::{FIRST_DELAY, Shared};

/// Bytes of events that are read at once, about.
const READ_BYTES: usize = 4 << 20;

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
    saved: Arc<AtomicU64>,
    block: Vec<u8>,
    /// Something was folded in without its verdicts being appended: nothing may be scored or saved any more. The
    /// next start folds again from the last checkpoint.
    is_silenced: bool,
}

impl Owned {
    /// Opens a partition where the last owner left it: events whose verdicts are in the log already are folded again,
    /// by the rules that gave those verdicts, and nothing is appended for them.
    pub(super) fn open(
        of: StreamPartition,
        plan: &Plan,
        stream: &Arc<StreamPlan>,
        shared: &Shared,
    ) -> Result<Self, StoreError> {
        let version = plan.snapshot.version;
        let checkpoint = match shared.ports.state.checkpoint(&of)? {
            Some(checkpoint) => checkpoint,
            None => {
                // Says which rules the first events are judged by, before any of them is.
                let first = Checkpoint { catalog: version, ..Checkpoint::default() };
                shared.ports.state.save(&of, first, &[])?;
                first
            }
        };
        let (verdicts, judged) = tail(&of, checkpoint, shared)?;
        let partition = Partition::new(of.clone(), stream.clone(), version).map_err(|error| broken(&of, &error))?;
        let mut owned = Self {
            partition,
            events: checkpoint.events,
            verdicts,
            saved_at: checkpoint,
            due: Instant::now() + shared.config.checkpoint_every,
            saved: Arc::new(AtomicU64::new(0)),
            block: Vec::new(),
            is_silenced: false,
        };
        if judged > checkpoint.events {
            owned.fold_again(judged, checkpoint.catalog, plan, shared)?;
        }
        if checkpoint.catalog != version {
            owned.hand_over(plan, shared)?;
        }
        shared.hub.open(&of, owned.events);
        Ok(owned)
    }

    /// Folds the events up to `judged` by the rules of an older version of the catalog, without saying anything.
    fn fold_again(&mut self, judged: Offset, catalog: u64, now: &Plan, shared: &Shared) -> Result<(), StoreError> {
        let of = self.partition.of().clone();
        tracing::info!(partition = %of, from = %self.events, to = %judged, catalog, "recovering: folding events again");
        let then = if catalog == now.snapshot.version { None } else { plan_at(catalog, shared)? };
        let stream = then.as_ref().unwrap_or(&now.streams).get(&*of.stream);
        let Some(stream) = stream.cloned() else { return Ok(()) };
        self.partition.adopt(stream.clone(), catalog).map_err(|error| broken(&of, &error))?;
        let mut instances = Instances::default();
        instances.equip(&stream, &shared.config.limits).map_err(|error| broken(&of, &error))?;
        while self.events < judged {
            let blocks = self.read(shared)?;
            let records: Vec<(Offset, &[u8])> =
                blocks.iter().flat_map(Records::iter).filter(|(offset, _)| *offset < judged).collect();
            if records.is_empty() {
                let message = format!("{of}: the events before {judged} were judged, but end at {}", self.events);
                return Err(StoreError::Broken { store: "log", message });
            }
            for batch in records.chunks(shared.config.batch_rows) {
                self.block.clear();
                self.score_batch(batch, &mut instances, shared)?;
            }
        }
        Ok(())
    }

    /// Before the first event is judged by the rules of now, everything is saved with their version.
    fn hand_over(&mut self, now: &Plan, shared: &Shared) -> Result<(), StoreError> {
        let of = self.partition.of().clone();
        let Some(stream) = now.streams.get(&*of.stream) else { return Ok(()) };
        let (_, rows) = self.partition.barrier();
        let checkpoint = self.checkpoint(now.snapshot.version);
        shared.ports.state.save(&of, checkpoint, &rows)?;
        self.saved_at = checkpoint;
        self.partition.adopt(stream.clone(), now.snapshot.version).map_err(|error| broken(&of, &error))
    }

    fn checkpoint(&self, catalog: u64) -> Checkpoint {
        Checkpoint { events: self.events, verdicts: self.verdicts, catalog }
    }

    fn read(&self, shared: &Shared) -> Result<Vec<Records>, StoreError> {
        let of = self.partition.of();
        let most = shared.config.batch_rows;
        shared.ports.log.read(&of.stream, Topic::Events, of.partition, self.events, most, READ_BYTES)
    }

    /// How many events are in the log and not scored yet.
    pub(super) fn lag(&self, shared: &Shared) -> Result<u64, StoreError> {
        let of = self.partition.of();
        let end = shared.ports.log.end(&of.stream, Topic::Events, of.partition)?;
        Ok(end.0.saturating_sub(self.events.0))
    }

    /// Scores what is there now, a batch or a few. Returns how many events.
    pub(super) fn turn(
        &mut self,
        instances: &mut Instances,
        shared: &Shared,
        bell: &Bell,
    ) -> Result<usize, StoreError> {
        if self.is_silenced {
            let message = format!("{}: stopped after an error inside the engine; see the log", self.partition.of());
            return Err(StoreError::Broken { store: "engine", message });
        }
        let blocks = self.read(shared)?;
        let oldest = blocks.first().map(|block| block.appended_at);
        let records: Vec<(Offset, &[u8])> = blocks.iter().flat_map(Records::iter).collect();
        for batch in records.chunks(shared.config.batch_rows) {
            self.block.clear();
            let from = self.events;
            self.score_batch(batch, instances, shared)?;
            self.say(from, shared, bell);
        }
        if let Some(oldest) = oldest {
            let label = crate::metrics::Metrics::stream(&self.partition.of().stream);
            let now = crate::clock::now_ms();
            shared.metrics.latency.get_or_create(&label).observe((now - oldest).max(0) as f64 / 1e3);
        }
        Ok(records.len())
    }

    fn score_batch(
        &mut self,
        batch: &[(Offset, &[u8])],
        instances: &mut Instances,
        shared: &Shared,
    ) -> Result<(), StoreError> {
        let started = Instant::now();
        let state = &*shared.ports.state;
        let stats = match self.partition.score(batch, instances, state, &mut self.block) {
            Ok(stats) => stats,
            Err(PartitionError::Store(error)) => return Err(error),
            Err(error @ PartitionError::Plan(_)) => {
                self.is_silenced = true;
                return Err(broken(self.partition.of(), &error));
            }
        };
        if let Some((last, _)) = batch.last() {
            self.events = last.next();
        }
        let metrics = &shared.metrics;
        let label = crate::metrics::Metrics::stream(&self.partition.of().stream);
        metrics.scored.get_or_create(&label).inc_by(stats.events as u64);
        metrics.verdicts.get_or_create(&label).inc_by(stats.verdicts as u64);
        metrics.failures.get_or_create(&label).inc_by((stats.failures + stats.unreadable) as u64);
        metrics.late.get_or_create(&label).inc_by(stats.late as u64);
        metrics.batch_time.get_or_create(&label).observe(started.elapsed().as_secs_f64());
        Ok(())
    }

    /// Appends the batch's verdicts. The events are folded in already, so this is tried until it succeeds; when the
    /// engine stops before, the events are folded again at the next start.
    fn say(&mut self, from: Offset, shared: &Shared, bell: &Bell) {
        let of = self.partition.of().clone();
        let mut delay = FIRST_DELAY;
        let block = std::mem::take(&mut self.block);
        loop {
            let mut records = Records { appended_at: crate::clock::now_ms(), ..Records::default() };
            records.push(&block);
            let batches = vec![(of.partition, records)];
            let appended = shared
                .ports
                .log
                .append(&of.stream, Topic::Verdicts, batches, Durability::Ordered)
                .and_then(|receipt| receipt.blocking_recv().unwrap_or_else(|_| Err(log_stopped())));
            match appended {
                Ok(places) => {
                    self.verdicts = places.first().map_or(self.verdicts, |place| place.offset.next());
                    shared.hub.publish(&of, from, self.events, block);
                    return;
                }
                Err(error) => {
                    tracing::warn!(partition = %of, %error, "verdicts cannot be appended; trying again");
                    shared.health.note(&format!("partition {of}"), Some(&error.to_string()), 0);
                    if !shared.back_off(&mut delay, bell) {
                        self.is_silenced = true;
                        return;
                    }
                }
            }
        }
    }

    /// Saves a checkpoint if one is due and something has changed.
    pub(super) fn save_if_due(&mut self, saver: &Saver, shared: &Shared) {
        if Instant::now() < self.due || !saver.is_free() {
            return;
        }
        self.due = Instant::now() + shared.config.checkpoint_every;
        let catalog = self.partition.catalog();
        self.save(catalog, saver);
        self.partition.evict(shared.config.entities_in_memory, self.saved.load(Ordering::SeqCst));
    }

    /// Hands a checkpoint to the saver, if something has changed since the last.
    pub(super) fn save(&mut self, catalog: u64, saver: &Saver) {
        let checkpoint = self.checkpoint(catalog);
        if checkpoint == self.saved_at || self.is_silenced {
            return;
        }
        let (epoch, rows) = self.partition.barrier();
        let of = self.partition.of().clone();
        saver.save(Save { of, checkpoint, rows, epoch, saved: self.saved.clone() });
        self.saved_at = checkpoint;
    }
}

/// The end of the verdicts, and the offset before which all events have theirs.
fn tail(of: &StreamPartition, checkpoint: Checkpoint, shared: &Shared) -> Result<(Offset, Offset), StoreError> {
    let (mut at, mut judged) = (checkpoint.verdicts, checkpoint.events);
    loop {
        let blocks = shared.ports.log.read(&of.stream, Topic::Verdicts, of.partition, at, 64, READ_BYTES)?;
        if blocks.is_empty() {
            return Ok((at, judged));
        }
        for (offset, block) in blocks.iter().flat_map(Records::iter) {
            let (_, next) = block_flags(block).map_err(|error| StoreError::Broken {
                store: "log",
                message: format!("verdicts of {of} at offset {offset}: {error}"),
            })?;
            judged = judged.max(next);
            at = offset.next();
        }
    }
}

type Streams = std::collections::BTreeMap<String, Arc<StreamPlan>>;

/// The streams as they were at an older version of the catalog.
fn plan_at(catalog: u64, shared: &Shared) -> Result<Option<Streams>, StoreError> {
    let snapshot = Arc::new(shared.ports.catalog.snapshot(Some(catalog))?);
    match shared.compile(snapshot) {
        Ok(plan) => Ok(Some(plan.streams)),
        Err(problems) => {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            let message = format!("version {catalog} of the catalog, which recovery needs, does not compile: {first}");
            Err(StoreError::Broken { store: "catalog", message })
        }
    }
}

fn broken(of: &StreamPartition, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Broken { store: "engine", message: format!("{of}: {error}") }
}

fn log_stopped() -> StoreError {
    StoreError::Unavailable { store: "log", message: "it was stopped".to_owned() }
}
