//! Ports in which chosen calls panic: the first time after the call, so that its work is done and its answer lost, later
//! before the call; or whenever their arguments say so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use assay_core::names::{Digest, Offset, PartitionIndex};
use assay_core::stream::StreamDef;
use assay_core::verdict::Outcome;
use assay_engine::ports::archive::{Archive, ArchivedEvent, EventEntry, HistoryQuery};
use assay_engine::ports::catalog::{Catalog, Change, CommitError, Kind, Revision, Snapshot, Submission};
use assay_engine::ports::dead_letters::{DeadLetter, DeadLetterQuery, DeadLetters};
use assay_engine::ports::erasure::{Erased, Erasure, PendingErasure};
use assay_engine::ports::graph::{Graph, GraphEdge};
use assay_engine::ports::log::{Durability, Kept, Log, Lost, Receipt, Records, Topic, Trim, TrimResult, WakeSignal};
use assay_engine::ports::membership::{Membership, PartitionOwner};
use assay_engine::ports::outbox::Outbox;
use assay_engine::ports::profiles::{HighestQuery, Profile, Profiles, Ranked};
use assay_engine::ports::series::{Point, TimeSeries};
use assay_engine::ports::state::{Checkpoint, StateRow, StateStore};
use assay_engine::ports::{Page, PartitionId, Ports, RejectedItem, StoreError};

/// Prefixes of the engine's threads. Calls on other threads never panic.
const ENGINE_THREADS: [&str; 7] = ["worker-", "saver-", "opener", "sink-", "catalog", "eraser", "retention"];

