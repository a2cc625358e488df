//! A partition in a worker's hands: drives its processor. What the processor asks for is done here, on the ports
//! (`effects`), and what comes of it goes back in; besides, the pace of its batches and checkpoints.

mod effects;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::EndLifetime;
use super::batch_size::BatchSize;
use super::saver::{CheckpointJob, CheckpointProgress};
use super::unsaved_events::UnsavedEvents;
use crate::metrics::Metrics;
use crate::panics::catch;
use crate::partition::processor::{
    Effects, Input, PartitionMemory, PartitionProcessor, PlanVersion, ProcessorSettings, ReopenReason,
};
use crate::partition::{FoldContext, Instances, PartitionState};
use crate::ports::log::{Receipt, Topic, WakeSignal, poll_receipt};
use crate::ports::{PartitionId, StoreError};
use crate::shared::{MAX_RETRY_DELAY, MIN_RETRY_DELAY, Shared};

/// What a partition's driver needs of its worker, or of whoever opens it.
pub(super) struct Environment<'a> {
    pub(super) shared: &'a Arc<Shared>,
    /// Notified when an append is done.
    pub(super) wake: &'a Arc<WakeSignal>,
    pub(super) instances: &'a mut Instances,
    /// Where checkpoints are handed in; none: they are saved at once, while the partition is being opened.
    pub(super) saver: Option<&'a Sender<CheckpointJob>>,
}

/// A partition in a worker's hands.
pub(super) struct OwnedPartition {
    processor: PartitionProcessor,
    /// What the processor has asked for and is not done yet; empty between two inputs.
    effects: Effects,
    /// Blocks on their way into the log, by number.
    receipts: VecDeque<(u64, Receipt)>,
    progress: Arc<CheckpointProgress>,
    /// The last durable barrier that the processor has heard of.
    noted_barrier: u64,
    checkpoint_due: Instant,
    unsaved: UnsavedEvents,
    pub(super) batch_size: BatchSize,
    /// The number of its last poll that scored something.
    pub(super) last_poll: u64,
    /// When that was.
    pub(super) last_scored_at: Option<Instant>,
    /// When to try again after a store failed.
    pub(super) retry_at: Option<Instant>,
    batch: BatchInHand,
    /// When it was opened, and how long that was waited for.
    opened: (Instant, Duration),
    end_requests: BTreeMap<u64, EndLifetime>,
    next_request: u64,
    /// Who waits until it is given up.
    release: Option<Sender<()>>,
    status: Status,
}

/// The batch that is read or folded.
#[derive(Default)]
struct BatchInHand {
    /// When the oldest event of it was appended, ms since 1970.
    oldest_appended_at: Option<i64>,
    /// How long ago that was when it was read.
    age: Duration,
    /// When folding it began: the time, and the CPU time of this thread.
    started: Option<(Instant, Duration)>,
    /// How many events were scored.
    scored: usize,
}

/// What the processor has said that concerns the worker.
#[derive(Debug, Default)]
pub(super) struct Status {
    pub(super) is_open: bool,
    pub(super) is_released: bool,
    /// Why it has to be opened anew, once that can be done.
    pub(super) reopen: Option<ReopenReason>,
}

impl OwnedPartition {
    /// A partition that is to be opened.
    pub(super) fn new(
        partition: &PartitionId,
        target: PlanVersion,
        memory: PartitionMemory,
        delay: Duration,
        shared: &Shared,
    ) -> Result<Self, StoreError> {
        let settings = ProcessorSettings {
            max_entities_in_memory: shared.config.entities_in_memory,
            notes_buckets: shared.ports.buckets.is_some(),
        };
        let now = shared.config.clock.now();
        Ok(Self {
            processor: PartitionProcessor::new(partition.clone(), target, settings, memory)?,
            effects: Effects::new(),
            receipts: VecDeque::new(),
            progress: Arc::default(),
            noted_barrier: 0,
            checkpoint_due: now + shared.config.checkpoint_every,
            unsaved: UnsavedEvents::default(),
            batch_size: BatchSize::new(shared.config.batch_rows),
            last_poll: 0,
            last_scored_at: None,
            retry_at: None,
            batch: BatchInHand::default(),
            opened: (now, delay),
            end_requests: BTreeMap::new(),
            next_request: 0,
            release: None,
            status: Status::default(),
        })
    }

