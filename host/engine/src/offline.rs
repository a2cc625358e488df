//! The pipeline without a log, a store or a thread: for a pack's cases, for benches, for trying a rule out.

use std::collections::BTreeMap;
use std::sync::Arc;

use assay_core::names::{Offset, PartitionIndex};
use assay_core::schema::{Encoder, EventError};
use assay_core::value::Value;
use assay_core::verdict::{Outcome, read_block};
use assay_core::view::NotKept;
use assay_runtime::{Limits, Runtime};

use crate::catalog::complete_derived_streams;
use crate::definition::PluginDef;
use crate::derived::Rekeyer;
use crate::partition::{BatchStats, Instances, PartitionError, PartitionState, ViewAnswer};
use crate::plan::{Plan, PluginCache, plugin_name};
use crate::ports::catalog::{Change, Revision, Snapshot};
use crate::ports::state::{Checkpoint, StateRow, StateStore};
use crate::ports::{PartitionId, Place, StoreError};
use crate::problem::ChangeError;

/// A state store that knows no entity and keeps nothing: everything is in memory.
#[derive(Debug, Default)]
pub struct NoState;

impl StateStore for NoState {
    fn checkpoint(&self, _: &PartitionId) -> Result<Option<Checkpoint>, StoreError> {
        Ok(None)
    }

    fn load(&self, _: &PartitionId, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        Ok(vec![None; keys.len()])
    }

