//! A worker: a plain thread that owns some partitions of every stream and scores their events. No locks on the way.

mod batches;
mod halts;
mod owned;
mod ownership;
mod saver;
mod unsaved;

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use assay_core::names::Offset;
use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::metrics::Metrics;
use crate::partition::{Instances, Partition};
use crate::plan::Plan;
use crate::ports::erasure::Erasing;
use crate::ports::log::{Bell, Topic};
use crate::ports::{StoreError, StreamPartition};
use crate::shared::{FIRST_DELAY, LONGEST_DELAY, Shared};
use halts::Halts;
use owned::Owned;
pub(crate) use ownership::Ownership;
use saver::Saver;

/// How many partitions a worker opens at once.
const OPENED_AT_ONCE: usize = 16;
/// How long a worker sleeps at most when nothing rings.
const IDLE: Duration = Duration::from_millis(100);
/// How long it sleeps at most while verdicts are on their way into the log.
const RECEIPT: Duration = Duration::from_millis(1);

/// Reads what a partition has in memory, and answers whoever asked.
pub(crate) type Read = Box<dyn FnOnce(&mut Partition) + Send>;

/// What a worker is asked between two batches.
pub(crate) enum Request {
    /// Go over to a plan; answer when it is in effect.
    Adopt(Arc<Plan>, Sender<()>),
    /// Score a partition from now on.
    Open(StreamPartition),
    /// Let go of a partition. With somebody to answer, everything is saved first; else it is another's already.
    Release(StreamPartition, Option<Sender<()>>),
    /// Save a partition, and end the life of an entity in it.
    Cut(Cut),
    /// Read from a partition. Nothing is read if it is not open.
    Read(StreamPartition, Read),
}

/// A wish to save a partition, and to end the life of an entity there.
pub(crate) struct Cut {
    pub(crate) of: StreamPartition,
    /// Events before this offset must be scored.
    pub(crate) through: Offset,
    /// The entity, if it is about one.
    pub(crate) entity: Option<(Erasing, String)>,
    /// The next event to score; none: it is not there yet, ask again.
    pub(crate) done: Sender<Result<Option<Offset>, StoreError>>,
}

/// Where a worker is asked.
#[derive(Clone)]
pub(crate) struct Address {
    requests: Sender<Request>,
    bell: Arc<Bell>,
}

impl Address {
    /// Asks the worker; it answers between two batches.
    pub(crate) fn ask(&self, request: Request) {
        // A worker ends only when the engine stops; whoever waits for the answer sees that no one will give it.
        let _ = self.requests.send(request);
        self.bell.ring();
    }
}

/// A running worker.
pub(crate) struct WorkerHandle {
    address: Address,
    thread: Option<JoinHandle<()>>,
}

impl WorkerHandle {
    /// Starts a worker without partitions.
    pub(crate) fn start(index: u32, shared: Arc<Shared>) -> std::io::Result<Self> {
        let (requests, inbox) = unbounded();
        let bell = Arc::new(Bell::default());
        shared.ports.log.on_append(Topic::Events, bell.clone());
        let saver = Saver::start(format!("saver-{index}"), shared.clone())?;
        let plan = shared.plan();
        let mut worker = Worker {
            shared,
            inbox,
            bell: bell.clone(),
            plan,
            owned: Vec::new(),
            opening: Vec::new(),
            halts: Halts::default(),
            instances: Instances::default(),
            saver,
        };
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || worker.run())?;
        Ok(Self { address: Address { requests, bell }, thread: Some(thread) })
    }

    /// Where it is asked.
    pub(crate) fn address(&self) -> Address {
        self.address.clone()
    }

    /// Waits until the worker has ended. The engine must be stopping.
    pub(crate) fn join(&mut self) {
        self.address.bell.ring();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    inbox: Receiver<Request>,
    bell: Arc<Bell>,
    plan: Arc<Plan>,
    owned: Vec<Owned>,
    opening: Vec<Opening>,
    halts: Halts,
    instances: Instances,
    saver: Saver,
}

/// A partition that is to be opened.
struct Opening {
    of: StreamPartition,
    due: Instant,
    delay: Duration,
}

impl Worker {
    fn run(&mut self) {
        self.equip();
        while !self.shared.is_stopping() {
            let requests: Vec<Request> = self.inbox.try_iter().collect();
            for request in requests {
                self.answer(request);
            }
            self.open_due();
            let mut scored = 0;
            for index in 0..self.owned.len() {
                scored += self.turn(index);
                self.owned[index].save_if_due(&self.saver, &self.shared, &self.bell);
            }
            self.reopen_failed();
            if scored == 0 {
                let is_waiting = self.owned.iter().any(Owned::is_waiting);
                self.bell.wait(if is_waiting { RECEIPT } else { IDLE });
            }
        }
        for owned in &mut self.owned {
            owned.save(owned.partition.catalog(), &self.saver, &self.shared, &self.bell);
        }
        self.saver.flush();
    }

