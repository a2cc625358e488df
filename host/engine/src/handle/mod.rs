//! The engine's handle: what the HTTP API and the command line call.

mod erase;
mod ingest;
mod live;
mod profile;
mod read;
mod wait;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use assay_core::names::Digest;
use assay_runtime::Runtime;

use crate::catalog::CatalogService;
use crate::config::EngineConfig;
use crate::health::{PartStatus, Readiness};
use crate::metrics::{Metrics, SinkLabel, ThreadLabel, TopicLabel};
use crate::panics;
use crate::plan::{Plan, PluginCache};
use crate::ports::membership::PartitionOwner;
use crate::ports::{PartitionId, Ports, StoreError};
use crate::problem::Problem;
use crate::progress::Unscored;
use crate::retention::RetentionThread;
use crate::service::Service;
use crate::shared::Shared;
use crate::sinks;
use crate::worker::{Ownership, WorkerAddress, WorkerHandle};
use erase::{DeletionWaiters, Eraser};
use profile::FirstRevisions;

pub use ingest::{Ingest, IngestError, Submitted};
pub use live::{LiveFilter, LiveItem, LiveVerdict, LiveVerdicts};
pub use profile::{EntityProfile, EntityTag, WantedScores};
pub use read::{Explained, ExplainedPage, ViewBuckets, ViewValues};
pub use wait::{OutcomeReader, VerdictMarks, WaitError};

/// Why the engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the catalog holds does not compile, which it did when it was put there: another version of the binary, or
    /// a damaged catalog.
    #[error("the catalog does not compile: {}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("; "))]
    Catalog(Vec<Problem>),
    /// No thread could be started.
    #[error("a thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// The engine. Clones are handles to the same one.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    ownership: Arc<Ownership>,
    workers: Mutex<Vec<WorkerHandle>>,
    sinks: Mutex<Vec<Service>>,
    catalog: Arc<CatalogService>,
    retention: Mutex<Option<RetentionThread>>,
    eraser: Mutex<Option<Eraser>>,
    /// Who waits for deletions.
    waiting: DeletionWaiters,
    first_revisions: FirstRevisions,
}

