//! One partition's scoring: records in, a block of verdicts out, state folded on the way. No threads, no log, no store.
//!
//! The way of a batch: decode -> entities -> views -> rules -> verdicts. `processor` has the protocol around it: what is
//! read, appended and saved in which order.

mod batch;
mod columns;
mod entities;
mod event_times;
mod graph;
mod instances;
mod judged_rows;
mod plugin;
mod prepare;
pub(crate) mod processor;
mod reads;
mod recorded;
mod rule;

use std::sync::Arc;

use assay_core::expr::EvalError;
use assay_core::names::Offset;
use assay_core::schema::{Decoder, FieldError};
use assay_core::verdict::RuleStamp;
use assay_core::view::FoldError;
use assay_runtime::Unfinished;

use crate::clock::Clock;
use crate::plan::StreamPlan;
use crate::ports::buckets::ChangedBuckets;
use crate::ports::log::{Records, Refused};
use crate::ports::state::{StateRow, StateStore};
use crate::ports::{PartitionId, StoreError};
use crate::probe::Probe;
use crate::rule_stats::RuleBatchStats;

pub(crate) use batch::write_refused;
pub(crate) use entities::Entities;
pub(crate) use event_times::AppendTimes;
pub use instances::Instances;
pub(crate) use prepare::PreparedBatch;
pub use reads::{KeptBuckets, Measured, ViewAnswer};
pub(crate) use recorded::RecordedFailures;

/// What folding needs beside the partition's own state. No IO: the clock only measures how long rules take.
pub struct FoldContext<'a> {
    /// The plugins' instances.
    pub(crate) instances: &'a mut Instances,
    pub(crate) probe: &'a Probe,
    pub(crate) clock: &'a Clock,
}

impl<'a> FoldContext<'a> {
    /// Without a probe, by the real clock.
    pub fn new(instances: &'a mut Instances) -> Self {
        static PROBE: Probe = Probe::none();
        static CLOCK: Clock = Clock::real();
        Self { instances, probe: &PROBE, clock: &CLOCK }
    }
}

/// Why a batch could not be scored.
#[derive(Debug, thiserror::Error)]
pub enum PartitionError {
    /// The state store failed. Nothing was folded; the batch can be tried again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The plan does not fit its columns, which compiling it rules out: a mistake in this program.
    /// Some of the batch may be folded in: the partition must not go on, nor be saved.
    #[error("the plan does not fit its columns: {0}")]
    Plan(String),
    /// A rule that cannot score an event wants the partition to wait before it. Some of the batch may be folded in: the
    /// partition must be opened anew, and score no further than up to that event.
    #[error("{0}")]
    Halt(Halt),
    /// A rule's call was interrupted, or takes too long for a batch of this size. Nothing is known of the batch's rows,
    /// and some of them may be folded in: the partition must be opened anew, and judges them by the plan of then.
    #[error("rule '{}': {cause}", .rule.rule)]
    Unfinished {
        /// The rule.
        rule: Arc<RuleStamp>,
        /// What stopped it.
        cause: Unfinished,
    },
}

/// Where a rule wants the partition to wait.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "rule '{rule}' halts before offset {before} ({code}: {message}); change, pause or delete the rule, or upload a plugin that can"
)]
pub struct Halt {
    /// The event that the rule cannot score.
    pub before: Offset,
    /// The rule.
    pub rule: String,
    /// What kind of failure.
    pub code: &'static str,
    /// What happened.
    pub message: String,
}

impl From<EvalError> for PartitionError {
    fn from(error: EvalError) -> Self {
        Self::Plan(error.to_string())
    }
}

impl From<FoldError> for PartitionError {
    fn from(error: FoldError) -> Self {
        Self::Plan(error.to_string())
    }
}

/// What scoring a batch did.
#[derive(Clone, Debug, Default)]
pub struct BatchStats {
    /// Events of the batch.
    pub events: usize,
    /// Events that could not be read.
    pub unreadable: usize,
    /// Events that were folded in before, and were passed over.
    pub repeated: usize,
    /// Verdicts.
    pub verdicts: usize,
    /// Rules that failed on an event, summed over events.
    pub failures: usize,
    /// Events that came too late for a window, summed over views.
    pub late: usize,
    /// What each rule did.
    pub rules: Vec<RuleBatchStats>,
}

/// What has changed since the last barrier.
#[derive(Debug)]
pub struct Barrier {
    /// Its number.
    pub epoch: u64,
    /// The states of all entities that were touched.
    pub rows: Vec<StateRow>,
    /// The buckets that changed, if that is noted.
    pub buckets: Vec<ChangedBuckets>,
}

/// What a partition remembers and is scored by: entities, plan, decoder. A batch goes through it in two steps, which know
/// no store: it is prepared, and folded when all of its entities are in memory.
pub struct PartitionState {
    partition: PartitionId,
    plan: Arc<StreamPlan>,
    catalog: u64,
    decoder: Decoder,
    entities: Entities,
    slots: Vec<u32>,
    origins: Vec<Offset>,
    /// When the log stored the events that come next.
    stored: AppendTimes,
    /// Failures on the events that come next which are known already.
    recorded: Arc<RecordedFailures>,
}

impl PartitionState {
    /// A partition without entities in memory, at a version of the catalog.
    ///
    /// # Errors
    /// The plan's projection does not fit its schema, which compiling the plan rules out.
    pub fn new(partition: PartitionId, plan: Arc<StreamPlan>, catalog: u64) -> Result<Self, FieldError> {
        let decoder = decoder_of(&plan)?;
        let entities = Entities::new(partition.clone(), &plan);
        Ok(Self {
            partition,
            plan,
            catalog,
            decoder,
            entities,
            slots: Vec::new(),
            origins: Vec::new(),
            stored: AppendTimes::default(),
            recorded: Arc::default(),
        })
    }

