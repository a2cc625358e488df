//! What a partition's processor is told, and what it asks for: the protocol between it and its driver.

use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::verdict::RuleStamp;
use assay_runtime::Unfinished;
use compact_str::CompactString;

use crate::panics::Panicked;
use crate::partition::{Barrier, BatchStats, Halt};
use crate::plan::StreamPlan;
use crate::ports::StoreError;
use crate::ports::log::Records;
use crate::ports::state::Checkpoint;

/// A stream's plan with the version of the catalog that it is of.
#[derive(Clone, Debug)]
pub(crate) struct PlanVersion {
    pub(crate) plan: Arc<StreamPlan>,
    pub(crate) version: u64,
}

/// What has happened. Answers to an effect that is not awaited any more are ignored.
#[derive(Debug)]
pub(crate) enum Input {
    /// Begin.
    Open,
    /// Go on: read what can be read now. Nothing is read while something else has to be done first.
    Poll,
    /// The checkpoint of the last owner; none: there was none.
    CheckpointLoaded(Option<Checkpoint>),
    /// Verdict blocks from the offset that was asked for; none: the log cannot give any at the moment.
    VerdictsRead { blocks: Vec<Records>, log_end: Offset },
    /// The stream's plan at the version that was asked for; none: there was no such stream.
    PlanCompiled(Option<Arc<StreamPlan>>),
    /// Events from an offset on. At most so many of them may be folded together.
    EventsRead { from: Offset, blocks: Vec<Records>, log_end: Offset, max_rows: usize },
    /// The states of the entities that were asked for, in their order.
    StatesLoaded(Vec<Option<Vec<u8>>>),
    /// They cannot be loaded now: the batch is dropped, nothing of it is folded in.
    LoadFailed,
    /// A block is in the log; the end of the verdicts is behind it. None: the log did not say where.
    VerdictsAppended { block: u64, end: Option<Offset> },
    /// A block is not in the log, or it is not known to be.
    AppendFailed { block: u64, error: StoreError },
    /// A checkpoint is durable.
    CheckpointSaved { number: u64 },
    /// A checkpoint was given up: those after it would lack what it has.
    CheckpointFailed(StoreError),
    /// It is time for a checkpoint, if anything has changed.
    CheckpointDue,
    /// Another version of the catalog is in effect.
    PlanChanged(PlanVersion),
    /// End the life of an entity once all events before `through` are folded and saved; no entity: only save.
    EndEntity { request: u64, through: Offset, key: Option<String> },
    /// Its life has ended in the store; false: the store failed.
    EntityEnded { request: u64, is_ended: bool },
    /// Save everything, for another owner.
    Release,
    /// Handling an input panicked: what is in memory may be half-changed.
    Panicked { doing: &'static str, panicked: Panicked },
}

/// What is to be done next, in this order. Each read and write is answered by an [`Input`].
#[derive(Debug)]
pub(crate) enum Effect {
    /// Load the last checkpoint.
    LoadCheckpoint,
    /// Read verdict blocks from an offset on.
    ReadVerdicts { from: Offset },
    /// Compile the stream's plan at an older version of the catalog.
    CompilePlan { version: u64 },
    /// Make plugins ready for folding events again that were judged by this plan. Has no answer.
    BeginRefold { plan: Arc<StreamPlan>, catalog: u64, from: Offset, to: Offset },
    /// Read events from an offset on, as events of the newest schema of a plan.
    ReadEvents { from: Offset, schema: u32 },
    /// The log has more records, and cannot give them yet: poll again when it can.
    WaitForLog,
    /// Load the states of some entities.
    LoadStates { keys: Vec<CompactString> },
    /// A batch was folded.
    NoteFolded { stats: BatchStats, is_replay: bool },
    /// A rule's call was stopped in the middle of a batch.
    NoteGivenUp { rule: Arc<RuleStamp>, cause: Unfinished },
    /// Append a block of verdicts behind those before it.
    AppendVerdicts { block: u64, data: Vec<u8> },
    /// The verdicts of all events before `next` are in the log.
    Publish { next: Offset },
    /// Save a checkpoint with everything that has changed. Durable before it is answered.
    SaveCheckpoint { checkpoint: Checkpoint, barrier: Barrier },
    /// Recovery is over: events can be scored.
    Opened,
    /// The plan of the newest version is in use. An equivalent one needs no checkpoint.
    PlanSwitched { is_equivalent: bool },
    /// End the life of an entity in the store: recovery begins at this offset.
    EndEntity { request: u64, at: Offset },
    /// The life of an entity cannot be ended yet: its events are not scored.
    RefuseEndEntity { request: u64 },
    /// Everything is saved, as far as it can be.
    Released,
    /// Nothing was done because of this; it can be tried again.
    Retry(StoreError),
    /// Open the partition anew, from its last checkpoint. Nothing comes after it.
    Reopen(ReopenReason),
}

/// Why a partition has to be opened anew.
#[derive(Debug)]
pub(crate) enum ReopenReason {
    /// It could not be opened.
    CannotOpen(StoreError),
    /// Verdicts could not be appended: their events are folded in already.
    AppendFailed(StoreError),
    /// A block is in the log, but at another offset than it was appended for: another writer was faster.
    Displaced,
    /// A checkpoint was given up.
    CheckpointFailed(StoreError),
    /// A call was stopped: some of the batch is folded in, and none of it is judged. Nothing is wrong.
    Interrupted,
    /// A rule wants it to wait before an event.
    Halted(Halt),
    /// A panic has left something half-done. Whether it is known by now which events to fold one at a time, or not at
    /// all.
    Panicked { doing: &'static str, panicked: Panicked, is_narrowed: bool },
}