    /// One partition's turn: a failing store stalls it, no other one.
    fn turn(&mut self, index: usize) -> usize {
        let owned = &mut self.owned[index];
        let (shared, bell) = (&self.shared, &self.bell);
        if !shared.ports.membership.is_member() {
            // Others may have this process's partitions by now.
            return 0;
        }
        let before = self.halts.before(owned.partition.of());
        let turned = owned.lag(shared).and_then(|lag| {
            // Other partitions need not wait for one that does.
            if lag == 0 || owned.is_full(shared, bell) {
                return Ok((0, lag));
            }
            Ok((owned.turn(before, &mut self.instances, shared, bell)?, lag))
        });
        owned.measure(shared, turned.as_ref().map_or(0, |(scored, lag)| lag.saturating_sub(*scored as u64)));
        let of = owned.partition.of();
        let name = format!("partition {of}");
        match turned {
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
            if let Err(error) = self.instances.equip(stream) {
                // The plan was made with this very config a moment ago. Its events go to the dead letters.
                tracing::error!(stream = stream.def.stream, %error, "a plugin refuses to be made ready");
            }
        }
    }

    /// Opens the partitions whose turn it is. What fails is tried again, later each time.
    fn open_due(&mut self) {
        let now = Instant::now();
        let (due, later): (Vec<_>, _) = std::mem::take(&mut self.opening).into_iter().partition(|one| one.due <= now);
        self.opening = later;
        if !due.is_empty() {
            // Whoever had the partition before may have gone over to these rules already.
            self.adopt(self.shared.plan());
        }
        for (mut opening, opened) in self.open_all(due) {
            let of = &opening.of;
            match opened {
                Ok(owned) => self.owned.push(owned),
                Err(error) => {
                    tracing::warn!(partition = %of, %error, "a partition cannot be opened; trying again");
                    self.shared.health.note(&format!("partition {of}"), Some(&error.to_string()), 0);
                    opening.due = Instant::now() + opening.delay;
                    opening.delay = (opening.delay * 2).min(LONGEST_DELAY);
                    self.opening.push(opening);
                }
            }
        }
    }

    /// Opens partitions, some at once: most of the time goes by with waiting for stores and the log.
    fn open_all(&self, all: Vec<Opening>) -> Vec<(Opening, Result<Owned, StoreError>)> {
        let (plan, shared) = (&self.plan, &self.shared);
        let open = |opening: Opening| {
            let of = opening.of.clone();
            let opened = match plan.streams.get(&*of.stream) {
                Some(stream) => Owned::open(of, plan, stream, shared),
                // The catalog was changed by another process, and this one has not heard of it yet.
                None => Err(StoreError::Unavailable {
                    store: "catalog",
                    message: format!("it does not know the stream '{}' yet", of.stream),
                }),
            };
            (opening, opened)
        };
        let mut opened = Vec::with_capacity(all.len());
        let mut all = all.into_iter().peekable();
        while all.peek().is_some() {
            std::thread::scope(|scope| {
                let some: Vec<_> =
                    all.by_ref().take(OPENED_AT_ONCE).map(|opening| scope.spawn(move || open(opening))).collect();
                opened.extend(some.into_iter().map(|one| one.join().unwrap_or_else(|panic| resume_unwind(panic))));
            });
        }
        opened
    }

    /// A partition whose verdicts could not be appended is opened anew, from its last checkpoint.
    fn reopen_failed(&mut self) {
        let (failed, working) = std::mem::take(&mut self.owned).into_iter().partition(Owned::has_failed);
        self.owned = working;
        for mut owned in failed as Vec<Owned> {
            let of = owned.partition.of().clone();
            if let Some(halt) = owned.take_halt() {
                self.halts.add(&of, halt, &self.shared);
            }
            self.opening.push(Opening { of, due: Instant::now() + FIRST_DELAY, delay: FIRST_DELAY });
        }
    }

    fn answer(&mut self, request: Request) {
        match request {
            Request::Adopt(plan, done) => {
                self.adopt(plan);
                let _ = done.send(());
            }
            Request::Open(of) => {
                self.opening.push(Opening { of, due: Instant::now(), delay: FIRST_DELAY });
            }
            Request::Release(of, done) => self.release(&of, done),
            Request::Cut(cut) => {
                if let Some(owned) = self.owned.iter_mut().find(|owned| *owned.partition.of() == cut.of) {
                    let _ = cut.done.send(owned.cut(&cut, &self.saver, &self.shared, &self.bell));
                }
            }
            Request::Read(of, read) => {
                if let Some(owned) = self.owned.iter_mut().find(|owned| *owned.partition.of() == of) {
                    read(&mut owned.partition);
                }
            }
        }
    }

    fn release(&mut self, of: &StreamPartition, done: Option<Sender<()>>) {
        self.opening.retain(|opening| opening.of != *of);
        if let Some(index) = self.owned.iter().position(|owned| owned.partition.of() == of) {
            let mut owned = self.owned.swap_remove(index);
            if done.is_some() {
                owned.save(owned.partition.catalog(), &self.saver, &self.shared, &self.bell);
                self.saver.flush();
            }
        }
        self.shared.health.forget(&format!("partition {of}"));
        self.halts.remove(of, &self.shared);
        let label = Metrics::partition(of);
        self.shared.metrics.lag.remove(&label);
        self.shared.metrics.entities.remove(&label);
        if let Some(done) = done {
            let _ = done.send(());
        }
    }

    /// Everything is saved with the version that comes into effect, then the plan changes. So recovery knows by which
    /// rules each event was judged. There is no way back to an older version.
    fn adopt(&mut self, plan: Arc<Plan>) {
        if plan.snapshot.version <= self.plan.snapshot.version {
            return;
        }
        self.owned.retain(|owned| plan.streams.contains_key(&*owned.partition.of().stream));
        for owned in &mut self.owned {
            owned.save(plan.snapshot.version, &self.saver, &self.shared, &self.bell);
        }
        self.saver.flush();
        self.halts.clear(&self.shared);
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
    }
}