    /// Hands the processor an input and does what it asks for, until it asks for nothing more. After a panic the
    /// partition goes back to its last checkpoint, and only this one.
    ///
    /// # Errors
    /// A store failed; it can be tried again.
    pub(super) fn feed(
        &mut self,
        doing: &'static str,
        input: Input,
        environment: &mut Environment<'_>,
    ) -> Result<(), StoreError> {
        let fed = catch(|| {
            self.handle(input, environment);
            let mut result = Ok(());
            while let Some(effect) = self.effects.pop_front() {
                if let Err(error) = self.execute(effect, environment) {
                    result = Err(error);
                }
            }
            result
        });
        fed.unwrap_or_else(|panicked| {
            tracing::error!(partition = %self.id(), doing, %panicked, "a panic; the partition goes back to its last checkpoint");
            self.effects.clear();
            self.feed(doing, Input::Panicked { doing, panicked }, environment)
        })
    }

    /// Hands the processor an input. What it asks for is added to the effects.
    fn handle(&mut self, input: Input, environment: &mut Environment<'_>) {
        let config = &environment.shared.config;
        let instances = &mut *environment.instances;
        let mut context = FoldContext { instances, probe: &config.probe, clock: &config.clock };
        let before = self.processor.next_event();
        self.processor.handle(input, &mut context, &mut self.effects);
        let next = self.processor.next_event();
        if next != before {
            environment.shared.progress.note_scored(self.processor.partition(), next);
        }
    }

    /// Goes on opening it, after the log has given or taken something. Nothing is scored by this.
    pub(super) fn go_on_opening(&mut self, environment: &mut Environment<'_>) -> Result<(), StoreError> {
        self.drain_acks(environment)?;
        if self.status.is_open || self.status.reopen.is_some() {
            return Ok(());
        }
        self.feed("opening", Input::Poll, environment)
    }

    /// Scores a batch of what the log has, if the processor can take one. Returns how many events.
    pub(super) fn score_batch(&mut self, environment: &mut Environment<'_>) -> Result<usize, StoreError> {
        let shared = environment.shared;
        let (partition, next) = (self.processor.partition(), self.processor.next_event());
        if shared.ports.log.end(&partition.stream, Topic::Events, partition.partition)? <= next {
            return Ok(0);
        }
        self.batch.scored = 0;
        self.feed("scoring", Input::Poll, environment)?;
        let label = Metrics::partition(self.id());
        shared.metrics.entities.get_or_create(&label).set(self.processor.entities() as i64);
        Ok(self.batch.scored)
    }

    /// Tells the processor which blocks have come into the log and what was saved meanwhile, and lets it save a
    /// checkpoint when one is due.
    pub(super) fn take_results(&mut self, environment: &mut Environment<'_>) -> Result<(), StoreError> {
        self.drain_acks(environment)?;
        if self.progress.has_failed() && self.status.reopen.is_none() {
            let message = format!("a checkpoint of {} was given up", self.id());
            let error = StoreError::Broken { store: "state", message };
            self.feed("saving", Input::CheckpointFailed(error), environment)?;
        }
        let number = self.progress.barrier();
        if number > self.noted_barrier {
            self.noted_barrier = number;
            self.feed("saving", Input::CheckpointSaved { number }, environment)?;
        }
        let shared = environment.shared;
        self.unsaved.report(number, self.processor.partition(), &shared.needed_records);
        let now = shared.config.clock.now();
        if now >= self.checkpoint_due && self.processor.is_running() {
            self.checkpoint_due = now + self.progress.checkpoint_interval(shared.config.checkpoint_every);
            self.feed("saving", Input::CheckpointDue, environment)?;
        }
        Ok(())
    }

