//! A worker: a plain thread that owns some partitions of every stream and scores their events. No locks on the way.

mod answers;
mod batch_size;
mod batches;
mod halts;
mod handle;
mod owned;
mod ownership;
mod saver;
mod schedule;
mod suspects;
mod turns;
mod unsaved;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_core::names::Offset;
use assay_runtime::Interrupt;
use crossbeam_channel::{Receiver, Sender};

use crate::metrics::Metrics;
use crate::panics::{self, Heartbeat};
use crate::partition::{Instances, Partition};
use crate::plan::Plan;
use crate::ports::erasure::Erasing;
use crate::ports::log::Bell;
use crate::ports::{StoreError, StreamPartition};
use crate::probe::Probed;
use crate::shared::{FIRST_DELAY, LONGEST_DELAY, Shared};
pub(crate) use answers::Answers;
use halts::Halts;
pub(crate) use handle::{Address, WorkerHandle};
use owned::Owned;
pub(crate) use ownership::Ownership;
use saver::Saver;
use suspects::Suspects;

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

struct Worker {
    shared: Arc<Shared>,
    inbox: Receiver<Request>,
    bell: Arc<Bell>,
    /// Stops calls of `instances`.
    interrupt: Interrupt,
    plan: Arc<Plan>,
    /// All partitions that it has. What is not open or to be opened was lost by a panic.
    assigned: BTreeSet<StreamPartition>,
    owned: Vec<Owned>,
    opening: Vec<Opening>,
    halts: Halts,
    instances: Instances,
    saver: Saver,
    /// How many turns partitions have had.
    turns: u64,
}

/// A partition that is to be opened.
#[derive(Clone)]
struct Opening {
    of: StreamPartition,
    due: Instant,
    /// How long to wait should it fail.
    delay: Duration,
    suspects: Suspects,
}

impl Opening {
    fn new(of: StreamPartition) -> Self {
        Self { of, due: Instant::now(), delay: FIRST_DELAY, suspects: Suspects::default() }
    }

    /// It failed: again after a while, longer each time.
    fn put_off(&mut self) {
        self.due = Instant::now() + self.delay;
        self.delay = (self.delay * 2).min(LONGEST_DELAY);
    }
}

impl Worker {
    fn run(&mut self, heartbeat: &Heartbeat) {
        self.begin_anew();
        while !self.shared.is_stopping() {
            self.shared.config.probe.look(Probed::Round);
            self.answer_requests();
            self.open_due();
            let scored = self.give_turns();
            let (saver, shared, bell) = (&self.saver, &self.shared, &self.bell);
            for owned in &mut self.owned {
                owned.guarded("saving", shared, |owned| owned.save_if_due(saver, shared, bell));
            }
            self.reopen_failed();
            heartbeat.beat();
            let is_due = self.opening.iter().any(|opening| opening.due <= Instant::now());
            if scored == 0 && !is_due {
                let is_waiting = self.owned.iter().any(Owned::is_waiting);
                self.bell.wait(if is_waiting { RECEIPT } else { IDLE });
            }
        }
        self.save_all(None);
    }

    /// Everything that it has is opened from its checkpoint: at the start that is nothing, and after a panic outside of
    /// partitions nothing else is known to be right.
    fn begin_anew(&mut self) {
        self.owned.clear();
        let mut opening = std::mem::take(&mut self.opening);
        opening.retain(|one| self.assigned.contains(&one.of));
        let waiting: BTreeSet<StreamPartition> = opening.iter().map(|one| one.of.clone()).collect();
        opening.extend(self.assigned.difference(&waiting).cloned().map(Opening::new));
        self.opening = opening;
        self.equip();
    }

    /// Saves all partitions, with another version of the catalog if there is one.
    fn save_all(&mut self, version: Option<u64>) {
        let (saver, shared, bell) = (&self.saver, &self.shared, &self.bell);
        for owned in &mut self.owned {
            let version = version.unwrap_or(owned.partition.catalog());
            owned.guarded("saving", shared, |owned| owned.save(version, saver, shared, bell));
        }
        self.saver.flush();
    }

    fn answer_requests(&mut self) {
        // Those that come meanwhile wait for the next round. One that panics takes no other one with it.
        for _ in 0..self.inbox.len() {
            if let Ok(request) = self.inbox.try_recv() {
                self.answer(request);
            }
        }
        // Whoever wanted a call to stop has been answered, or repeats it.
        self.interrupt.clear();
    }

