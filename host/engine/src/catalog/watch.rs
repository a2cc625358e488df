//! Watching the catalog: changes that other processes made, definitions that were put into its store directly, and
//! rules that have to be paused.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::CatalogService;
use crate::health::HealthComponent;
use crate::panics::{self, Heartbeat};
use crate::plan::Plan;
use crate::ports::catalog::{Revision, Snapshot, Submission};
use crate::ports::log::WakeSignal;
use crate::probe::ProbePoint;
use crate::problem::ChangeError;
use crate::shared::MIN_RETRY_DELAY;

/// How often the catalog's version is asked for when no wake signal comes.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How often the watcher looks whether rules have to be paused. A rule that takes more than its share of a worker holds
/// all others up until then.
const RULE_CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// The thread that watches the catalog.
pub(super) struct Watcher {
    wake: Arc<WakeSignal>,
    thread: JoinHandle<()>,
}

impl Watcher {
    pub(super) fn start(service: &Arc<CatalogService>) -> std::io::Result<Self> {
        let wake = Arc::new(WakeSignal::default());
        service.shared.ports.catalog.on_change(wake.clone());
        // The service holds the watcher, not the other way round.
        let (weak, own_wake) = (Arc::downgrade(service), wake.clone());
        let over = weak.clone();
        let is_over = move || over.upgrade().is_none_or(|service| service.shared.is_stopping());
        let thread = panics::spawn("catalog", is_over, move |heartbeat| watch(&weak, &own_wake, heartbeat))?;
        Ok(Self { wake, thread })
    }

    /// Waits until the thread has ended. The engine must be stopping.
    pub(super) fn join(self) {
        self.wake.notify();
        let _ = self.thread.join();
    }
}

fn watch(service: &Weak<CatalogService>, wake: &WakeSignal, heartbeat: &Heartbeat) {
    let mut delay = MIN_RETRY_DELAY;
    let mut refresh_at = Instant::now();
    loop {
        let Some(service) = service.upgrade() else { return };
        if service.shared.is_stopping() {
            return;
        }
        service.shared.config.probe.call(ProbePoint::Round);
        let watched = if Instant::now() < refresh_at {
            service.open_breakers()
        } else {
            refresh_at = Instant::now() + POLL_INTERVAL;
            service.refresh().and_then(|()| service.commit_submissions()).and_then(|()| service.open_breakers())
        };
        let problem = watched.err().map(|error| error.to_string());
        service.shared.health.note(&HealthComponent::Catalog, problem.as_deref());
        heartbeat.mark_alive();
        match problem {
            None => {
                delay = MIN_RETRY_DELAY;
                drop(service);
                if wake.wait(RULE_CHECK_INTERVAL) {
                    refresh_at = Instant::now();
                }
            }
            Some(problem) => {
                tracing::warn!(problem, "the catalog cannot be followed; going on with the rules of before");
                if !service.shared.back_off(&mut delay, wake) {
                    return;
                }
                refresh_at = Instant::now();
            }
        }
    }
}

impl CatalogService {
    /// Takes up what other processes changed, and what was put into the catalog past this handle.
    pub(crate) fn refresh(&self) -> Result<(), ChangeError> {
        let known = self.plan().snapshot.version;
        let is_in_effect = self.in_effect.load(Ordering::SeqCst) >= known;
        if is_in_effect && self.shared.ports.catalog.version()? <= known {
            return Ok(());
        }
        // A change of our own that is under way sets the plan itself.
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = &self.shared;
        let before = shared.plan();
        if self.in_effect.load(Ordering::SeqCst) < before.snapshot.version {
            // A panic kept the change from reaching all workers.
            self.put_into_effect(&before);
        }
        let snapshot = Arc::new(shared.ports.catalog.snapshot(None)?);
        if snapshot.version <= before.snapshot.version {
            return Ok(());
        }
        tracing::info!(version = snapshot.version, "the catalog has a new version");
        let plan = if is_same_for_workers(&before.snapshot, &snapshot) {
            Plan { snapshot, streams: before.streams.clone() }
        } else {
            let plan = shared.compile(snapshot).map_err(ChangeError::Invalid)?;
            for stream in plan.streams.values() {
                shared.ports.log.create(&stream.def)?;
            }
            plan
        };
        self.activate_plan(&before.snapshot, plan);
        Ok(())
    }

    /// Puts a plan into effect whose streams the log has. Workers do not stop for what does not concern them.
    pub(super) fn activate_plan(&self, before: &Snapshot, plan: Plan) {
        let plan = Arc::new(plan);
        self.shared.set_plan(plan.clone());
        if is_same_for_workers(before, &plan.snapshot) {
            self.in_effect.store(plan.snapshot.version, Ordering::SeqCst);
        } else {
            self.put_into_effect(&plan);
            self.shared.rule_stats.forget_deleted(before, &plan.snapshot);
        }
    }

    /// Lets all workers take up the plan, and shares out its partitions. May be repeated.
    fn put_into_effect(&self, plan: &Arc<Plan>) {
        self.switch_workers(plan);
        self.shared.ports.membership.set_partitions(plan.partitions().collect());
        self.in_effect.store(plan.snapshot.version, Ordering::SeqCst);
    }

    /// Checks and commits definitions that were put into the catalog's store directly.
    fn commit_submissions(&self) -> Result<(), ChangeError> {
        for Submission { id, author, change } in self.shared.ports.catalog.take_submissions()? {
            let (kind, name) = (change.kind, change.name.clone());
            let outcome = match self.change(vec![change], &author, None, false) {
                Ok(_) => Ok(self.plan().snapshot.get(kind, &name).map_or(0, |revision| revision.revision)),
                Err(ChangeError::Store(error)) => return Err(error.into()),
                Err(ChangeError::Invalid(problems)) => Err(problems.iter().map(ToString::to_string).collect()),
                Err(error) => Err(vec![error.to_string()]),
            };
            tracing::info!(%kind, name, author, applied = outcome.is_ok(), "a definition was submitted directly");
            self.shared.ports.catalog.answer_submission(&id, outcome)?;
        }
        Ok(())
    }
}

/// Whether two versions of the catalog say the same to workers.
fn is_same_for_workers(before: &Snapshot, after: &Snapshot) -> bool {
    worker_definitions(before).eq(worker_definitions(after))
}

fn worker_definitions(snapshot: &Snapshot) -> impl Iterator<Item = &Revision> {
    snapshot.revisions.iter().filter(|revision| revision.kind.properties().concerns_workers)
}
