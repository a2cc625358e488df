//! One partition's scoring: records in, a block of verdicts out, state folded on the way. No threads, no log.
//!
//! The way of a batch: decode -> entities -> views -> rules -> verdicts.

mod batch;
mod columns;
mod entities;
mod event_times;
mod graph;
mod plugin;
mod reads;
mod rows;
mod rule;

use std::collections::HashMap;
use std::sync::Arc;

use assay_core::expr::EvalError;
use assay_core::names::Offset;
use assay_core::schema::{Decoder, FieldError};
use assay_core::verdict::RuleStamp;
use assay_core::view::FoldError;
use assay_runtime::{Instance, Interrupt, PluginError, Unfinished};

use crate::plan::{RulePlan, Scorer, StreamPlan};
use crate::ports::buckets::ChangedBuckets;
use crate::ports::log::{Records, Refused};
use crate::ports::state::{StateRow, StateStore};
use crate::ports::{StoreError, StreamPartition};
use crate::standing::RuleTurn;

pub(crate) use batch::{last_of, write_refused};
pub(crate) use entities::Entities;
pub(crate) use event_times::StoredTimes;
pub use reads::{KeptBuckets, Measured, ViewAnswer};

/// The instances of a worker: one per rule, shared by all partitions that the worker owns.
#[derive(Default)]
pub struct Instances {
    by_rule: HashMap<String, Instance>,
    interrupt: Interrupt,
    is_bounded: bool,
}

impl Instances {
    /// None yet; calls of those to come are stopped by a flag.
    pub fn interruptible(interrupt: &Interrupt) -> Self {
        Self { interrupt: interrupt.clone(), ..Self::default() }
    }

    /// The same for a thread with other work to do: batches that take too long are given up.
    pub fn bounded(interrupt: &Interrupt) -> Self {
        Self { is_bounded: true, ..Self::interruptible(interrupt) }
    }

    /// Makes an instance for each rule of a stream that has a plugin, replacing what is there.
    ///
    /// # Errors
    /// A plugin refuses its config; it took the same one when the plan was made.
    pub fn equip(&mut self, plan: &StreamPlan) -> Result<(), PluginError> {
        for rule in &plan.rules {
            if let Scorer::Plugin(scorer) = &rule.scorer {
                let instance = scorer.plugin.instance(&scorer.config, scorer.limits.clone())?;
                let instance = instance.interruptible(&self.interrupt);
                let instance = if self.is_bounded { instance.bounded() } else { instance };
                self.by_rule.insert(key_of(plan, rule), instance);
            }
        }
        Ok(())
    }

    fn get(&mut self, plan: &StreamPlan, rule: &RulePlan) -> Option<&mut Instance> {
        self.by_rule.get_mut(&key_of(plan, rule))
    }
}

fn key_of(plan: &StreamPlan, rule: &RulePlan) -> String {
    format!("{}/{}", plan.def.stream, rule.stamp.rule)
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
    pub rules: Vec<RuleTurn>,
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

/// One partition's scoring.
pub struct Partition {
    of: StreamPartition,
    plan: Arc<StreamPlan>,
    catalog: u64,
    decoder: Decoder,
    entities: Entities,
    slots: Vec<u32>,
    origins: Vec<Offset>,
    /// When the log stored the events that come next.
    stored: StoredTimes,
}

impl Partition {
    /// A partition without entities in memory, at a version of the catalog.
    ///
    /// # Errors
    /// The plan's projection does not fit its schema, which compiling the plan rules out.
    pub fn new(of: StreamPartition, plan: Arc<StreamPlan>, catalog: u64) -> Result<Self, FieldError> {
        let decoder = decoder_of(&plan)?;
        let entities = Entities::new(of.clone(), &plan);
        Ok(Self {
            of,
            plan,
            catalog,
            decoder,
            entities,
            slots: Vec::new(),
            origins: Vec::new(),
            stored: StoredTimes::default(),
        })
    }

    /// The partition begins with its first event: entities need not be looked for in the state store while all of them
    /// are in memory.
    pub fn note_nothing_stored(&mut self) {
        self.entities.note_nothing_stored();
    }

    /// Which partition it is.
    pub fn of(&self) -> &StreamPartition {
        &self.of
    }

    /// What it is scored by.
    pub fn plan(&self) -> &StreamPlan {
        &self.plan
    }

    /// Goes on where a checkpoint says: see [`Partition::origins`].
    pub fn resume(&mut self, origins: Vec<Offset>) {
        self.origins = origins;
    }

    /// In a derived stream, by partition of its source: the next of its events that is not folded in yet.
    pub fn origins(&self) -> &[Offset] {
        &self.origins
    }

    /// Notes when the log stored some events, which are scored next: what is too far ahead of that is refused. Events
    /// of which nothing is noted are ahead of nothing.
    pub(crate) fn note_stored(&mut self, blocks: &[Records]) {
        self.stored = StoredTimes::of(blocks);
    }

    /// The version of the catalog that is in effect.
    pub fn catalog(&self) -> u64 {
        self.catalog
    }

    /// How many entities are in memory.
    pub fn entities(&self) -> usize {
        self.entities.len()
    }

    /// Goes over to a new plan. Everything must have been saved before: see [`Partition::barrier`].
    ///
    /// # Errors
    /// As for [`Partition::new`].
    pub fn adopt(&mut self, plan: Arc<StreamPlan>, catalog: u64) -> Result<(), FieldError> {
        self.decoder = decoder_of(&plan)?;
        self.entities.adopt(&plan);
        self.plan = plan;
        self.catalog = catalog;
        Ok(())
    }

    /// From now on notes which buckets of tumbling views change, for [`Partition::barrier`]. To be called before
    /// anything is scored.
    pub fn note_buckets(&mut self) {
        self.entities.note_buckets(&self.plan);
    }

    /// What has changed since the last barrier.
    pub fn barrier(&mut self) -> Barrier {
        let (epoch, rows) = self.entities.barrier();
        Barrier { epoch, rows, buckets: self.entities.take_buckets(&self.plan) }
    }

    /// Drops entities until at most `most` are left, as far as they were saved by barriers up to `saved`.
    pub fn evict(&mut self, most: usize, saved: u64) {
        self.entities.evict(most, saved);
    }

    /// Forgets an entity. Everything must have been saved before, and its row deleted.
    pub(crate) fn forget(&mut self, key: &str) {
        self.entities.forget(key);
    }

    /// Scores records and appends the block of their verdicts to `out`. `records` are (offset, Avro), rising; so are
    /// `refused`, which the log could not turn into Avro.
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
        batch::score(self, records, refused, instances, store, out)
    }
}

fn decoder_of(plan: &StreamPlan) -> Result<Decoder, FieldError> {
    let paths: Vec<&str> = plan.projection.iter().map(String::as_str).collect();
    Decoder::new(&plan.schema, &paths)
}