/// Says of a call by its name and its arguments, as `Debug` prints them, if it panics.
type IsHostile = dyn Fn(&'static str, &str) -> bool + Send + Sync;

/// The call that panics, and the number of calls that threads of the engine made.
#[derive(Default)]
pub(crate) struct Faults {
    panics: Option<(&'static str, usize)>,
    is_hostile: Option<Box<IsHostile>>,
    calls: Mutex<BTreeMap<&'static str, usize>>,
}

impl Faults {
    /// The first `times` calls with this name panic.
    pub(crate) fn new(call: &'static str, times: usize) -> Arc<Self> {
        Arc::new(Self { panics: Some((call, times)), ..Self::default() })
    }

    /// The calls of which `is_hostile` is true panic before anything is done.
    pub(crate) fn hostile(is_hostile: impl Fn(&'static str, &str) -> bool + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { is_hostile: Some(Box::new(is_hostile)), ..Self::default() })
    }

    /// The names of the calls that threads of the engine made.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        self.calls.lock().unwrap().keys().copied().collect()
    }

    /// Panics if the call is hostile.
    fn check(&self, call: &'static str, args: impl FnOnce() -> String) {
        if let Some(is_hostile) = self.is_hostile.as_ref().filter(|_| is_engine_thread()) {
            assert!(!is_hostile(call, &args()), "hostile words");
        }
    }

    fn run<T>(&self, call: &'static str, act: impl FnOnce() -> T) -> T {
        if !is_engine_thread() {
            return act();
        }
        let made = {
            let mut calls = self.calls.lock().unwrap();
            let made = calls.entry(call).or_default();
            *made += 1;
            *made
        };
        match self.panics {
            Some((panics, times)) if panics == call && made <= times => {
                if made == 1 {
                    let _ = act();
                }
                panic!("{call}, call number {made}");
            }
            _ => act(),
        }
    }
}

fn is_engine_thread() -> bool {
    let thread = std::thread::current();
    ENGINE_THREADS.iter().any(|engine| thread.name().is_some_and(|name| name.starts_with(engine)))
}

struct Faulty<P: ?Sized>(Arc<P>, Arc<Faults>);

/// Wraps ports so that their calls panic as `faults` demands.
pub(crate) fn faulty(ports: Ports, faults: &Arc<Faults>) -> Ports {
    Ports {
        log: Arc::new(Faulty(ports.log, faults.clone())),
        membership: Arc::new(Faulty(ports.membership, faults.clone())),
        catalog: Arc::new(Faulty(ports.catalog, faults.clone())),
        state: Arc::new(Faulty(ports.state, faults.clone())),
        archive: Arc::new(Faulty(ports.archive, faults.clone())),
        profiles: Arc::new(Faulty(ports.profiles, faults.clone())),
        graph: Arc::new(Faulty(ports.graph, faults.clone())),
        dead_letters: Arc::new(Faulty(ports.dead_letters, faults.clone())),
        erasure: ports.erasure.map(|port| Arc::new(Faulty(port, faults.clone())) as Arc<dyn Erasure>),
        series: ports.series.map(|port| Arc::new(Faulty(port, faults.clone())) as Arc<dyn TimeSeries>),
        outbox: ports.outbox.map(|port| Arc::new(Faulty(port, faults.clone())) as Arc<dyn Outbox>),
        ..ports
    }
}

macro_rules! faulty {
    ($port:ident, $name:literal, { $(fn $call:ident($($arg:ident: $kind:ty),* $(,)?) $(-> $answer:ty)?;)* }) => {
        impl $port for Faulty<dyn $port> {
            $(fn $call(&self, $($arg: $kind),*) $(-> $answer)? {
                self.1.check(concat!($name, ".", stringify!($call)), || format!("{:?}", ($(&$arg,)*)));
                self.1.run(concat!($name, ".", stringify!($call)), || self.0.$call($($arg),*))
            })*
        }
    };
}

faulty!(Log, "log", {
    fn create(stream: &StreamDef) -> Result<(), StoreError>;
    fn partitions(stream: &StreamDef) -> Result<Option<u32>, StoreError>;
    fn partition_of(key: &str, partitions: u32) -> PartitionIndex;
    fn can_change_schema(stream: &StreamDef) -> Result<(), String>;
    fn append(
        stream: &str,
        topic: Topic,
        batches: Vec<(PartitionIndex, Records)>,
        durability: Durability,
    ) -> Result<Receipt, StoreError>;
    fn read(
        stream: &str,
        topic: Topic,
        partition: PartitionIndex,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Records>, StoreError>;
    fn read_events(
        stream: &str,
        partition: PartitionIndex,
        from: Offset,
        schema: u32,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Records>, StoreError>;
    fn end(stream: &str, topic: Topic, partition: PartitionIndex) -> Result<Offset, StoreError>;
    fn kept(stream: &str, topic: Topic, partition: PartitionIndex) -> Result<Kept, StoreError>;
    fn trims() -> bool;
    fn trim(stream: &str, topic: Topic, partition: PartitionIndex, wish: &Trim) -> Result<TrimResult, StoreError>;
    fn lost() -> Vec<Lost>;
    fn failure() -> Option<String>;
    fn on_append(topic: Topic, wake: Arc<WakeSignal>);
});

impl Membership for Faulty<dyn Membership> {
    fn join(&self, owner: Arc<dyn PartitionOwner>) {
        self.1.run("membership.join", || self.0.join(owner));
    }
    fn set_partitions(&self, partitions: Vec<PartitionId>) {
        self.1.run("membership.set_partitions", || self.0.set_partitions(partitions));
    }
    fn commit(&self, partition: &PartitionId, events: Offset) {
        self.1.run("membership.commit", || self.0.commit(partition, events));
    }
    fn is_member(&self) -> bool {
        self.1.run("membership.is_member", || self.0.is_member())
    }
    fn leave(&self) {
        self.1.run("membership.leave", || self.0.leave());
    }
}

faulty!(Catalog, "catalog", {
    fn snapshot(version: Option<u64>) -> Result<Snapshot, StoreError>;
    fn commit(expected: u64, changes: Vec<Change>, author: &str, at: i64) -> Result<Snapshot, CommitError>;
    fn revisions(kind: Kind, name: &str) -> Result<Vec<Revision>, StoreError>;
    fn put_artifact(bytes: &[u8]) -> Result<Digest, StoreError>;
    fn artifact(digest: &Digest) -> Result<Option<Vec<u8>>, StoreError>;
    fn on_change(wake: Arc<WakeSignal>);
    fn version() -> Result<u64, StoreError>;
    fn take_submissions() -> Result<Vec<Submission>, StoreError>;
    fn answer_submission(id: &str, outcome: Result<u32, Vec<String>>) -> Result<(), StoreError>;
});

faulty!(StateStore, "state", {
    fn checkpoint(partition: &PartitionId) -> Result<Option<Checkpoint>, StoreError>;
    fn load(partition: &PartitionId, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>, StoreError>;
    fn save(partition: &PartitionId, checkpoint: &Checkpoint, rows: &[StateRow]) -> Result<(), StoreError>;
});

faulty!(Archive, "archive", {
    fn events_position(partition: &PartitionId) -> Result<Offset, StoreError>;
    fn write_events(
        partition: &PartitionId,
        entries: &[EventEntry],
        records: &[Records],
        next: Offset,
    ) -> Result<(), StoreError>;
    fn verdicts_position(partition: &PartitionId) -> Result<Offset, StoreError>;
    fn write_verdicts(partition: &PartitionId, blocks: &[Records], next: Offset) -> Result<(), StoreError>;
    fn history(partition: &PartitionId, query: &HistoryQuery) -> Result<Page<ArchivedEvent>, StoreError>;
    fn by_id(
        partition: &PartitionId,
        id: &str,
        after: Option<Offset>,
        limit: usize,
    ) -> Result<Vec<ArchivedEvent>, StoreError>;
    fn event(partition: &PartitionId, offset: Offset) -> Result<Option<ArchivedEvent>, StoreError>;
    fn forget(partition: &PartitionId, events: Offset, verdicts: Offset) -> Result<(), StoreError>;
    fn judged(partition: &PartitionId) -> Result<Offset, StoreError>;
    fn outcome(partition: &PartitionId, offset: Offset) -> Result<Option<Outcome>, StoreError>;
});

faulty!(Profiles, "profiles", {
    fn position(partition: &PartitionId) -> Result<Offset, StoreError>;
    fn write(partition: &PartitionId, newer: Vec<Profile>, next: Offset) -> Result<(), StoreError>;
    fn get(partition: &PartitionId, key: &str) -> Result<Option<Profile>, StoreError>;
    fn highest(query: &HighestQuery) -> Result<Page<Ranked>, StoreError>;
});

faulty!(Graph, "graph", {
    fn position(partition: &PartitionId) -> Result<Offset, StoreError>;
    fn write(partition: &PartitionId, edges: Vec<GraphEdge>, next: Offset) -> Result<Vec<RejectedItem>, StoreError>;
    fn neighbours(node: &str, limit: usize, cursor: Option<&str>) -> Result<Page<GraphEdge>, StoreError>;
});

faulty!(DeadLetters, "dead-letters", {
    fn position(partition: &PartitionId) -> Result<Offset, StoreError>;
    fn write(partition: &PartitionId, letters: &[DeadLetter], next: Offset) -> Result<(), StoreError>;
    fn list(query: &DeadLetterQuery) -> Result<Page<DeadLetter>, StoreError>;
    fn of_event(partition: &PartitionId, offset: Offset) -> Result<Vec<DeadLetter>, StoreError>;
});

faulty!(Erasure, "erasure", {
    fn begin(partition: &PartitionId, key: &str, author: &str) -> Result<u64, StoreError>;
    fn pending() -> Result<Vec<PendingErasure>, StoreError>;
    fn end_lifetime(erasing: &PendingErasure, key: &str, before: Offset) -> Result<(), StoreError>;
    fn erase(partition: &PartitionId, events: &[EventEntry]) -> Result<Erased, StoreError>;
    fn finish(erasing: &PendingErasure, key: &str, before: Offset) -> Result<Erased, StoreError>;
    fn purge(id: u64) -> Result<(), StoreError>;
});

faulty!(TimeSeries, "series", {
    fn events_position(partition: &PartitionId) -> Result<Offset, StoreError>;
    fn write_events(partition: &PartitionId, points: Vec<Point>, next: Offset)
    -> Result<Vec<RejectedItem>, StoreError>;
    fn verdicts_position(partition: &PartitionId) -> Result<Offset, StoreError>;
    fn write_verdicts(
        partition: &PartitionId,
        points: Vec<Point>,
        next: Offset,
    ) -> Result<Vec<RejectedItem>, StoreError>;
    fn write(points: Vec<Point>) -> Result<Vec<RejectedItem>, StoreError>;
});

faulty!(Outbox, "outbox", {
    fn position(partition: &PartitionId) -> Result<Offset, StoreError>;
    fn publish(partition: &PartitionId, outcomes: Vec<(Offset, Outcome)>, next: Offset) -> Result<(), StoreError>;
    fn flush() -> Result<(), StoreError>;
});
