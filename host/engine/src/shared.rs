//! What the engine's threads share: ports, the plan in effect, the hub, and whether to stop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use assay_core::names::{Digest, Offset, Partition as PartitionId};
use assay_core::wire::Corrupt;
use assay_runtime::Interrupt;

use crate::backlog::Backlog;
use crate::config::EngineConfig;
use crate::health::Health;
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::partition::Halt;
use crate::plan::{Plan, Shelf};
use crate::ports::catalog::Snapshot;
use crate::ports::log::{Bell, Topic};
use crate::ports::{Ports, StoreError, StreamPartition};
use crate::problem::Problem;
use crate::progress::Progress;
use crate::retention::Needs;
use crate::standing::Standings;

/// What the engine's threads share.
pub(crate) struct Shared {
    pub(crate) ports: Ports,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) config: EngineConfig,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) hub: Hub,
    /// What this process has taken in that is not scored yet.
    pub(crate) backlog: Backlog,
    pub(crate) health: Health,
    /// How far scoring and the followers are.
    pub(crate) progress: Progress,
    /// How the rules are doing.
    pub(crate) standings: Standings,
    /// Where rules want partitions to wait.
    pub(crate) halts: Mutex<BTreeMap<StreamPartition, Halt>>,
    /// Rings when there are new verdicts of this process's partitions.
    pub(crate) said: Arc<Bell>,
    /// What of the log is still needed, by whom.
    pub(crate) needs: Needs,
    plan: RwLock<Arc<Plan>>,
    /// The partitions that this process has.
    mine: RwLock<BTreeSet<StreamPartition>>,
    /// Raised when the engine stops. Stops the calls of plugins in recovery.
    stopping: Interrupt,
}

impl Shared {
    pub(crate) fn new(
        ports: Ports,
        shelf: Arc<Shelf>,
        config: EngineConfig,
        metrics: Arc<Metrics>,
        plan: Arc<Plan>,
    ) -> Arc<Self> {
        metrics.catalog_version.set(plan.snapshot.version);
        let said = Arc::new(Bell::default());
        ports.log.on_append(Topic::Verdicts, said.clone());
        Arc::new(Self {
            said,
            ports,
            shelf,
            config,
            metrics,
            hub: Hub::default(),
            backlog: Backlog::default(),
            health: Health::default(),
            progress: Progress::default(),
            standings: Standings::default(),
            halts: Mutex::default(),
            needs: Needs::default(),
            plan: RwLock::new(plan),
            mine: RwLock::default(),
            stopping: Interrupt::default(),
        })
    }

    /// Compiles a snapshot with the plugins that the catalog holds.
    pub(crate) fn compile(&self, snapshot: Arc<Snapshot>) -> Result<Plan, Vec<Problem>> {
        let artifact = |digest: &Digest| self.ports.catalog.artifact(digest);
        Plan::compile(snapshot, &self.shelf, &artifact, &self.config.limits)
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

    /// Whether this process has a partition.
    pub(crate) fn is_mine(&self, of: &StreamPartition) -> bool {
        self.mine.read().unwrap_or_else(PoisonError::into_inner).contains(of)
    }

    /// The partitions that this process has.
    pub(crate) fn mine(&self) -> Vec<StreamPartition> {
        self.mine.read().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Notes that a partition is this process's, or not any more.
    pub(crate) fn note_mine(&self, of: &StreamPartition, is_mine: bool) {
        let mut mine = self.mine.write().unwrap_or_else(PoisonError::into_inner);
        if is_mine {
            mine.insert(of.clone())
        } else {
            mine.remove(of)
        };
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
    pub(crate) fn back_off(&self, delay: &mut Duration, bell: &Bell) -> bool {
        // News ring the bell as well, and are no reason to try a failing store sooner.
        let until = Instant::now() + *delay;
        while !self.is_stopping() && bell.wait(until.saturating_duration_since(Instant::now())) {}
        *delay = (*delay * 2).min(LONGEST_DELAY);
        !self.is_stopping()
    }
}

/// The log does not answer any more: the engine or the log is stopping.
pub(crate) fn log_stopped() -> StoreError {
    StoreError::Unavailable { store: "log", message: "it was stopped".to_owned() }
}

/// A block of verdicts that cannot be read.
pub(crate) fn unreadable_block(of: &StreamPartition, offset: Offset, error: &Corrupt) -> StoreError {
    StoreError::Broken { store: "log", message: format!("verdicts of {of} at offset {offset}: {error}") }
}

/// The first wait after a failure of a store; each further one is twice as long.
pub(crate) const FIRST_DELAY: Duration = Duration::from_millis(50);
/// The longest wait after a failure of a store.
pub(crate) const LONGEST_DELAY: Duration = Duration::from_secs(5);

impl Plan {
    /// Every partition of every stream.
    pub fn partitions(&self) -> impl Iterator<Item = StreamPartition> {
        self.streams.iter().flat_map(|(name, stream)| {
            let name: Arc<str> = name.as_str().into();
            (0..stream.partitions)
                .map(move |partition| StreamPartition { stream: name.clone(), partition: PartitionId(partition) })
        })
    }
}
