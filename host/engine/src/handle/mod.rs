//! The engine's handle: what the HTTP API and the command line call.

mod breaker;
mod change;
mod erase;
mod ingest;
mod live;
mod read;
mod stream_change;
mod wait;
mod watch;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use assay_core::names::Digest;
use assay_runtime::Runtime;

use crate::config::EngineConfig;
use crate::followers::{self, Follower};
use crate::health::Readiness;
use crate::metrics::{Metrics, TopicLabel};
use crate::plan::{Plan, Shelf};
use crate::ports::{Ports, StoreError};
use crate::problem::Problem;
use crate::retention::RetentionWatch;
use crate::shared::Shared;
use crate::worker::{Ownership, WorkerHandle};
use erase::{Eraser, Waiting};
use watch::Watcher;

pub use breaker::BREAKER;
pub use change::{Applied, UploadedPlugin};
pub use ingest::{Ingest, IngestError, Submitted};
pub use live::{Live, LiveFilter, LiveVerdicts, Said};
pub use read::{Explained, ViewBuckets, ViewValues};
pub use wait::WaitError;

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
    followers: Mutex<Vec<Follower>>,
    watcher: Mutex<Option<Watcher>>,
    retention: Mutex<Option<RetentionWatch>>,
    eraser: Mutex<Option<Eraser>>,
    /// Who waits for deletions.
    waiting: Waiting,
    /// Held while the catalog changes, so that changes come one after the other.
    changing: Mutex<()>,
}

impl Engine {
    /// Compiles what the catalog holds, starts workers and followers, and asks for partitions.
    ///
    /// # Errors
    /// A store fails, or the catalog does not compile.
    pub fn start(
        ports: Ports,
        runtime: Runtime,
        config: EngineConfig,
        metrics: Arc<Metrics>,
    ) -> Result<Self, EngineError> {
        let shelf = Shelf::new(runtime);
        let snapshot = Arc::new(ports.catalog.snapshot(None)?);
        let artifact = |digest: &Digest| ports.catalog.artifact(digest);
        let plan = Plan::compile(snapshot, &shelf, &artifact, &config.limits).map_err(EngineError::Catalog)?;
        for stream in plan.streams.values() {
            ports.log.create(&stream.def)?;
        }
        let count = u32::try_from(config.workers.max(1)).unwrap_or(u32::MAX);
        let shared = Shared::new(ports, shelf, config, metrics, Arc::new(plan));
        let workers: Result<Vec<WorkerHandle>, std::io::Error> =
            (0..count).map(|index| WorkerHandle::start(index, shared.clone())).collect();
        let workers = workers?;
        let ownership = Ownership::new(shared.clone(), workers.iter().map(WorkerHandle::address).collect());
        shared.ports.membership.join(ownership.clone());
        shared.ports.membership.share(shared.plan().partitions().collect());
        // Behind the first assignment: a follower that has no partitions yet would say that it is not behind.
        let followers = followers::start(&shared)?;
        let retention = RetentionWatch::start(&shared)?;
        let inner = Inner {
            shared,
            ownership,
            workers: Mutex::new(workers),
            followers: Mutex::new(followers),
            watcher: Mutex::default(),
            retention: Mutex::new(Some(retention)),
            eraser: Mutex::default(),
            waiting: Waiting::default(),
            changing: Mutex::new(()),
        };
        let engine = Self { inner: Arc::new(inner) };
        *engine.inner.watcher.lock().unwrap_or_else(PoisonError::into_inner) = Some(Watcher::start(&engine)?);
        *engine.inner.eraser.lock().unwrap_or_else(PoisonError::into_inner) = Eraser::start(&engine)?;
        Ok(engine)
    }

    /// Stops: gives partitions back, ends workers after the batch in hand and a checkpoint, then followers. Blocks; a
    /// second call does nothing.
    pub fn shutdown(&self) {
        if !self.inner.shared.is_stopping() {
            self.inner.shared.ports.membership.leave();
        }
        self.inner.shared.stop();
        if let Some(watcher) = self.inner.watcher.lock().unwrap_or_else(PoisonError::into_inner).take() {
            watcher.join();
        }
        // Before the workers, who answer it.
        if let Some(eraser) = self.inner.eraser.lock().unwrap_or_else(PoisonError::into_inner).take() {
            eraser.join();
        }
        let mut workers = self.inner.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.iter_mut().for_each(WorkerHandle::join);
        workers.clear();
        let mut followers = self.inner.followers.lock().unwrap_or_else(PoisonError::into_inner);
        followers.iter_mut().for_each(Follower::join);
        followers.clear();
        if let Some(retention) = self.inner.retention.lock().unwrap_or_else(PoisonError::into_inner).take() {
            retention.join();
        }
    }

    /// All metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.inner.shared.metrics
    }

    /// All metrics as they are now, in Prometheus's text format.
    pub fn measure(&self) -> String {
        let failing = self.readiness().parts.iter().filter(|part| !part.ok).count();
        let metrics = self.metrics();
        metrics.parts_failing.set(failing as i64);
        for lost in self.ports().log.lost() {
            let label = TopicLabel { stream: lost.stream.to_string(), topic: lost.topic.name() };
            // The log counts from the beginning; two who measure at once must not add twice.
            metrics.lost_records.get_or_create(&label).inner().fetch_max(lost.records, Ordering::Relaxed);
        }
        metrics.encode()
    }

    /// How the engine's parts are.
    pub fn readiness(&self) -> Readiness {
        self.inner.shared.health.readiness()
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
