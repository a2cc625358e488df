//! A partition as a state machine: inputs in, effects out. It knows in which order a partition's events, verdicts and
//! checkpoints are read and written, and folds. Absent on purpose: IO, clocks, threads, locks; `worker` drives it.
//!
//! Its phases: load the checkpoint, read the verdicts behind it, fold their events again (`recovery`), then score
//! (`scoring`), with checkpoints, changes of the plan and ends of entities between batches (`saving`). What went wrong
//! ends in [`Effect::Reopen`]: the driver makes a new processor from the last checkpoint, with what the old one learned.

mod batches;
mod judged;
mod messages;
mod recovery;
mod saving;
mod scoring;
mod suspects;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use assay_core::names::Offset;

use super::{FoldContext, Halt, PartitionState, PreparedBatch};
use crate::ports::state::Checkpoint;
use crate::ports::{PartitionId, StoreError};
pub(crate) use messages::{Effect, Input, PlanVersion, ReopenReason};
use recovery::VerdictTail;
use saving::{EndEntity, Saving};
use suspects::{Folding, PanicSuspects};

/// Blocks of verdicts of a partition that may be on their way into the log; then its scoring waits, and its next block
/// is larger. Clients of a log that keep order have five requests under way; one that had to hold back a sixth was seen
/// to burn a core meanwhile.
const MAX_BLOCKS_IN_FLIGHT: usize = 5;

/// Effects in the order in which they are to be carried out.
pub(crate) type Effects = VecDeque<Effect>;

/// How partitions are set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProcessorSettings {
    /// How many entities stay in memory.
    pub(crate) max_entities_in_memory: usize,
    /// Whether somebody else reads the buckets of tumbling views.
    pub(crate) notes_buckets: bool,
}

/// What is learned of a partition and outlives its opening.
#[derive(Clone, Debug, Default)]
pub(crate) struct PartitionMemory {
    /// Events that panic.
    suspects: PanicSuspects,
    /// Where a rule wants it to wait, until the next change of the catalog.
    halt: Option<Halt>,
    /// How many blocks were handed to the log: answers for those of an earlier opening are told apart by it.
    blocks: u64,
}

impl PartitionMemory {
    /// The catalog has changed: what a rule could not score is tried again.
    pub(crate) fn clear_halt(&mut self) {
        self.halt = None;
    }
}

/// One partition's protocol.
pub(crate) struct PartitionProcessor {
    partition: PartitionId,
    settings: ProcessorSettings,
    state: PartitionState,
    phase: Phase,
    memory: PartitionMemory,
    /// The next event to fold.
    next: Offset,
    /// The end of the verdicts.
    verdicts_end: Offset,
    /// Blocks that were handed to the log, and are not known to be in it yet.
    in_flight: VecDeque<InFlightBlock>,
    /// The events in hand.
    folding: Option<Folding>,
    /// A batch that waits for states of its entities.
    prepared: Option<PreparedBatch>,
    /// The size of the last block, which the next one probably has too.
    block_bytes: usize,
    /// The last durable checkpoint.
    saved: Checkpoint,
    /// The number of the last durable barrier.
    saved_barrier: u64,
    saving: Option<Saving>,
    is_checkpoint_due: bool,
    /// The plan that is to be in use. See `saving` for how it comes into use.
    target: PlanVersion,
    /// The newest version of the catalog that is equivalent to the one that the last durable checkpoint names.
    covered_version: u64,
    ending: VecDeque<EndEntity>,
    is_releasing: bool,
}

#[derive(Debug)]
enum Phase {
    LoadingCheckpoint,
    SavingFirstCheckpoint,
    ReadingVerdicts(VerdictTail),
    CompilingPlan(VerdictTail),
    /// Folds events again that have their verdicts already.
    Refolding(VerdictTail),
    /// Recovered; a checkpoint may have to say first by which plan it goes on.
    Opening,
    Running,
    /// Waits for the blocks in flight, then it is to be opened anew. None: that is said.
    Failed(Option<ReopenReason>),
    /// A mistake in this program, which opening it anew would only repeat.
    Stuck,
}

/// A block that was handed to the log.
#[derive(Debug)]
struct InFlightBlock {
    number: u64,
    /// All events before it are done with this block.
    next: Offset,
}

impl PartitionProcessor {
    /// A partition that is to be opened: see [`Input::Open`].
    ///
    /// # Errors
    /// The plan does not fit its own schema, which compiling it rules out.
    pub(crate) fn new(
        partition: PartitionId,
        target: PlanVersion,
        settings: ProcessorSettings,
        memory: PartitionMemory,
    ) -> Result<Self, StoreError> {
        let state = PartitionState::new(partition.clone(), target.plan.clone(), target.version);
        let mut state = state.map_err(|error| broken(&partition, &error))?;
        if settings.notes_buckets {
            state.note_buckets();
        }
        Ok(Self {
            partition,
            settings,
            state,
            phase: Phase::LoadingCheckpoint,
            memory,
            next: Offset(0),
            verdicts_end: Offset(0),
            in_flight: VecDeque::new(),
            folding: None,
            prepared: None,
            block_bytes: 0,
            saved: Checkpoint::default(),
            saved_barrier: 0,
            saving: None,
            is_checkpoint_due: false,
            target,
            covered_version: 0,
            ending: VecDeque::new(),
            is_releasing: false,
        })
    }