    /// Takes the receipts that have come, in their order. The worker is woken when the next one comes.
    pub(super) fn drain_acks(&mut self, environment: &mut Environment<'_>) -> Result<(), StoreError> {
        while let Some((block, receipt)) = self.receipts.front_mut() {
            let Some(result) = poll_receipt(receipt, environment.wake) else { break };
            let block = *block;
            self.receipts.pop_front();
            let input = match result {
                Ok(appended) => {
                    let place = appended.first().and_then(|appended| appended.place(0));
                    Input::VerdictsAppended { block, end: place.map(|place| place.offset.next()) }
                }
                Err(error) => {
                    // Those behind it are appended without it, if at all.
                    self.receipts.clear();
                    Input::AppendFailed { block, error }
                }
            };
            self.feed("publishing", input, environment)?;
        }
        Ok(())
    }

    /// Asks the processor to end the life of an entity. Whoever asked is answered when that is done.
    pub(super) fn end_lifetime(&mut self, wish: EndLifetime, environment: &mut Environment<'_>) {
        self.next_request += 1;
        let request = self.next_request;
        let key = wish.entity.as_ref().map(|(_, key)| key.clone());
        let input = Input::EndEntity { request, through: wish.through, key };
        self.end_requests.insert(request, wish);
        // What fails is answered where it is done.
        let _ = self.feed("ending the life of an entity", input, environment);
    }

    /// Saves everything for another owner. Whoever asked is answered when it is given up.
    pub(super) fn release(&mut self, done: Option<Sender<()>>, environment: &mut Environment<'_>) {
        self.release = done;
        let _ = self.feed("saving", Input::Release, environment);
    }

    /// Reads from what it has in memory.
    pub(super) fn read(&mut self, read: impl FnOnce(&mut PartitionState), environment: &mut Environment<'_>) {
        if let Err(panicked) = catch(|| read(self.processor.state_mut())) {
            let doing = "reading";
            tracing::error!(partition = %self.id(), doing, %panicked, "a panic; the partition goes back to its last checkpoint");
            let _ = self.feed(doing, Input::Panicked { doing, panicked }, environment);
        }
    }

    /// How long to wait until it is opened anew: longer each time, unless it went well for a while, or it is known what
    /// to do differently.
    pub(super) fn reopen_delay(&self, reason: &ReopenReason, now: Instant) -> Duration {
        let (at, delay) = self.opened;
        let went_well = now.saturating_duration_since(at) > 2 * MAX_RETRY_DELAY;
        let is_known = matches!(reason, ReopenReason::Halted(_) | ReopenReason::Panicked { is_narrowed: true, .. });
        if went_well || is_known { MIN_RETRY_DELAY } else { delay }
    }

    /// Which partition it is.
    pub(super) fn id(&self) -> &PartitionId {
        self.processor.partition()
    }

    /// What the processor has said that concerns the worker.
    pub(super) fn status(&mut self) -> &mut Status {
        &mut self.status
    }

    /// Whether it goes over to another plan and has not done so yet.
    pub(super) fn is_switching(&self) -> bool {
        self.processor.is_switching()
    }

    /// Whether it has failed, or is about to be given up.
    pub(super) fn is_ending(&self) -> bool {
        self.processor.has_failed() || self.status.is_released
    }

    /// Whether blocks are on their way into the log.
    pub(super) fn has_in_flight(&self) -> bool {
        !self.receipts.is_empty()
    }

    /// What the next opening has to know.
    pub(super) fn take_memory(&mut self) -> PartitionMemory {
        self.processor.take_memory()
    }
}

impl Drop for OwnedPartition {
    fn drop(&mut self) {
        if let Some(done) = self.release.take() {
            let _ = done.send(());
        }
    }
}
