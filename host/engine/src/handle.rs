//! The engine's handle: starts and stops its threads, and hands out the services that the HTTP API and the command line
//! call. Each service has a folder or a file of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use assay_core::names::Digest;
use assay_runtime::Runtime;

use crate::catalog::CatalogService;
use crate::config::EngineConfig;
use crate::erasure::ErasureService;
use crate::ingest::IngestService;
use crate::live_verdicts::LiveVerdictService;
use crate::metrics::Metrics;
use crate::panics;
use crate::plan::{Plan, PluginCache};
use crate::ports::membership::PartitionOwner;
use crate::ports::{Ports, StoreError};
use crate::problem::Problem;
use crate::queries::QueryService;
use crate::retention::RetentionThread;
use crate::service::Service;
use crate::shared::Shared;
use crate::sinks;
use crate::status::StatusService;
use crate::worker::{Ownership, WorkerAddress, WorkerHandle};

/// The reason why the engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The catalog's definitions do not compile, although they did when they were committed: the binary is of another
    /// version, or the catalog is damaged.
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
    retention: Mutex<Option<RetentionThread>>,
    catalog: Arc<CatalogService>,
    erasure: Arc<ErasureService>,
    ingest: IngestService,
    queries: QueryService,
    live_verdicts: LiveVerdictService,
    status: StatusService,
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
        inner.erasure.start_thread()?;
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
            erasure: ErasureService::new(shared.clone(), ownership.clone()),
            ingest: IngestService::new(shared.clone()),
            queries: QueryService::new(shared.clone(), ownership.clone()),
            live_verdicts: LiveVerdictService::new(shared.clone()),
            status: StatusService::new(shared.clone()),
            shared,
            ownership,
            workers: Mutex::default(),
            sinks: Mutex::default(),
            retention: Mutex::default(),
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
        self.inner.erasure.join();
        workers.iter_mut().for_each(WorkerHandle::join);
        workers.clear();
        let mut sinks = lock(&self.inner.sinks);
        sinks.drain(..).for_each(Service::join);
        if let Some(retention) = lock(&self.inner.retention).take() {
            retention.join();
        }
    }

    /// Reads and changes definitions.
    pub fn catalog(&self) -> &CatalogService {
        &self.inner.catalog
    }

    /// Takes events in.
    pub fn ingest(&self) -> &IngestService {
        &self.inner.ingest
    }

    /// Reads what the stores and the workers have: entities, views, events, profiles, dead letters, edges.
    pub fn queries(&self) -> &QueryService {
        &self.inner.queries
    }

    /// Follows verdicts as they come.
    pub fn live_verdicts(&self) -> &LiveVerdictService {
        &self.inner.live_verdicts
    }

    /// Deletes the data of entities.
    pub fn erasure(&self) -> &ErasureService {
        &self.inner.erasure
    }

    /// Reads the state of the engine: readiness, metrics, rules.
    pub fn status(&self) -> &StatusService {
        &self.inner.status
    }
}
