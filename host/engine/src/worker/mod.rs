//! A worker: a plain thread that owns some partitions of every stream and scores their events. No locks on the way.

mod owned;
mod saver;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::partition::{Instances, Measured};
use crate::plan::Plan;
use crate::ports::log::{Bell, Topic};
use crate::ports::{StoreError, StreamPartition};
use crate::shared::{FIRST_DELAY, Shared};
use owned::Owned;
use saver::Saver;

/// How long a worker sleeps at most when nothing rings.
const IDLE: Duration = Duration::from_millis(100);

/// What a view has measured; none: the view is unknown there.
pub(crate) type ViewAnswer = Result<Option<Measured>, StoreError>;

/// What a worker is asked between two batches.
pub(crate) enum Request {
    /// Go over to a plan; answer when it is in effect.
    Adopt(Arc<Plan>, Sender<()>),
    /// A view's values of an entity at a time.
    View { of: StreamPartition, view: String, key: String, at: Option<i64>, answer: Sender<ViewAnswer> },
}

/// The engine's end of a worker.
pub(crate) struct WorkerHandle {
    requests: Sender<Request>,
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

impl WorkerHandle {
    /// Starts the worker that owns every partition whose number is `index` modulo `workers`.
    pub(crate) fn start(index: u32, workers: u32, shared: Arc<Shared>) -> std::io::Result<Self> {
        let (requests, inbox) = unbounded();
        let bell = Arc::new(Bell::default());
        shared.ports.log.on_append(Topic::Events, bell.clone());
        let saver = Saver::start(format!("saver-{index}"), shared.clone())?;
        let plan = shared.plan();
        let instances = Instances::default();
        let mut worker =
            Worker { index, workers, shared, inbox, bell: bell.clone(), plan, owned: Vec::new(), instances, saver };
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || worker.run())?;
        Ok(Self { requests, bell, thread: Some(thread) })
    }

    /// Asks the worker; it answers between two batches.
    pub(crate) fn ask(&self, request: Request) {
        // A worker ends only when the engine stops; whoever waits for the answer sees that no one will give it.
        let _ = self.requests.send(request);
        self.bell.ring();
    }

    /// Waits until the worker has ended. The engine must be stopping.
    pub(crate) fn join(&mut self) {
        self.bell.ring();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Worker {
    index: u32,
    workers: u32,
    shared: Arc<Shared>,
    inbox: Receiver<Request>,
    bell: Arc<Bell>,
    plan: Arc<Plan>,
    owned: Vec<Owned>,
    instances: Instances,
    saver: Saver,
}

impl Worker {
    fn run(&mut self) {
        self.equip();
        self.open_partitions();
        while !self.shared.is_stopping() {
            let requests: Vec<Request> = self.inbox.try_iter().collect();
            for request in requests {
                self.answer(request);
            }
            let mut scored = 0;
            for index in 0..self.owned.len() {
                scored += self.turn(index);
                self.owned[index].save_if_due(&self.saver, &self.shared);
            }
            if scored == 0 {
                self.bell.wait(IDLE);
            }
        }
        for owned in &mut self.owned {
            owned.save(owned.partition.catalog(), &self.saver);
        }
        self.saver.flush();
    }

    /// One partition's turn: a failing store stalls it, no other one.
    fn turn(&mut self, index: usize) -> usize {
        let owned = &mut self.owned[index];
        let (shared, bell) = (&self.shared, &self.bell);
        let turned = owned.lag(shared).and_then(|lag| {
            if lag == 0 {
                return Ok((0, 0));
            }
            Ok((owned.turn(&mut self.instances, shared, bell)?, lag))
        });
        let of = owned.partition.of();
        let name = format!("partition {of}");
        match turned {
            Ok((0, _)) => {
                shared.health.note(&name, None, 0);
                0
            }
            Ok((scored, lag)) => {
                shared.health.note(&name, None, lag.saturating_sub(scored as u64));
                scored
            }
            Err(error) => {
                tracing::error!(partition = %of, %error, "a batch cannot be scored; trying again");
                shared.health.note(&name, Some(&error.to_string()), 0);
                bell.wait(FIRST_DELAY);
                0
            }
        }
    }

    fn equip(&mut self) {
        for stream in self.plan.streams.values() {
            if let Err(error) = self.instances.equip(stream, &self.shared.config.limits) {
                // The plan was made with this very config a moment ago. Its events go to the dead letters.
                tracing::error!(stream = stream.def.stream, %error, "a plugin refuses to be made ready");
            }
        }
    }

    /// Opens the partitions of this worker that are not open yet; tries each until it can be opened.
    fn open_partitions(&mut self) {
        for of in self.plan.partitions() {
            let is_open = self.owned.iter().any(|owned| *owned.partition.of() == of);
            if is_open || of.partition.0 % self.workers != self.index {
                continue;
            }
            let Some(stream) = self.plan.streams.get(&*of.stream) else { continue };
            let mut delay = FIRST_DELAY;
            loop {
                match Owned::open(of.clone(), &self.plan, stream, &self.shared) {
                    Ok(owned) => {
                        self.owned.push(owned);
                        break;
                    }
                    Err(error) => {
                        tracing::error!(partition = %of, %error, "a partition cannot be opened; trying again");
                        self.shared.health.note(&format!("partition {of}"), Some(&error.to_string()), 0);
                        if !self.shared.back_off(&mut delay, &self.bell) {
                            return;
                        }
                    }
                }
            }
        }
    }

    fn answer(&mut self, request: Request) {
        match request {
            Request::Adopt(plan, done) => {
                self.adopt(plan);
                let _ = done.send(());
            }
            Request::View { of, view, key, at, answer } => {
                let owned = self.owned.iter_mut().find(|owned| *owned.partition.of() == of);
                let state = &*self.shared.ports.state;
                let found = owned.map_or(Ok(None), |owned| owned.partition.view(&view, &key, at, state));
                let _ = answer.send(found);
            }
        }
    }

    /// Everything is saved with the version that comes into effect, then the plan changes. So recovery knows by which
    /// rules each event was judged.
    fn adopt(&mut self, plan: Arc<Plan>) {
        self.owned.retain(|owned| plan.streams.contains_key(&*owned.partition.of().stream));
        for owned in &mut self.owned {
            owned.save(plan.snapshot.version, &self.saver);
        }
        self.saver.flush();
        self.plan = plan;
        self.instances = Instances::default();
        self.equip();
        for owned in &mut self.owned {
            let of = owned.partition.of().clone();
            let Some(stream) = self.plan.streams.get(&*of.stream) else { continue };
            if let Err(error) = owned.partition.adopt(stream.clone(), self.plan.snapshot.version) {
                tracing::error!(partition = %of, %error, "a plan that compiled cannot be adopted");
            }
        }
        self.open_partitions();
    }
}
