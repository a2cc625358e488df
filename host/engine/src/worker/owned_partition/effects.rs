//! Does what a partition's processor asks for, on the ports, and hands it the answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use assay_core::names::Offset;
use assay_core::verdict::RuleStamp;
use assay_runtime::Unfinished;

use super::super::EndLifetime;
use super::super::saver::{CheckpointJob, save};
use super::{BatchInHand, Environment, OwnedPartition};
use crate::metrics::Metrics;
use crate::partition::processor::{Effect, Input};
use crate::partition::{Barrier, BatchStats};
use crate::plan::StreamPlan;
use crate::ports::StoreError;
use crate::ports::log::{Durability, Records, Topic};
use crate::ports::state::Checkpoint;
use crate::shared::{Shared, log_stopped};

/// Bytes of events that are read at once, about.
const MAX_READ_BYTES: usize = 4 << 20;
/// Blocks of verdicts that are read at once.
const MAX_READ_BLOCKS: usize = 64;

impl OwnedPartition {
    /// Does one thing.
    ///
    /// # Errors
    /// A store failed, and nothing was changed by that: it can be tried again.
    pub(super) fn execute(&mut self, effect: Effect, environment: &mut Environment<'_>) -> Result<(), StoreError> {
        let shared = environment.shared;
        match effect {
            Effect::LoadCheckpoint => {
                let checkpoint = shared.ports.state.checkpoint(self.id())?;
                self.handle(Input::CheckpointLoaded(checkpoint), environment);
            }
            Effect::ReadVerdicts { from } => self.read_verdicts(from, environment)?,
            Effect::CompilePlan { version } => {
                let plan = plan_at(version, shared)?.get(&*self.id().stream).cloned();
                self.handle(Input::PlanCompiled(plan), environment);
            }
            Effect::BeginRefold { plan, catalog, from, to } => {
                tracing::info!(partition = %self.id(), %from, %to, catalog, "recovering: folding events again");
                environment.instances.instantiate_plugins(&plan).map_err(|error| StoreError::Broken {
                    store: "engine",
                    message: format!("{}: {error}", self.id()),
                })?;
            }
            Effect::ReadEvents { from, schema } => self.read_events(from, schema, environment)?,
            // Its worker polls it again.
            Effect::WaitForLog => {}
            Effect::LoadStates { keys } => {
                let keys: Vec<&str> = keys.iter().map(|key| &**key).collect();
                let states = shared.ports.state.load(self.id(), &keys);
                let states = states.inspect_err(|_| self.handle(Input::LoadFailed, environment))?;
                self.handle(Input::StatesLoaded(states), environment);
            }
            Effect::NoteFolded { stats, is_replay } => self.note_folded(stats, is_replay, shared),
            Effect::NoteGivenUp { rule, cause } => self.note_given_up(&rule, cause, shared),
            Effect::AppendVerdicts { block, data } => self.append_verdicts(block, data, environment),
            Effect::Publish { next } => shared.scored_offsets.publish(self.id(), next),
            Effect::SaveCheckpoint { checkpoint, barrier } => self.save_checkpoint(checkpoint, barrier, environment),
            Effect::Opened => {
                self.status.is_open = true;
                self.batch_size.reset();
                shared.progress.note_scored(self.id(), self.processor.next_event());
                shared.scored_offsets.open(self.id(), self.processor.next_event());
            }
            Effect::PlanSwitched { is_equivalent: true } => {}
            Effect::PlanSwitched { is_equivalent: false } => self.batch_size.reset(),
            Effect::EndEntity { request, at } => self.end_entity(request, at, environment),
            Effect::RefuseEndEntity { request } => {
                if let Some(wish) = self.end_requests.remove(&request) {
                    let _ = wish.done.send(Ok(None));
                }
            }
            Effect::Released => self.status.is_released = true,
            Effect::Retry(error) => return Err(error),
            Effect::Reopen(reason) => {
                // Whoever waits for the end of an entity sees that nobody answers, and asks again.
                self.end_requests.clear();
                self.status.reopen = Some(reason);
            }
        }
        Ok(())
    }

    fn read_verdicts(&mut self, from: Offset, environment: &mut Environment<'_>) -> Result<(), StoreError> {
        let (shared, id) = (environment.shared, self.id());
        if shared.is_stopping() {
            return Err(log_stopped());
        }
        let log = &shared.ports.log;
        let blocks = log.read_verdicts(&id.stream, id.partition, from, MAX_READ_BLOCKS, MAX_READ_BYTES)?;
        let log_end = if blocks.is_empty() { log.end(&id.stream, Topic::Verdicts, id.partition)? } else { from };
        self.handle(Input::VerdictsRead { blocks, log_end }, environment);
        Ok(())
    }

    fn read_events(&mut self, from: Offset, schema: u32, environment: &mut Environment<'_>) -> Result<(), StoreError> {
        let (shared, id) = (environment.shared, self.processor.partition());
        let (log, max_rows) = (&shared.ports.log, self.batch_size.rows());
        let is_open = self.status.is_open;
        if !is_open && (shared.is_stopping() || !shared.is_owned(id)) {
            return Err(log_stopped());
        }
        let blocks = log.read_events(&id.stream, id.partition, from, schema, max_rows, MAX_READ_BYTES)?;
        // Only recovery wants to know whether there must be more.
        let log_end = if is_open { from } else { log.end(&id.stream, Topic::Events, id.partition)? };
        self.unsaved.note_read(id, from, blocks.first());
        if let Some(first) = blocks.first() {
            shared.progress.note_read(id, from, first.appended_at);
        }
        let clock = &shared.config.clock;
        let oldest_appended_at = blocks.first().map(|block| block.appended_at);
        let age = oldest_appended_at.map(|at| u64::try_from(clock.now_ms() - at).unwrap_or(0));
        self.batch = BatchInHand {
            oldest_appended_at,
            age: Duration::from_millis(age.unwrap_or(0)),
            started: Some((clock.now(), clock.thread_cpu_time())),
            scored: self.batch.scored,
        };
        self.handle(Input::EventsRead { from, blocks, log_end, max_rows }, environment);
        Ok(())
    }

