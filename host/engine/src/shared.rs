//! What the engine's threads share: ports, the plan in effect, the scored offsets, and whether to stop.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use assay_core::names::{Digest, Offset, PartitionIndex};
use assay_core::wire::Corrupt;
use assay_runtime::Interrupt;

use crate::backlog::Backlog;
use crate::config::EngineConfig;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::partition::Halt;
use crate::plan::{Plan, PluginCache};
use crate::ports::catalog::Snapshot;
use crate::ports::log::{Topic, WakeSignal};
use crate::ports::membership::PartitionOwner;
use crate::ports::{PartitionId, Ports, StoreError};
use crate::problem::Problem;
use crate::progress::Progress;
use crate::retention::NeededRecords;
use crate::rule_stats::AllRuleStats;
use crate::scored_offsets::ScoredOffsets;

/// What the engine's threads share.
pub(crate) struct Shared {
    pub(crate) ports: Ports,
    pub(crate) plugin_cache: Arc<PluginCache>,
    pub(crate) config: EngineConfig,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) scored_offsets: ScoredOffsets,
    /// What this process has taken in that is not scored yet.
    pub(crate) backlog: Backlog,
    pub(crate) health: Health,
    /// How far scoring and the sinks are.
    pub(crate) progress: Progress,
    /// How the rules are doing.
    pub(crate) rule_stats: AllRuleStats,
    /// Where rules want partitions to wait.
    pub(crate) halts: Mutex<BTreeMap<PartitionId, Halt>>,
    /// Notified when there are new verdicts of this process's partitions.
    pub(crate) verdicts_appended: Arc<WakeSignal>,
    /// What of the log is still needed, by whom.
    pub(crate) needed_records: NeededRecords,
    plan: RwLock<Arc<Plan>>,
    owned: RwLock<OwnedPartitions>,
    /// Raised when the engine stops. Stops the calls of plugins in recovery.
    stopping: Interrupt,
}

/// The partitions that this process has.
#[derive(Default)]
struct OwnedPartitions {
    /// Each with the number of its assignment.
    partitions: BTreeMap<PartitionId, u64>,
    assignments: u64,
}

impl Shared {
    pub(crate) fn new(
        ports: Ports,
        plugin_cache: Arc<PluginCache>,
        config: EngineConfig,
        metrics: Arc<Metrics>,
        plan: Arc<Plan>,
    ) -> Arc<Self> {
        metrics.catalog_version.set(plan.snapshot.version);
        let verdicts_appended = Arc::new(WakeSignal::default());
        ports.log.on_append(Topic::Verdicts, verdicts_appended.clone());
        Arc::new(Self {
            verdicts_appended,
            ports,
            plugin_cache,
            config,
            metrics,
            scored_offsets: ScoredOffsets::default(),
            backlog: Backlog::default(),
            health: Health::default(),
            progress: Progress::default(),
            rule_stats: AllRuleStats::default(),
            halts: Mutex::default(),
            needed_records: NeededRecords::default(),
            plan: RwLock::new(plan),
            owned: RwLock::default(),
            stopping: Interrupt::default(),
        })
    }

    /// Asks for partitions, of which `owner` will hear.
    pub(crate) fn join_group(&self, owner: Arc<dyn PartitionOwner>) {
        self.ports.membership.join(owner);
        self.ports.membership.set_partitions(self.plan().partitions().collect());
    }

    /// Compiles a snapshot with the plugins that the catalog holds.
    pub(crate) fn compile(&self, snapshot: Arc<Snapshot>) -> Result<Plan, Vec<Problem>> {
        let artifact = |digest: &Digest| self.ports.catalog.artifact(digest);
        Plan::compile(snapshot, &self.plugin_cache, &artifact, &self.config.limits)
    }

    /// The plan in effect.
    pub(crate) fn plan(&self) -> Arc<Plan> {
        // Only whole plans are ever put there.
        self.plan.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_plan(&self, plan: Arc<Plan>) {
        self.metrics.catalog_version.set(plan.snapshot.version);
        *self.plan.write().unwrap_or_else(PoisonError::into_inner) = plan;
    }

    /// The partition of an entity; none for an unknown stream.
    pub(crate) fn partition_of(&self, stream: &str, key: &str) -> Option<PartitionId> {
        let partitions = self.plan().streams.get(stream)?.partitions;
        Some(PartitionId { stream: stream.into(), partition: self.ports.log.partition_of(key, partitions) })
    }

    /// Whether this process has a partition.
    pub(crate) fn is_owned(&self, partition: &PartitionId) -> bool {
        self.owned.read().unwrap_or_else(PoisonError::into_inner).partitions.contains_key(partition)
    }

    /// The partitions that this process has.
    pub(crate) fn owned_partitions(&self) -> Vec<PartitionId> {
        self.owned.read().unwrap_or_else(PoisonError::into_inner).partitions.keys().cloned().collect()
    }

    /// The same with the number of each assignment: one that was lost and came back has another number.
    pub(crate) fn assigned_partitions(&self) -> BTreeMap<PartitionId, u64> {
        self.owned.read().unwrap_or_else(PoisonError::into_inner).partitions.clone()
    }

    /// Notes that a partition is this process's, or not any more.
    pub(crate) fn set_owned(&self, partition: &PartitionId, is_owned: bool) {
        let mut owned = self.owned.write().unwrap_or_else(PoisonError::into_inner);
        if is_owned {
            owned.assignments += 1;
            let assignment = owned.assignments;
            owned.partitions.insert(partition.clone(), assignment);
        } else {
            owned.partitions.remove(partition);
        }
    }

    pub(crate) fn stop(&self) {
        self.stopping.raise();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_raised()
    }

    /// Raised when the engine stops.
    pub(crate) fn stopping(&self) -> &Interrupt {
        &self.stopping
    }

    /// Waits a while, longer each time, but not when the engine stops. Returns whether to go on.
    pub(crate) fn back_off(&self, delay: &mut Duration, wake: &WakeSignal) -> bool {
        // News wake it as well, and are no reason to try a failing store sooner.
        let until = Instant::now() + *delay;
        while !self.is_stopping() && wake.wait(until.saturating_duration_since(Instant::now())) {}
        *delay = (*delay * 2).min(MAX_RETRY_DELAY);
        !self.is_stopping()
    }
}

/// The log does not answer any more: the engine or the log is stopping.
pub(crate) fn log_stopped() -> StoreError {
    StoreError::Unavailable { store: "log", message: "it was stopped".to_owned() }
}

/// A block of verdicts that cannot be read.
pub(crate) fn unreadable_block_error(partition: &PartitionId, offset: Offset, error: &Corrupt) -> StoreError {
    StoreError::Broken { store: "log", message: format!("verdicts of {partition} at offset {offset}: {error}") }
}

/// The first wait after a failure of a store; each further one is twice as long.
pub(crate) const MIN_RETRY_DELAY: Duration = Duration::from_millis(50);
/// The longest wait after a failure of a store.
pub(crate) const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);

impl Plan {
    /// Every partition of every stream.
    pub fn partitions(&self) -> impl Iterator<Item = PartitionId> {
        self.streams.iter().flat_map(|(name, stream)| {
            let name: Arc<str> = name.as_str().into();
            (0..stream.partitions)
                .map(move |partition| PartitionId { stream: name.clone(), partition: PartitionIndex(partition) })
        })
    }

    /// An entity's key as the events of a stream have it; as it is for an unknown stream.
    pub(crate) fn canonical_key(&self, stream: &str, key: &str) -> String {
        self.streams.get(stream).map_or_else(|| key.to_owned(), |stream| stream.canonical_key(key))
    }
}