    fn save(&self, _: &PartitionId, _: &Checkpoint, _: &[StateRow]) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The definitions of a pack, ready to score events one stream at a time. Each stream has one partition.
pub struct Offline {
    plan: Plan,
    instances: Instances,
    streams: BTreeMap<String, Stream>,
}

struct Stream {
    partition: PartitionState,
    encoder: Encoder,
    next: Offset,
}

/// Why an event has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The stream is not among the definitions.
    #[error("there is no stream '{0}'")]
    UnknownStream(String),
    /// The event does not fit the stream's schema.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The pipeline failed.
    #[error(transparent)]
    Partition(#[from] PartitionError),
    /// The verdicts cannot be read back.
    #[error("{0}")]
    Verdicts(#[from] assay_core::wire::Corrupt),
}

impl Offline {
    /// Loads plugins and compiles definitions, as the server does when they are uploaded.
    ///
    /// # Errors
    /// What is wrong with a plugin or with the definitions.
    pub fn new(
        runtime: &Runtime,
        plugins: &[Vec<u8>],
        definitions: Vec<Change>,
        limits: &Limits,
    ) -> Result<Self, ChangeError> {
        let plugin_cache = PluginCache::new(runtime.clone());
        let mut changes = definitions;
        let problems = complete_derived_streams(&mut changes, &Snapshot::default());
        if !problems.is_empty() {
            return Err(ChangeError::Invalid(problems));
        }
        for wasm in plugins {
            let plugin = plugin_cache.load(wasm)?;
            let def = PluginDef::new(plugin.digest(), wasm.len(), plugin.manifest());
            changes.push(Change::set(plugin_name(plugin.manifest()), def));
        }
        let revision = |change| Revision::after(None, change, 1, "", 0);
        let snapshot = Snapshot { version: 1, revisions: changes.into_iter().map(revision).collect() };
        let plan =
            Plan::compile(Arc::new(snapshot), &plugin_cache, &|_| Ok(None), limits).map_err(ChangeError::Invalid)?;
        let mut instances = Instances::default();
        let mut streams = BTreeMap::new();
        for (name, stream) in &plan.streams {
            instances.instantiate_plugins(stream)?;
            let partition_id = PartitionId { stream: name.as_str().into(), partition: PartitionIndex(0) };
            let partition = PartitionState::new(partition_id, stream.clone(), 1);
            let partition = partition.map_err(|error| ChangeError::Conflict(error.to_string()))?;
            let encoder = Encoder::new(&stream.schema);
            streams.insert(name.clone(), Stream { partition, encoder, next: Offset(0) });
        }
        Ok(Self { plan, instances, streams })
    }

    /// What was compiled.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Scores one event, given as JSON, behind all that were scored before. The outcome also has what the rules of
    /// streams say that are derived from its stream.
    ///
    /// # Errors
    /// The stream is unknown or the event does not fit its schema; it is left out then.
    pub fn score(&mut self, stream: &str, event: &[u8]) -> Result<Outcome, OfflineError> {
        let unknown = || OfflineError::UnknownStream(stream.to_owned());
        let encoder = &mut self.streams.get_mut(stream).ok_or_else(unknown)?.encoder;
        let mut avro = Vec::new();
        encoder.encode(event, &mut avro)?;
        let mut block = Vec::new();
        let (offset, _) = self.score_avro(stream, &[&avro], &mut block)?;
        let mut outcome = read_block(&block)?.outcomes.pop().unwrap_or_else(|| Outcome::silent(offset));
        for also in self.derive(stream, offset, &avro)? {
            outcome.verdicts.extend(also.verdicts);
            outcome.failures.extend(also.failures);
        }
        Ok(outcome)
    }

    /// Scores an event in the streams that are derived from its stream.
    fn derive(&mut self, stream: &str, offset: Offset, avro: &[u8]) -> Result<Vec<Outcome>, OfflineError> {
        let source = self.plan.streams.get(stream).cloned();
        let Some(source) = source.filter(|source| !source.derived.is_empty()) else { return Ok(Vec::new()) };
        let mut outcomes = Vec::new();
        for name in &source.derived {
            let Some(to) = self.plan.streams.get(name) else { continue };
            // Compiling the stream has found its key in its schema, which is the source's.
            let rekey = Rekeyer::new(&source, to.clone()).map_err(|error| PartitionError::Plan(error.to_string()))?;
            let (mut event, mut block) = (Vec::new(), Vec::new());
            let copy = rekey.event(avro, Place { partition: PartitionIndex(0), offset }, &mut event);
            if copy.is_some_and(|copy| source.max_ahead().check(copy.time, None).is_ok()) {
                self.score_avro(name, &[&event], &mut block)?;
                outcomes.extend(read_block(&block)?.outcomes);
            }
        }
        Ok(outcomes)
    }

    /// Scores a batch of Avro records and appends the block of their verdicts. Returns the first record's offset.
    ///
    /// # Errors
    /// The stream is unknown.
    pub fn score_avro(
        &mut self,
        stream: &str,
        records: &[&[u8]],
        block: &mut Vec<u8>,
    ) -> Result<(Offset, BatchStats), OfflineError> {
        let unknown = || OfflineError::UnknownStream(stream.to_owned());
        let stream = self.streams.get_mut(stream).ok_or_else(unknown)?;
        let first = stream.next;
        stream.next = Offset(first.0 + records.len() as u64);
        let records: Vec<(Offset, &[u8])> =
            records.iter().enumerate().map(|(i, record)| (Offset(first.0 + i as u64), *record)).collect();
        let stats = stream.partition.score(&records, &[], &mut self.instances, &NoState, block)?;
        Ok((first, stats))
    }

    /// A view's values of an entity at a time, or as of its newest event; none for an unknown view, an error where some
    /// of what they cover is not kept any more.
    pub fn view(&mut self, view: &str, key: &str, at: Option<i64>) -> Option<Result<Vec<(String, Value)>, NotKept>> {
        let has = |stream: &Arc<crate::plan::StreamPlan>| stream.views.iter().any(|plan| plan.def.view == view);
        let name = self.plan.streams.iter().find(|(_, stream)| has(stream)).map(|(name, _)| name)?;
        // This store does not fail.
        let seen = self.streams.get_mut(name)?.partition.view(view, key, at, &NoState).ok()?;
        match seen {
            ViewAnswer::Measured(seen) => Some(Ok(seen.values)),
            ViewAnswer::NotKept(not_kept) => Some(Err(not_kept)),
            ViewAnswer::Unknown => None,
        }
    }
}