    /// Takes an input. What has to be done for it is added to `effects`.
    pub(crate) fn handle(&mut self, input: Input, context: &mut FoldContext<'_>, effects: &mut Effects) {
        match input {
            Input::Open => effects.push_back(Effect::LoadCheckpoint),
            Input::Poll => self.poll(effects),
            Input::CheckpointLoaded(checkpoint) => self.on_checkpoint_loaded(checkpoint, effects),
            Input::VerdictsRead { blocks, log_end } => self.on_verdicts_read(&blocks, log_end, effects),
            Input::PlanCompiled(plan) => self.on_plan_compiled(plan, effects),
            Input::EventsRead { from, blocks, log_end, max_rows } if from == self.next => {
                self.on_events_read(blocks, log_end, max_rows, context, effects);
            }
            Input::EventsRead { .. } => {}
            Input::StatesLoaded(states) => self.on_states_loaded(states, context, effects),
            Input::LoadFailed => (self.prepared, self.folding) = (None, None),
            Input::VerdictsAppended { block, end } => self.on_verdicts_appended(block, end, effects),
            Input::AppendFailed { block, error } => self.on_append_failed(block, error, effects),
            Input::CheckpointSaved { number } => self.on_checkpoint_saved(number, effects),
            Input::CheckpointFailed(error) => self.on_checkpoint_failed(error, effects),
            Input::CheckpointDue => self.on_checkpoint_due(effects),
            Input::PlanChanged(target) => self.on_plan_changed(target, effects),
            Input::EndEntity { request, through, key } => {
                self.on_end_entity(EndEntity { request, key }, through, effects);
            }
            Input::EntityEnded { request, is_ended } => self.on_entity_ended(request, is_ended, effects),
            Input::Release => self.on_release(effects),
            Input::Panicked { doing, panicked } => {
                let is_narrowed = self.folding.is_some();
                if let Some(folding) = self.folding.take() {
                    self.memory.suspects.note(&folding, &panicked);
                }
                self.fail(ReopenReason::Panicked { doing, panicked, is_narrowed }, effects);
            }
        }
    }

    /// Asks for what comes next, unless something else has to be done first.
    fn poll(&mut self, effects: &mut Effects) {
        match &self.phase {
            Phase::ReadingVerdicts(tail) => effects.push_back(Effect::ReadVerdicts { from: tail.end }),
            Phase::Refolding(_) if self.can_refold() => self.read_events(effects),
            Phase::Running if self.can_score() && self.next < self.halts_before() => self.read_events(effects),
            Phase::Stuck => {
                let message = format!("{}: stopped after an error inside the engine; see the log", self.partition);
                effects.push_back(Effect::Retry(StoreError::Broken { store: "engine", message }));
            }
            _ => {}
        }
    }

    fn read_events(&self, effects: &mut Effects) {
        let schema = self.state.plan().history.newest();
        effects.push_back(Effect::ReadEvents { from: self.next, schema });
    }

    /// Up to where a rule lets it be scored.
    fn halts_before(&self) -> Offset {
        self.memory.halt.as_ref().map_or(Offset(u64::MAX), |halt| halt.before)
    }

    /// Goes on only from the last checkpoint. The blocks before that are right and on their way: recovery has to see
    /// them, else their events would be judged, and their verdicts appended, twice.
    fn fail(&mut self, reason: ReopenReason, effects: &mut Effects) {
        if matches!(self.phase, Phase::Failed(_)) {
            return;
        }
        (self.prepared, self.folding) = (None, None);
        self.phase = Phase::Failed(Some(reason));
        self.reopen_when_drained(effects);
    }

    fn reopen_when_drained(&mut self, effects: &mut Effects) {
        if let Phase::Failed(reason @ Some(_)) = &mut self.phase
            && self.in_flight.is_empty()
        {
            effects.extend(reason.take().map(Effect::Reopen));
        }
    }

    /// Which partition it is.
    pub(crate) fn partition(&self) -> &PartitionId {
        &self.partition
    }

    /// The next event to fold.
    pub(crate) fn next_event(&self) -> Offset {
        self.next
    }

    /// Whether events can be scored, as far as the phase is concerned.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    /// Whether it has to be opened anew. The effect that says so comes when its blocks in flight are in the log.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.phase, Phase::Failed(_))
    }

    /// Whether it goes over to another plan and has not done so yet.
    pub(crate) fn is_switching(&self) -> bool {
        self.is_running() && self.is_switch_pending()
    }

    /// What is in memory, for reads between two inputs.
    pub(crate) fn state_mut(&mut self) -> &mut PartitionState {
        &mut self.state
    }

    /// How many entities are in memory.
    pub(crate) fn entities(&self) -> usize {
        self.state.entities()
    }

    /// What the next opening has to know.
    pub(crate) fn take_memory(&mut self) -> PartitionMemory {
        std::mem::take(&mut self.memory)
    }
}

fn broken(partition: &PartitionId, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Broken { store: "engine", message: format!("{partition}: {error}") }
}
