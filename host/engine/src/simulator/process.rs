//! One simulated process: an engine whose workers, sinks and watcher are tasks that the driver steps.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::scenario::Scenario;
use super::tasks::{Part, Task};
use crate::clock::Clock;
use crate::config::EngineConfig;
use crate::handle::{Engine, EngineError};
use crate::memory::{Process, ProcessId, World};
use crate::metrics::Metrics;
use crate::plan::PluginCache;
use crate::ports::PartitionId;
use crate::ports::log::WakeSignal;
use crate::ports::membership::PartitionOwner;
use crate::retention::RetentionMonitor;
use crate::shared::Shared;
use crate::sinks;
use crate::worker::{SteppedOpenings, SteppedWorker};

/// What the group tells a process.
pub(super) enum Notice {
    Assign(Vec<PartitionId>),
    Revoke(Vec<PartitionId>, Duration),
    Lose(Vec<PartitionId>),
}

/// What the group has told and is not heard yet, in one order for all processes.
pub(super) type Notices = Arc<Mutex<VecDeque<(ProcessId, Notice)>>>;

/// Notes what the group tells a process. It is heard between two steps.
struct NotingOwner {
    process: ProcessId,
    notices: Notices,
}

impl NotingOwner {
    fn note(&self, notice: Notice) {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).push_back((self.process, notice));
    }
}

impl PartitionOwner for NotingOwner {
    fn assign(&self, partitions: Vec<PartitionId>) {
        self.note(Notice::Assign(partitions));
    }

    fn revoke(&self, partitions: Vec<PartitionId>, at_most: Duration) {
        self.note(Notice::Revoke(partitions, at_most));
    }

    fn lose(&self, partitions: Vec<PartitionId>) {
        self.note(Notice::Lose(partitions));
    }
}

/// A process. It is dropped when no step of it is under way any more.
pub(super) struct SimulatedProcess {
    pub(super) id: ProcessId,
    pub(super) engine: Engine,
    pub(super) tasks: Vec<RefCell<Task>>,
    pub(super) openings: Vec<SteppedOpenings>,
    world: World,
    shared: Arc<Shared>,
    is_alive: Cell<bool>,
    /// Holds its ports.
    _process: Process,
}

/// What processes are made with.
pub(super) struct ProcessSettings {
    pub(super) world: World,
    pub(super) clock: Clock,
    pub(super) notices: Notices,
    pub(super) plugin_cache: Arc<PluginCache>,
    /// Those of all processes together.
    pub(super) metrics: Arc<Metrics>,
    /// Whether the derived stream is filled by its sink.
    pub(super) derives: bool,
}

impl SimulatedProcess {
    /// Starts a process, and lets it join its group.
    pub(super) fn start(scenario: &Scenario, settings: &ProcessSettings) -> Result<Rc<Self>, EngineError> {
        let process = settings.world.start_process();
        Self::start_engine(scenario, settings, process.clone()).inspect_err(|_| settings.world.crash(process.id()))
    }

    fn start_engine(
        scenario: &Scenario,
        settings: &ProcessSettings,
        process: Process,
    ) -> Result<Rc<Self>, EngineError> {
        let sinks = sinks::SINK_NAMES.iter().filter(|name| settings.derives || **name != "derive");
        let config = EngineConfig {
            workers: scenario.workers,
            partitions: scenario.partitions,
            batch_rows: scenario.batch_rows,
            checkpoint_every: scenario.checkpoint_every,
            entities_in_memory: scenario.entities_in_memory,
            derive_wait: scenario.derive_wait,
            retention: scenario.retention,
            sinks: sinks.map(|name| (*name).to_owned()).collect(),
            clock: settings.clock.clone(),
            ..EngineConfig::default()
        };
        let (metrics, plugins) = (settings.metrics.clone(), settings.plugin_cache.clone());
        let shared = Engine::prepare(process.ports(), plugins, config, metrics)?;
        let (mut tasks, mut openings, mut workers) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..scenario.workers {
            let (worker, saver, opening) = SteppedWorker::new(&shared);
            workers.push(worker.address());
            openings.push(opening);
            tasks.extend([Part::Worker(Box::new(worker)), Part::Saver(saver)]);
        }
        let engine = Engine::assemble(shared.clone(), workers);
        shared.join_group(Arc::new(NotingOwner { process: process.id(), notices: settings.notices.clone() }));
        for mut sink in sinks::make_all(&shared) {
            sink.restart();
            tasks.push(Part::Sink(sink));
        }
        let wake = Arc::new(WakeSignal::default());
        shared.ports.catalog.on_change(wake.clone());
        tasks.push(Part::Watcher(wake));
        tasks.push(Part::Retention(Box::new(RetentionMonitor::new(&shared))));
        let now = settings.clock.now();
        let tasks = tasks.into_iter().map(|part| RefCell::new(Task::new(part, now))).collect();
        let id = process.id();
        let world = settings.world.clone();
        Ok(Rc::new(Self { id, engine, tasks, openings, world, shared, is_alive: Cell::new(true), _process: process }))
    }

    /// Whether it has not crashed.
    pub(super) fn is_alive(&self) -> bool {
        self.is_alive.get()
    }

    /// Whether it has a partition, as far as it knows.
    pub(super) fn is_owner(&self, partition: &PartitionId) -> bool {
        self.shared.is_owned(partition)
    }

    /// It has crashed: steps that are under way end by failures of all ports.
    pub(super) fn stop(&self) {
        self.is_alive.set(false);
        self.shared.stop();
    }

    /// Hears what the group tells it.
    pub(super) fn hear(&self, notice: Notice) {
        let owner = self.engine.partition_owner();
        let note = |partitions: &[PartitionId], is_assigned| self.world.note_heard(self.id, partitions, is_assigned);
        match notice {
            Notice::Assign(partitions) => {
                note(&partitions, true);
                owner.assign(partitions);
            }
            Notice::Revoke(partitions, at_most) => {
                note(&partitions, false);
                owner.revoke(partitions, at_most);
            }
            Notice::Lose(partitions) => {
                note(&partitions, false);
                owner.lose(partitions);
            }
        }
    }
}
