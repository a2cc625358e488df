//! The disks and servers that simulated processes share, and what is under way to them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::client::{Client, Port};
use super::faults::{Fate, FaultRates, Faults};
use super::group::Group;
use super::in_flight::{InFlight, Move};
use super::journal::Journal;
use super::outbox::Publications;
use super::signals::Signals;
use super::tables::{Extent, Tables};
use super::topic::TopicPartition;
use crate::ports::log::{Records, Topic};
use crate::ports::{PartitionId, Ports, StoreError};

/// The number of a simulated process: each start has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId(pub u32);

/// The disks and servers of a simulation. Clones are the same world.
#[derive(Clone)]
pub struct World(Arc<Shared>);

struct Shared {
    state: Mutex<WorldState>,
    /// Held while the group decides and the owners are told, who may lock the state.
    notices: Mutex<()>,
}

/// A simulated process: its own view of the world, which ends when it crashes.
#[derive(Clone)]
pub struct Process {
    world: World,
    id: ProcessId,
}

/// A write whose caller was told that it failed.
pub(super) struct LateWrite {
    pub(super) process: Option<ProcessId>,
    pub(super) carry_out: Box<dyn FnOnce(&mut WorldState) + Send>,
}

/// All of a world.
pub(super) struct WorldState {
    pub(super) tables: Tables,
    pub(super) journal: Journal,
    pub(super) faults: Faults,
    pub(super) outages: BTreeSet<Port>,
    pub(super) alive: BTreeSet<ProcessId>,
    started: u32,
    pub(super) in_flight: InFlight,
    /// See [`World::is_appended_late`].
    pub(super) appended_late: BTreeSet<(PartitionId, Topic)>,
    pub(super) late: Vec<LateWrite>,
    pub(super) publications: Publications,
    pub(super) signals: Signals,
    pub(super) group: Group,
}

/// Something that is under way and may arrive next.
enum Delivery {
    Append(Move),
    LateWrite(usize),
    Signal(u64),
}

impl Default for World {
    fn default() -> Self {
        Self::new(0, FaultRates::NONE)
    }
}

impl World {
    /// An empty world in which things go wrong at these rates.
    pub fn new(seed: u64, rates: FaultRates) -> Self {
        let state = WorldState {
            tables: Tables::default(),
            journal: Journal::default(),
            faults: Faults::new(seed, rates),
            outages: BTreeSet::new(),
            alive: BTreeSet::new(),
            started: 0,
            in_flight: InFlight::default(),
            appended_late: BTreeSet::new(),
            late: Vec::new(),
            publications: Publications::default(),
            signals: Signals::default(),
            group: Group::default(),
        };
        Self(Arc::new(Shared { state: Mutex::new(state), notices: Mutex::new(()) }))
    }

    pub(super) fn lock_notices(&self) -> MutexGuard<'_, ()> {
        // It guards no data.
        self.0.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, WorldState> {
        // A panic in here is one of a simulation, which ends by it.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a process.
    pub fn start_process(&self) -> Process {
        let mut world = self.lock();
        let id = ProcessId(world.started);
        world.started += 1;
        world.alive.insert(id);
        Process { world: self.clone(), id }
    }

    /// Ports of nobody: nothing goes wrong with them. For preparing a world and for reading what came of it.
    pub fn observer(&self) -> Ports {
        Client::new(self.clone(), None).ports()
    }

    /// Changes how often things go wrong from now on.
    pub fn set_rates(&self, rates: FaultRates) {
        self.lock().faults.rates = rates;
    }

    /// A store that does not answer from now on, or does again.
    pub fn set_outage(&self, port: Port, is_out: bool) {
        let mut world = self.lock();
        if is_out {
            world.outages.insert(port);
        } else {
            world.outages.remove(&port);
        }
    }

    /// Lets one thing that is under way arrive, drawn by the seed: an append, its acknowledgement, a write that its caller
    /// thinks to have failed, a wake signal. Returns false if nothing is under way.
    pub fn deliver_next(&self) -> bool {
        let mut world = self.lock();
        let mut deliveries = world.deliveries();
        if deliveries.is_empty() {
            return false;
        }
        let index = world.faults.random.index(deliveries.len());
        world.deliver(deliveries.swap_remove(index));
        true
    }

    /// Lets everything that is under way arrive.
    pub fn deliver_all(&self) {
        while self.deliver_next() {}
    }

    /// Ends a process as `kill -9` does. What it was told to be written stays. Of its appends that were not acknowledged,
    /// the first ones of each partition stay under way, so they may arrive after others have gone on; the others are lost.
    /// It stays in its group until [`World::expire_session`].
    pub fn crash(&self, process: ProcessId) {
        let mut world = self.lock();
        let owner = world.crash(process);
        drop(world);
        // It may hold ports, which lock the world when they go.
        drop(owner);
    }

    /// Ends all processes and takes back the newest writes, of all stores in one order, that were not written as durable.
    /// How many, the seed draws. What was under way is lost.
    pub fn cut_power(&self) {
        let mut world = self.lock();
        let alive: Vec<ProcessId> = world.alive.iter().copied().collect();
        let owners: Vec<_> = alive.into_iter().filter_map(|process| world.crash(process)).collect();
        world.in_flight = InFlight::default();
        world.late.clear();
        world.group = Group::default();
        let unsynced = world.journal.len();
        let kept = world.faults.random.index(unsynced + 1);
        world.tables = world.journal.recover(kept);
        drop(world);
        drop(owners);
    }

    /// All records that a partition of a topic ever had, also those that retention deleted.
    pub fn all_records(&self, partition: &PartitionId, topic: Topic) -> Vec<Records> {
        self.lock().tables.log.get(partition, topic).map_or_else(Vec::new, TopicPartition::all)
    }

    /// A process has heard that it has partitions, or that it has not.
    pub fn note_heard(&self, process: ProcessId, partitions: &[PartitionId], is_assigned: bool) {
        self.lock().group.note_heard(process, partitions, is_assigned);
    }

    /// Returns whether a process has appended to a partition that was not its, or did not wait for the answer any more. What
    /// it knows of its partitions is told by [`World::note_heard`].
    pub fn is_appended_late(&self, partition: &PartitionId, topic: Topic) -> bool {
        self.lock().appended_late.contains(&(partition.clone(), topic))
    }

    /// How many writes a power failure may take back.
    pub fn unsynced_writes(&self) -> usize {
        self.lock().journal.len()
    }
}

impl Process {
    /// Its number.
    pub fn id(&self) -> ProcessId {
        self.id
    }