fn lock<T>(part: &Mutex<T>) -> MutexGuard<'_, T> {
    // Parts are put there and taken whole.
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// Compiles what the catalog holds, starts workers and sinks, and asks for partitions.
    ///
    /// # Errors
    /// A store fails, or the catalog does not compile.
    pub fn start(
        ports: Ports,
        runtime: Runtime,
        config: EngineConfig,
        metrics: Arc<Metrics>,
    ) -> Result<Self, EngineError> {
        panics::install_hook();
        let shared = Self::prepare(ports, PluginCache::new(runtime), config, metrics)?;
        let count = u32::try_from(shared.config.workers.max(1)).unwrap_or(u32::MAX);
        let workers: Result<Vec<WorkerHandle>, std::io::Error> =
            (0..count).map(|index| WorkerHandle::start(index, shared.clone())).collect();
        let workers = workers?;
        let engine = Self::assemble(shared, workers.iter().map(WorkerHandle::address).collect());
        let inner = &engine.inner;
        *lock(&inner.workers) = workers;
        inner.shared.join_group(inner.ownership.clone());
        // Behind the first assignment: a sink that has no partitions yet would say that it is not behind.
        *lock(&inner.sinks) = sinks::start(&inner.shared)?;
        *lock(&inner.retention) = Some(RetentionThread::start(&inner.shared)?);
        inner.catalog.start_watcher()?;
        *lock(&inner.eraser) = Eraser::start(&engine)?;
        Ok(engine)
    }

    /// Compiles what the catalog holds, and makes the streams in the log.
    pub(crate) fn prepare(
        ports: Ports,
        plugin_cache: Arc<PluginCache>,
        config: EngineConfig,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Shared>, EngineError> {
        let ports = ports.guarded();
        let snapshot = Arc::new(ports.catalog.snapshot(None)?);
        let artifact = |digest: &Digest| ports.catalog.artifact(digest);
        let plan = Plan::compile(snapshot, &plugin_cache, &artifact, &config.limits).map_err(EngineError::Catalog)?;
        for stream in plan.streams.values() {
            ports.log.create(&stream.def)?;
        }
        Ok(Shared::new(ports, plugin_cache, config, metrics, Arc::new(plan)))
    }

    /// The handle of an engine with these workers, which is not in its group yet. Its threads are started by the caller,
    /// or their steps done.
    pub(crate) fn assemble(shared: Arc<Shared>, workers: Vec<WorkerAddress>) -> Self {
        let ownership = Ownership::new(shared.clone(), workers);
        let inner = Inner {
            catalog: CatalogService::new(shared.clone(), ownership.clone()),
            shared,
            ownership,
            workers: Mutex::default(),
            sinks: Mutex::default(),
            retention: Mutex::default(),
            eraser: Mutex::default(),
            waiting: DeletionWaiters::default(),
            first_revisions: FirstRevisions::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The part that hears which partitions this process has.
    pub(crate) fn partition_owner(&self) -> Arc<dyn PartitionOwner> {
        self.inner.ownership.clone()
    }

    /// Stops: gives partitions back, ends workers after the batch in hand and a checkpoint, then sinks. A batch
    /// whose plugin is in a call is given up; the next start judges it. Blocks; a second call does nothing.
    pub fn shutdown(&self) {
        if !self.inner.shared.is_stopping() {
            self.inner.shared.ports.membership.leave();
        }
        self.inner.shared.stop();
        let mut workers = lock(&self.inner.workers);
        // Others wait for answers of workers.
        WorkerHandle::interrupt_all(&workers);
        self.inner.catalog.join();
        // Before the workers, who answer it.
        if let Some(eraser) = lock(&self.inner.eraser).take() {
            eraser.join();
        }
        self.inner.waiting.give_up();
        workers.iter_mut().for_each(WorkerHandle::join);
        workers.clear();
        let mut sinks = lock(&self.inner.sinks);
        sinks.drain(..).for_each(Service::join);
        if let Some(retention) = lock(&self.inner.retention).take() {
            retention.join();
        }
    }

    /// The catalog in use.
    pub fn catalog(&self) -> &CatalogService {
        &self.inner.catalog
    }

    /// All metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.inner.shared.metrics
    }

    /// All metrics as they are now, in Prometheus's text format.
    pub fn measure(&self) -> String {
        let (shared, metrics) = (&self.inner.shared, self.metrics());
        let lags = shared.lags();
        let failing = shared.health.readiness(&lags).parts.iter().filter(|part| !part.ok).count();
        metrics.parts_failing.set(failing as i64);
        for (partition, lag) in &lags.scoring {
            let label = Metrics::partition(partition);
            metrics.lag.get_or_create(&label).set(*lag as i64);
            if !shared.is_owned(partition) {
                // Its worker may have taken the label away a moment ago.
                metrics.lag.remove(&label);
            }
        }
        for (sink, lag) in &lags.sinks {
            let label = SinkLabel { sink: (*sink).to_owned() };
            metrics.sink_lag.get_or_create(&label).set(lag.records as i64);
        }
        for (thread, count) in panics::counts() {
            metrics.panics.get_or_create(&ThreadLabel { thread }).inner().fetch_max(count, Ordering::Relaxed);
        }
        for lost in self.ports().log.lost() {
            let label = TopicLabel { stream: lost.stream.to_string(), topic: lost.topic.name() };
            // The log counts from the beginning; two who measure at once must not add twice.
            metrics.lost_records.get_or_create(&label).inner().fetch_max(lost.records, Ordering::Relaxed);
        }
        metrics.encode()
    }

    /// How the engine's parts are.
    pub fn readiness(&self) -> Readiness {
        let shared = &self.inner.shared;
        let mut readiness = shared.health.readiness(&shared.lags());
        if let Some(message) = self.ports().log.failure() {
            readiness.ready = false;
            readiness.parts.push(PartStatus {
                name: "log".to_owned(),
                ok: false,
                message,
                warning: String::new(),
                lag: 0,
            });
        }
        readiness
    }

    /// How much of a partition is not scored yet, now; none: it is not this process's, or not opened yet.
    pub fn unscored(&self, partition: &PartitionId) -> Option<Unscored> {
        self.inner.shared.unscored(partition)
    }

    /// The ports, for reads that need no more than one of them.
    pub fn ports(&self) -> &Ports {
        &self.inner.shared.ports
    }

    /// The plan in effect.
    pub fn plan(&self) -> Arc<Plan> {
        self.inner.shared.plan()
    }
}
