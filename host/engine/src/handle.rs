//! The engine's handle: starts and stops its threads, and hands out the services that the HTTP API and the command line
//! call. Each service has a folder or a file of its own.

use std::sync::{Arc, Mutex, PoisonError};

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
use crate::ports::{Ports, StoreError};
use crate::problem::Problem;
use crate::queries::QueryService;
use crate::retention::RetentionThread;
use crate::service::Service;
use crate::shared::Shared;
use crate::sinks;
use crate::status::StatusService;
use crate::worker::{Ownership, WorkerHandle};

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
        let ports = ports.guarded();
        let plugin_cache = PluginCache::new(runtime);
        let snapshot = Arc::new(ports.catalog.snapshot(None)?);
        let artifact = |digest: &Digest| ports.catalog.artifact(digest);
        let plan = Plan::compile(snapshot, &plugin_cache, &artifact, &config.limits).map_err(EngineError::Catalog)?;
        for stream in plan.streams.values() {
            ports.log.create(&stream.def)?;
        }
        let count = u32::try_from(config.workers.max(1)).unwrap_or(u32::MAX);
        let shared = Shared::new(ports, plugin_cache, config, metrics, Arc::new(plan));
        let workers: Result<Vec<WorkerHandle>, std::io::Error> =
            (0..count).map(|index| WorkerHandle::start(index, shared.clone())).collect();
        let workers = workers?;
        let ownership = Ownership::new(shared.clone(), workers.iter().map(WorkerHandle::address).collect());
        shared.ports.membership.join(ownership.clone());
        shared.ports.membership.set_partitions(shared.plan().partitions().collect());
        // Behind the first assignment: a sink that has no partitions yet would say that it is not behind.
        let sinks = sinks::start(&shared)?;
        let retention = RetentionThread::start(&shared)?;
        let inner = Inner {
            catalog: CatalogService::start(shared.clone(), ownership.clone())?,
            erasure: ErasureService::new(shared.clone(), ownership.clone()),
            ingest: IngestService::new(shared.clone()),
            queries: QueryService::new(shared.clone(), ownership),
            live_verdicts: LiveVerdictService::new(shared.clone()),
            status: StatusService::new(shared.clone()),
            shared,
            workers: Mutex::new(workers),
            sinks: Mutex::new(sinks),
            retention: Mutex::new(Some(retention)),
        };
        inner.erasure.start_thread()?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Stops: gives partitions back, ends workers after the batch in hand and a checkpoint, then sinks. A batch
    /// whose plugin is in a call is given up; the next start judges it. Blocks; a second call does nothing.
    pub fn shutdown(&self) {
        if !self.inner.shared.is_stopping() {
            self.inner.shared.ports.membership.leave();
        }
        self.inner.shared.stop();
        let mut workers = self.inner.workers.lock().unwrap_or_else(PoisonError::into_inner);
        // Others wait for answers of workers.
        WorkerHandle::interrupt_all(&workers);
        self.inner.catalog.join();
        // Before the workers, who answer it.
        self.inner.erasure.join();
        workers.iter_mut().for_each(WorkerHandle::join);
        workers.clear();
        let mut sinks = self.inner.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        sinks.drain(..).for_each(Service::join);
        if let Some(retention) = self.inner.retention.lock().unwrap_or_else(PoisonError::into_inner).take() {
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