    /// Its ports. After a crash each call of them fails.
    pub fn ports(&self) -> Ports {
        Client::new(self.world.clone(), Some(self.id)).ports()
    }
}

impl WorldState {
    fn deliveries(&self) -> Vec<Delivery> {
        let appends = self.in_flight.moves().map(Delivery::Append);
        let late = (0..self.late.len()).map(Delivery::LateWrite);
        let signals = self.signals.delayed().map(Delivery::Signal);
        appends.chain(late).chain(signals).collect()
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Append(Move::Store(lane)) => self.store_next(&lane),
            Delivery::Append(Move::Acknowledge(lane)) => self.acknowledge_next(&lane),
            Delivery::LateWrite(index) => (self.late.swap_remove(index).carry_out)(self),
            Delivery::Signal(id) => self.signals.deliver(id),
        }
    }

    /// Carries a write out and notes it in the journal. A write that fails changes nothing.
    pub(super) fn commit<T: 'static, E: 'static>(&mut self, write: &Write<T, E>, extent: Extent) -> Result<T, E> {
        let done = (write.apply)(&mut self.tables, extent)?;
        let redo = write.apply.clone();
        self.journal.note(move |tables| drop(redo(tables, extent)));
        if write.is_synced {
            self.journal.sync();
        }
        if write.changes_catalog {
            self.signals.notify_catalog_changed(&mut self.faults);
        }
        Ok(done)
    }

    /// The fate of a write. An observer's always succeed.
    pub(super) fn draw_fate(&mut self, process: Option<ProcessId>, divisible_items: usize) -> Fate {
        if process.is_none() { Fate::Succeed } else { self.faults.draw_fate(divisible_items) }
    }

    /// Fails if a process cannot call a port now, whatever the call is.
    pub(super) fn check_reachable(&self, process: Option<ProcessId>, port: Port) -> Result<(), StoreError> {
        let Some(process) = process else { return Ok(()) };
        if !self.alive.contains(&process) {
            return Err(port.unavailable(format!("process {} has crashed", process.0)));
        }
        if self.outages.contains(&port) {
            return Err(port.unavailable("an outage"));
        }
        Ok(())
    }

    fn crash(&mut self, process: ProcessId) -> Option<Arc<dyn crate::ports::membership::PartitionOwner>> {
        self.alive.remove(&process);
        self.signals.forget(process);
        let random = &mut self.faults.random;
        self.in_flight.crash(process, random);
        self.late.retain(|late| late.process != Some(process) || random.coin());
        self.crash_publications(process);
        self.group.forget_owner(process)
    }
}

type Apply<T, E> = dyn Fn(&mut Tables, Extent) -> Result<T, E> + Send + Sync;

/// A write, as data: it may take effect later, and is repeated on the durable copy of the tables.
pub(super) struct Write<T, E> {
    pub(super) port: Port,
    /// Of so many items some may be stored without the others; 0: it is all or nothing.
    pub(super) divisible_items: usize,
    /// Whether the port promises that it is durable on return.
    pub(super) is_synced: bool,
    /// Whether those who wait for a change of the catalog are woken.
    pub(super) changes_catalog: bool,
    pub(super) apply: Arc<Apply<T, E>>,
}

impl<T, E> Write<T, E> {
    /// A write that survives the process, and a power failure as soon as something that is durable is written.
    pub(super) fn new(port: Port, apply: impl Fn(&mut Tables, Extent) -> Result<T, E> + Send + Sync + 'static) -> Self {
        Self { port, divisible_items: 0, is_synced: false, changes_catalog: false, apply: Arc::new(apply) }
    }

    /// It is durable on return.
    pub(super) fn synced(self) -> Self {
        Self { is_synced: true, ..self }
    }

    /// Some of its items may be stored without the others.
    pub(super) fn divisible(self, items: usize) -> Self {
        Self { divisible_items: items, ..self }
    }
}