    /// The partition begins with its first event: entities need not be looked for in the state store while all of them
    /// are in memory.
    pub(crate) fn note_nothing_stored(&mut self) {
        self.entities.note_nothing_stored();
    }

    /// By which plan it is scored.
    pub fn plan(&self) -> &Arc<StreamPlan> {
        &self.plan
    }

    /// Goes on where a checkpoint says: see [`PartitionState::origins`].
    pub(crate) fn resume(&mut self, origins: Vec<Offset>) {
        self.origins = origins;
    }

    /// In a derived stream, by partition of its source: the next of its events that is not folded in yet.
    pub(crate) fn origins(&self) -> &[Offset] {
        &self.origins
    }

    /// Notes when the log stored some events, which are scored next: what is too far ahead of that is refused. Events
    /// of which nothing is noted are ahead of nothing.
    pub(crate) fn note_stored(&mut self, blocks: &[Records]) {
        self.stored = AppendTimes::of(blocks);
    }

    /// From now on takes these failures as they are: the rules' plugins are not called for these rows, whose states stay
    /// as after any other failure.
    pub(crate) fn use_recorded_failures(&mut self, recorded: Arc<RecordedFailures>) {
        self.recorded = recorded;
    }

    /// The version of the catalog that is in effect.
    pub fn catalog(&self) -> u64 {
        self.catalog
    }

    /// How many entities are in memory.
    pub fn entities(&self) -> usize {
        self.entities.len()
    }

    /// Switches to a new plan. Everything must have been saved before: see [`PartitionState::barrier`].
    ///
    /// # Errors
    /// As for [`PartitionState::new`].
    pub fn switch_plan(&mut self, plan: Arc<StreamPlan>, catalog: u64) -> Result<(), FieldError> {
        self.decoder = decoder_of(&plan)?;
        self.entities.switch_plan(&plan);
        self.plan = plan;
        self.catalog = catalog;
        Ok(())
    }

    /// Takes the number of a later version of the catalog whose plan for the stream is equivalent to the one in use.
    pub(crate) fn set_catalog_version(&mut self, catalog: u64) {
        self.catalog = catalog;
    }

    /// From now on notes which buckets of tumbling views change, for [`PartitionState::barrier`]. To be called before
    /// anything is scored.
    pub(crate) fn note_buckets(&mut self) {
        self.entities.note_buckets(&self.plan);
    }

    /// What has changed since the last barrier.
    pub fn barrier(&mut self) -> Barrier {
        let (epoch, rows) = self.entities.barrier();
        Barrier { epoch, rows, buckets: self.entities.take_buckets(&self.plan) }
    }

    /// Drops entities until at most `most` are left, as far as they were saved by barriers up to `saved`.
    pub(crate) fn evict(&mut self, most: usize, saved: u64) {
        self.entities.evict(most, saved);
    }

    /// Forgets an entity. Everything must have been saved before, and its row deleted.
    pub(crate) fn forget(&mut self, key: &str) {
        self.entities.forget(key);
    }

    /// Decodes records and finds out which of their entities are not in memory. Nothing is folded. `records` are
    /// (offset, Avro), ascending; so are `refused`, which the log could not turn into Avro. None: there are none.
    /// `from` is where the partition is, at the first of them or before.
    pub(crate) fn prepare(
        &mut self,
        from: Offset,
        records: &[(Offset, &[u8])],
        refused: &[(Offset, &Refused)],
    ) -> Option<PreparedBatch> {
        prepare::prepare(self, from, records, refused)
    }

    /// Takes the states of the entities that a batch lacks, one per missing key.
    ///
    /// # Errors
    /// A state cannot be read. Nothing was folded.
    pub(crate) fn insert_states(
        &mut self,
        prepared: &mut PreparedBatch,
        states: Vec<Option<Vec<u8>>>,
    ) -> Result<(), StoreError> {
        prepare::insert_states(self, prepared, states)
    }

    /// Folds a batch whose entities are all in memory, and appends the block of its verdicts to `out`.
    ///
    /// # Errors
    /// See [`PartitionError`]. Some of the batch may be folded in.
    pub(crate) fn fold(
        &mut self,
        prepared: PreparedBatch,
        context: &mut FoldContext<'_>,
        out: &mut Vec<u8>,
    ) -> Result<BatchStats, PartitionError> {
        batch::fold(self, prepared, context, out)
    }

    /// Both steps with a store between them, for those who have no log: scores records and appends the block of their
    /// verdicts to `out`.
    ///
    /// # Errors
    /// State could not be loaded, or the plan is wrong; see [`PartitionError`].
    pub fn score(
        &mut self,
        records: &[(Offset, &[u8])],
        refused: &[(Offset, &Refused)],
        instances: &mut Instances,
        store: &dyn StateStore,
        out: &mut Vec<u8>,
    ) -> Result<BatchStats, PartitionError> {
        let first = |one: Option<Offset>| one.unwrap_or(Offset(u64::MAX));
        let from = first(records.first().map(|one| one.0)).min(first(refused.first().map(|one| one.0)));
        let Some(mut prepared) = self.prepare(from, records, refused) else { return Ok(BatchStats::default()) };
        while !prepared.missing_keys().is_empty() {
            let keys: Vec<&str> = prepared.missing_keys().iter().map(|key| &**key).collect();
            let states = store.load(&self.partition, &keys)?;
            self.insert_states(&mut prepared, states)?;
        }
        self.fold(prepared, &mut FoldContext::new(instances), out)
    }
}

fn decoder_of(plan: &StreamPlan) -> Result<Decoder, FieldError> {
    let paths: Vec<&str> = plan.projection.iter().map(String::as_str).collect();
    Decoder::new(&plan.schema, &paths)
}
