//! One partition's scoring: records in, a block of verdicts out, state folded on the way. No threads, no log.
//!
//! The way of a batch: decode -> entities -> views -> rules -> verdicts.

mod batch;
mod columns;
mod entities;
mod graph;
mod plugin;
mod rows;
mod rule;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use assay_core::expr::EvalError;
use assay_core::names::Offset;
use assay_core::schema::{Decoder, FieldError};
use assay_core::value::Value;
use assay_core::view::{Bucket, FoldError};
use assay_runtime::{Instance, PluginError};

use crate::plan::{RulePlan, Scorer, StreamPlan};
use crate::ports::buckets::ChangedBuckets;
use crate::ports::log::Refused;
use crate::ports::state::{StateRow, StateStore};
use crate::ports::{StoreError, StreamPartition};
use crate::standing::RuleTurn;

pub(crate) use batch::last_of;
pub(crate) use entities::Entities;

/// The instances of a worker: one per rule, shared by all partitions that the worker owns.
#[derive(Default)]
pub struct Instances {
    by_rule: HashMap<String, Instance>,
}

impl Instances {
    /// Makes an instance for each rule of a stream that has a plugin, replacing what is there.
    ///
    /// # Errors
    /// A plugin refuses its config; it took the same one when the plan was made.
    pub fn equip(&mut self, plan: &StreamPlan) -> Result<(), PluginError> {
        for rule in &plan.rules {
            if let Scorer::Plugin(scorer) = &rule.scorer {
                let instance = scorer.plugin.instance(&scorer.config, scorer.limits.clone())?;
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

/// What a view has measured of an entity.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The time of its newest event that was counted, ms since 1970; none before the first.
    pub as_of: Option<i64>,
    /// Values by measure, in the order of the definition.
    pub values: Vec<(String, Value)>,
    /// Of a tumbling view: the begin and the end of the bucket that the values are of, ms since 1970.
    pub bucket: Option<Range<i64>>,
    /// Whether that bucket is kept; if not, the values are those of no events.
    pub is_kept: bool,
}

/// The buckets that a tumbling view keeps of an entity.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptBuckets {
    /// The time of its newest event that was counted, ms since 1970; none before the first.
    pub as_of: Option<i64>,
    /// The names of the measures, in the order of the buckets' values.
    pub measures: Vec<String>,
    /// Those that have events, oldest first.
    pub buckets: Vec<Bucket>,
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
}

impl Partition {
    /// A partition without entities in memory, at a version of the catalog.
    ///
    /// # Errors
    /// The plan's projection does not fit its schema, which compiling the plan rules out.
    pub fn new(of: StreamPartition, plan: Arc<StreamPlan>, catalog: u64) -> Result<Self, FieldError> {
        let decoder = decoder_of(&plan)?;
        let entities = Entities::new(of.clone(), &plan);
        Ok(Self { of, plan, catalog, decoder, entities, slots: Vec::new(), origins: Vec::new() })
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

    /// A view's values of an entity at a time, or as of its newest event; none for an unknown view.
    ///
    /// # Errors
    /// The state store failed.
    pub fn view(
        &mut self,
        view: &str,
        key: &str,
        at: Option<i64>,
        store: &dyn StateStore,
    ) -> Result<Option<Measured>, StoreError> {
        let plan = self.plan.clone();
        let Some((index, slot)) = self.find(view, key, store)? else { return Ok(None) };
        let view = &plan.views[index];
        let seen = self.entities.windows(index).value(slot, at);
        let values = view.measures.iter().map(|(name, _)| name.clone()).zip(seen.values).collect();
        let bucket = at.or(seen.as_of).filter(|_| view.def.tumbles()).and_then(|at| view.layout.bucket_of(at));
        let kept_since = seen.as_of.and_then(|newest| view.layout.kept_since(newest));
        let is_kept = bucket.as_ref().zip(kept_since).is_none_or(|(bucket, since)| bucket.start >= since);
        Ok(Some(Measured { as_of: seen.as_of, values, bucket, is_kept }))
    }

    /// The buckets that a tumbling view keeps of an entity and that have some time from `from` on and before `to`; none
    /// for an unknown view.
    ///
    /// # Errors
    /// The state store failed.
    pub fn buckets(
        &mut self,
        view: &str,
        key: &str,
        times: Range<i64>,
        store: &dyn StateStore,
    ) -> Result<Option<KeptBuckets>, StoreError> {
        let Some((index, slot)) = self.find(view, key, store)? else { return Ok(None) };
        let measures = self.plan.views[index].measures.iter().map(|(name, _)| name.clone()).collect();
        let windows = self.entities.windows(index);
        let as_of = windows.value(slot, None).as_of;
        Ok(Some(KeptBuckets { as_of, measures, buckets: windows.buckets(slot, times.start, times.end) }))
    }

    /// The place of a view in the plan, and the slot of an entity, which is loaded if it is not in memory.
    fn find(&mut self, view: &str, key: &str, store: &dyn StateStore) -> Result<Option<(usize, u32)>, StoreError> {
        let Some(index) = self.plan.views.iter().position(|plan| plan.def.view == view) else { return Ok(None) };
        let mut slots = Vec::new();
        self.entities.resolve(std::iter::once(key), store, &mut slots)?;
        Ok(Some((index, slots[0])))
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
