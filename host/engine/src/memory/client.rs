//! The ports of one process: each call goes through the faults to the tables that all processes share. What a port's calls
//! do stands in the file of the port.

use std::sync::{Arc, MutexGuard};

use super::faults::Fate;
use super::tables::{Extent, Tables};
use super::world::{LateWrite, ProcessId, World, WorldState, Write};
use crate::ports::{Ports, StoreError};

/// A store, as faults and errors name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Port {
    /// Events and verdicts.
    Log,
    /// States of entities, checkpoints.
    State,
    /// Definitions.
    Catalog,
    /// Events and verdicts by entity and id.
    Archive,
    /// Latest scores.
    Profiles,
    /// Edges.
    Graph,
    /// Events that could not be scored.
    DeadLetters,
    /// Points in time.
    Series,
    /// Published verdicts.
    Outbox,
    /// Buckets of tumbling views.
    Buckets,
    /// Deletions.
    Erasure,
}

impl Port {
    fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::State => "state",
            Self::Catalog => "catalog",
            Self::Archive => "archive",
            Self::Profiles => "profiles",
            Self::Graph => "graph",
            Self::DeadLetters => "dead letters",
            Self::Series => "series",
            Self::Outbox => "outbox",
            Self::Buckets => "buckets",
            Self::Erasure => "erasure",
        }
    }

    pub(super) fn unavailable(self, message: impl Into<String>) -> StoreError {
        StoreError::Unavailable { store: self.name(), message: message.into() }
    }

    pub(super) fn broken(self, message: impl Into<String>) -> StoreError {
        StoreError::Broken { store: self.name(), message: message.into() }
    }

    fn injected(self, what: &str) -> StoreError {
        self.unavailable(format!("an injected fault: {what}"))
    }
}

/// The ports of one process, or of an observer.
pub(super) struct Client {
    pub(super) world: World,
    pub(super) process: Option<ProcessId>,
}

impl Client {
    pub(super) fn new(world: World, process: Option<ProcessId>) -> Arc<Self> {
        Arc::new(Self { world, process })
    }

    /// All ports.
    pub(super) fn ports(self: Arc<Self>) -> Ports {
        Ports {
            log: self.clone(),
            membership: self.clone(),
            catalog: self.clone(),
            state: self.clone(),
            buckets: Some(self.clone()),
            archive: self.clone(),
            profiles: self.clone(),
            graph: self.clone(),
            dead_letters: self.clone(),
            series: Some(self.clone()),
            outbox: Some(self.clone()),
            erasure: Some(self),
        }
    }

    /// The world, if this process can reach a port now and the call does not fail at once.
    pub(super) fn enter(&self, port: Port) -> Result<MutexGuard<'_, WorldState>, StoreError> {
        let mut world = self.world.lock();
        world.check_reachable(self.process, port)?;
        let rate = world.faults.rates.failed_before;
        if self.process.is_some() && world.faults.happens(rate) {
            return Err(port.injected("the call did not arrive"));
        }
        Ok(world)
    }

    /// Reads from the tables.
    pub(super) fn query<T>(
        &self,
        port: Port,
        query: impl FnOnce(&Tables) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        query(&self.enter(port)?.tables)
    }

    /// Carries a write out, now, later, in part or not at all.
    pub(super) fn execute<T: 'static, E: From<StoreError> + 'static>(&self, write: Write<T, E>) -> Result<T, E> {
        let port = write.port;
        let mut world = self.world.lock();
        world.check_reachable(self.process, port)?;
        match world.draw_fate(self.process, write.divisible_items) {
            Fate::Succeed => return world.commit(&write, Extent::Whole),
            Fate::FailBefore => return Err(port.injected("the write did not arrive").into()),
            Fate::FailAfter => drop(world.commit(&write, Extent::Whole)),
            Fate::FailPartly(items) => drop(world.commit(&write, Extent::First(items))),
            Fate::FailLate => {
                let carry_out = move |world: &mut WorldState| drop(world.commit(&write, Extent::Whole));
                world.late.push(LateWrite { process: self.process, carry_out: Box::new(carry_out) });
            }
        }
        Err(port.injected("no answer in time").into())
    }
}