    fn equip(&mut self) {
        self.instances = Instances::bounded(&self.interrupt);
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
                    self.shared.health.note(&format!("partition {of}"), Some(&error.to_string()));
                    opening.put_off();
                    self.opening.push(opening);
                }
            }
        }
    }

    /// Opens partitions, some at once: most of the time goes by with waiting for stores and the log.
    fn open_all(&self, all: Vec<Opening>) -> Vec<(Opening, Result<Owned, StoreError>)> {
        let (plan, shared) = (&self.plan, &self.shared);
        let open = |mut opening: Opening| {
            let opened = match plan.streams.get(&*opening.of.stream) {
                Some(stream) => Owned::open(&mut opening, plan, stream, shared),
                // The catalog was changed by another process, and this one has not heard of it yet.
                None => Err(StoreError::Unavailable {
                    store: "catalog",
                    message: format!("it does not know the stream '{}' yet", opening.of.stream),
                }),
            };
            (opening, opened)
        };
        let mut opened = Vec::with_capacity(all.len());
        for some in all.chunks(OPENED_AT_ONCE) {
            let done = panics::on_threads("opener", some.iter().cloned(), open);
            for (opening, done) in some.iter().zip(done) {
                opened.push(done.unwrap_or_else(|panicked| {
                    let message = format!("opening {}: {panicked}", opening.of);
                    (opening.clone(), Err(StoreError::Broken { store: "engine", message }))
                }));
            }
        }
        opened
    }

    /// A partition whose verdicts could not be appended, or that a panic has left half-changed, is opened anew, from its
    /// last checkpoint.
    fn reopen_failed(&mut self) {
        let (failed, working) = std::mem::take(&mut self.owned).into_iter().partition(Owned::has_failed);
        self.owned = working;
        for mut owned in failed as Vec<Owned> {
            let mut opening = Opening::new(owned.partition.of().clone());
            let of = opening.of.clone();
            opening.delay = owned.delay();
            if let Some(halt) = owned.take_halt() {
                self.halts.add(&of, halt, &self.shared);
            }
            opening.suspects = owned.take_suspects();
            if !owned.was_interrupted() {
                opening.put_off();
            }
            self.opening.push(opening);
        }
    }

    fn answer(&mut self, request: Request) {
        match request {
            Request::Adopt(plan, done) => {
                self.adopt(plan);
                let _ = done.send(());
            }
            Request::Open(of) => {
                self.assigned.insert(of.clone());
                self.opening.push(Opening::new(of));
            }
            Request::Release(of, done) => self.release(&of, done),
            Request::Cut(cut) => {
                if let Some(owned) = self.owned.iter_mut().find(|owned| *owned.partition.of() == cut.of) {
                    let (saver, shared, bell) = (&self.saver, &self.shared, &self.bell);
                    // None: whoever asked sees that nobody answers, and asks again.
                    if let Some(answer) = owned.guarded("cutting", shared, |owned| owned.cut(&cut, saver, shared, bell))
                    {
                        let _ = cut.done.send(answer);
                    }
                }
            }
            Request::Read(of, read) => {
                if let Some(owned) = self.owned.iter_mut().find(|owned| *owned.partition.of() == of) {
                    owned.guarded("reading", &self.shared, |owned| read(&mut owned.partition));
                }
            }
        }
    }

    fn release(&mut self, of: &StreamPartition, done: Option<Sender<()>>) {
        self.assigned.remove(of);
        self.opening.retain(|opening| opening.of != *of);
        if let Some(index) = self.owned.iter().position(|owned| owned.partition.of() == of) {
            let mut owned = self.owned.swap_remove(index);
            if done.is_some() {
                let (saver, shared, bell) = (&self.saver, &self.shared, &self.bell);
                let catalog = owned.partition.catalog();
                owned.guarded("saving", shared, |owned| owned.save(catalog, saver, shared, bell));
                self.saver.flush();
            }
        }
        self.shared.health.forget(&format!("partition {of}"));
        self.shared.progress.forget(of);
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
        self.save_all(Some(plan.snapshot.version));
        // A partition that has failed is saved by nobody: it is opened anew, and hands over to this plan by itself.
        self.reopen_failed();
        self.halts.clear(&self.shared);
        self.plan = plan;
        self.equip();
        for owned in &mut self.owned {
            owned.batch_size.reset();
            let of = owned.partition.of().clone();
            let Some(stream) = self.plan.streams.get(&*of.stream) else { continue };
            let version = self.plan.snapshot.version;
            let adopted =
                owned.guarded("adopting", &self.shared, |owned| owned.partition.adopt(stream.clone(), version));
            if let Some(Err(error)) = adopted {
                tracing::error!(partition = %of, %error, "a plan that compiled cannot be adopted");
            }
        }
    }
}