    /// Counts what a batch did, but for what recovery folds again: that was counted before.
    fn note_folded(&mut self, stats: BatchStats, is_replay: bool, shared: &Shared) {
        let clock = &shared.config.clock;
        let (started, cpu_started) = self.batch.started.take().unwrap_or((clock.now(), clock.thread_cpu_time()));
        let slowest = stats.rules.iter().map(|rule| rule.time.cpu).max().unwrap_or_default();
        let cpu = clock.thread_cpu_time().saturating_sub(cpu_started);
        self.batch_size.note(stats.events, cpu, slowest);
        if is_replay {
            return;
        }
        self.batch.scored += stats.events;
        let (metrics, label) = (&shared.metrics, Metrics::stream(&self.id().stream));
        metrics.scored.get_or_create(&label).inc_by(stats.events as u64);
        metrics.verdicts.get_or_create(&label).inc_by(stats.verdicts as u64);
        metrics.failures.get_or_create(&label).inc_by((stats.failures + stats.unreadable) as u64);
        metrics.late.get_or_create(&label).inc_by(stats.late as u64);
        let took = clock.now().saturating_duration_since(started);
        metrics.batch_time.get_or_create(&label).observe(took.as_secs_f64());
        metrics.note_rules(&stats.rules);
        shared.rule_stats.note(self.id(), self.batch.age, stats.rules);
    }

    /// Some of the batch is folded in already, and none of it is judged: only the last checkpoint is right. Whatever plan
    /// is in effect when the partition is open again judges these events.
    fn note_given_up(&self, rule: &Arc<RuleStamp>, cause: Unfinished, shared: &Shared) {
        tracing::info!(partition = %self.id(), rule = rule.rule, %cause, "a batch goes back to the last checkpoint");
        if let Unfinished::TooSlow { exhausted, .. } = cause {
            shared.rule_stats.note_given_up(rule, exhausted);
        }
    }

    /// Hands a block of verdicts to the log. Scoring goes on meanwhile.
    fn append_verdicts(&mut self, block: u64, data: Vec<u8>, environment: &mut Environment<'_>) {
        let (shared, id) = (environment.shared, self.id());
        let clock = &shared.config.clock;
        let mut records = Records { appended_at: clock.now_ms(), data, ..Records::default() };
        records.end_record();
        let batches = vec![(id.partition, records)];
        match shared.ports.log.append(&id.stream, Topic::Verdicts, batches, Durability::Ordered) {
            Ok(receipt) => self.receipts.push_back((block, receipt)),
            Err(error) => {
                self.receipts.clear();
                return self.handle(Input::AppendFailed { block, error }, environment);
            }
        }
        if let Some(oldest) = self.batch.oldest_appended_at.take().filter(|_| self.status.is_open) {
            let label = Metrics::stream(&self.id().stream);
            let age_ms = (clock.now_ms() - oldest).max(0);
            shared.metrics.latency.get_or_create(&label).observe(age_ms as f64 / 1e3);
        }
    }

    fn save_checkpoint(&mut self, checkpoint: Checkpoint, barrier: Barrier, environment: &mut Environment<'_>) {
        let (shared, number) = (environment.shared, barrier.epoch);
        self.unsaved.note_checkpoint(number, checkpoint.events);
        if let Some(saver) = environment.saver {
            let (partition, progress) = (self.id().clone(), self.progress.clone());
            // The saver ends only after this side has.
            let _ = saver.send(CheckpointJob { partition, checkpoint, barrier, progress });
            return;
        }
        let input = match save(self.id(), &checkpoint, &barrier, shared) {
            Ok(()) => {
                self.progress.note(number, Duration::ZERO);
                self.noted_barrier = number;
                Input::CheckpointSaved { number }
            }
            Err(error) => Input::CheckpointFailed(error),
        };
        self.handle(input, environment);
    }

    fn end_entity(&mut self, request: u64, at: Offset, environment: &mut Environment<'_>) {
        let Some(EndLifetime { entity, done, .. }) = self.end_requests.remove(&request) else { return };
        let ended = match (&entity, &environment.shared.ports.erasure) {
            (Some((erasing, key)), Some(erasure)) => erasure.end_lifetime(erasing, key, at),
            _ => Ok(()),
        };
        self.handle(Input::EntityEnded { request, is_ended: ended.is_ok() }, environment);
        let _ = done.send(ended.map(|()| Some(at)));
    }
}

type Streams = BTreeMap<String, Arc<StreamPlan>>;

/// The streams as they were at an older version of the catalog.
fn plan_at(catalog: u64, shared: &Shared) -> Result<Streams, StoreError> {
    let snapshot = Arc::new(shared.ports.catalog.snapshot(Some(catalog))?);
    shared.compile(snapshot).map(|plan| plan.streams).map_err(|problems| {
        let first = problems.first().map(ToString::to_string).unwrap_or_default();
        let message = format!("version {catalog} of the catalog, which recovery needs, does not compile: {first}");
        StoreError::Broken { store: "catalog", message }
    })
}
