//! Ports whose panics cost nobody but their caller: a panic in a store's adapter is a failure of that store
//! ([`StoreError::Panicked`]), which whoever called it tries again like any other. A sink also looks for the record that
//! makes the adapter panic. So no thread ends by a store.
//!
//! Calls that have no answer to fail with are not changed: they are made by threads that go on after a panic, and only
//! at the start or in changes that are repeated.

use std::sync::Arc;

use assay_core::names::{Digest, Offset, PartitionIndex};
use assay_core::stream::StreamDef;
use assay_core::verdict::Outcome;

use super::archive::{Archive, ArchivedEvent, EventEntry, HistoryQuery};
use super::buckets::{Buckets, ChangedBuckets};
use super::catalog::{Catalog, Change, CommitError, Kind, Revision, Snapshot, Submission};
use super::dead_letters::{DeadLetter, DeadLetterQuery, DeadLetters};
use super::erasure::{Erased, Erasure, PendingErasure};
use super::graph::{Graph, GraphEdge};
use super::log::{Durability, Kept, Log, Lost, Receipt, Records, Topic, Trim, TrimResult, WakeSignal};
use super::membership::{Membership, PartitionOwner};
use super::outbox::Outbox;
use super::profiles::{HighestQuery, Profile, Profiles, Ranked};
use super::series::{Point, TimeSeries};
use super::state::{Checkpoint, StateRow, StateStore};
use super::{Page, PartitionId, Ports, RejectedItem, StoreError};
use crate::panics::catch;

struct Guarded<P: ?Sized>(Arc<P>);

impl Ports {
    /// The same ports, whose panics are failures of their stores.
    pub(crate) fn guarded(self) -> Self {
        Self {
            log: Arc::new(Guarded(self.log)),
            membership: Arc::new(Guarded(self.membership)),
            catalog: Arc::new(Guarded(self.catalog)),
            state: Arc::new(Guarded(self.state)),
            buckets: self.buckets.map(|port| Arc::new(Guarded(port)) as Arc<dyn Buckets>),
            archive: Arc::new(Guarded(self.archive)),
            profiles: Arc::new(Guarded(self.profiles)),
            graph: Arc::new(Guarded(self.graph)),
            dead_letters: Arc::new(Guarded(self.dead_letters)),
            series: self.series.map(|port| Arc::new(Guarded(port)) as Arc<dyn TimeSeries>),
            outbox: self.outbox.map(|port| Arc::new(Guarded(port)) as Arc<dyn Outbox>),
            erasure: self.erasure.map(|port| Arc::new(Guarded(port)) as Arc<dyn Erasure>),
        }
    }
}

fn guard<T, E: From<StoreError>>(
    store: &'static str,
    doing: &str,
    call: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    catch(call).unwrap_or_else(|panicked| {
        tracing::error!(store, doing, %panicked, "a panic in the adapter of a store");
        Err(StoreError::Panicked { store, message: format!("{doing} {panicked}") }.into())
    })
}

/// Implements a port whose calls can fail, by calling the one inside; what cannot fail is written out.
macro_rules! guarded {
    ($port:ident, $store:literal, {
        $(fn $call:ident($($arg:ident: $kind:ty),* $(,)?) -> $answer:ty;)*
    } $($rest:tt)*) => {
        impl $port for Guarded<dyn $port> {
            $(fn $call(&self, $($arg: $kind),*) -> $answer {
                guard($store, stringify!($call), || self.0.$call($($arg),*))
            })*
            $($rest)*
        }
    };
}

guarded!(Log, "log", {
    fn create(stream: &StreamDef) -> Result<(), StoreError>;
    fn partitions(stream: &StreamDef) -> Result<Option<u32>, StoreError>;
    fn append(
        stream: &str,
        topic: Topic,
        batches: Vec<(PartitionIndex, Records)>,
        durability: Durability
    ) -> Result<Receipt, StoreError>;
    fn read(
        stream: &str,
        topic: Topic,
        partition: PartitionIndex,
        from: Offset,
        max_records: usize,
        max_bytes: usize
    ) -> Result<Vec<Records>, StoreError>;
    fn read_events(
        stream: &str,
        partition: PartitionIndex,
        from: Offset,
        schema: u32,
        max_records: usize,
        max_bytes: usize
    ) -> Result<Vec<Records>, StoreError>;
    fn end(stream: &str, topic: Topic, partition: PartitionIndex) -> Result<Offset, StoreError>;
    fn kept(stream: &str, topic: Topic, partition: PartitionIndex) -> Result<Kept, StoreError>;
    fn trim(stream: &str, topic: Topic, partition: PartitionIndex, wish: &Trim) -> Result<TrimResult, StoreError>;
}
    fn partition_of(&self, key: &str, partitions: u32) -> PartitionIndex {
        self.0.partition_of(key, partitions)
    }
    fn can_change_schema(&self, stream: &StreamDef) -> Result<(), String> {
        catch(|| self.0.can_change_schema(stream)).unwrap_or_else(|panicked| Err(panicked.to_string()))
    }
    fn trims(&self) -> bool {
        self.0.trims()
    }
    fn failure(&self) -> Option<String> {
        self.0.failure()
    }
    fn lost(&self) -> Vec<Lost> {
        self.0.lost()
    }
    fn on_append(&self, topic: Topic, wake: Arc<WakeSignal>) {
        self.0.on_append(topic, wake);
    }
);

impl Membership for Guarded<dyn Membership> {
    fn join(&self, owner: Arc<dyn PartitionOwner>) {
        self.0.join(owner);
    }
    fn set_partitions(&self, partitions: Vec<PartitionId>) {
        self.0.set_partitions(partitions);
    }
    fn commit(&self, partition: &PartitionId, events: Offset) {
        // For those who watch from outside: the next position is as good.
        if let Err(panicked) = catch(|| self.0.commit(partition, events)) {
            tracing::error!(partition = %partition, %panicked, "a position cannot be told to the group");
        }
    }
    fn is_member(&self) -> bool {
        // Nothing is scored meanwhile.
        catch(|| self.0.is_member()).unwrap_or(false)
    }
    fn leave(&self) {
        if let Err(panicked) = catch(|| self.0.leave()) {
            tracing::error!(%panicked, "the group cannot be left in order");
        }
    }
}

guarded!(Catalog, "catalog", {
    fn snapshot(version: Option<u64>) -> Result<Snapshot, StoreError>;
    fn commit(expected: u64, changes: Vec<Change>, author: &str, at: i64) -> Result<Snapshot, CommitError>;
    fn revisions(kind: Kind, name: &str) -> Result<Vec<Revision>, StoreError>;
    fn put_artifact(bytes: &[u8]) -> Result<Digest, StoreError>;
    fn artifact(digest: &Digest) -> Result<Option<Vec<u8>>, StoreError>;
    fn version() -> Result<u64, StoreError>;
    fn take_submissions() -> Result<Vec<Submission>, StoreError>;
    fn answer_submission(id: &str, outcome: Result<u32, Vec<String>>) -> Result<(), StoreError>;
}
    fn on_change(&self, wake: Arc<WakeSignal>) {
        self.0.on_change(wake);
    }
);

guarded!(StateStore, "state", {
    fn checkpoint(partition: &PartitionId) -> Result<Option<Checkpoint>, StoreError>;
    fn load(partition: &PartitionId, keys: &[&str]) -> Result<Vec<Option<Vec<u8>>>, StoreError>;
    fn save(partition: &PartitionId, checkpoint: &Checkpoint, rows: &[StateRow]) -> Result<(), StoreError>;
});

guarded!(Buckets, "buckets", {
    fn write(partition: &PartitionId, events: Offset, changed: &[ChangedBuckets]) -> Result<(), StoreError>;
});

guarded!(Archive, "archive", {
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

guarded!(Profiles, "profiles", {
    fn position(partition: &PartitionId) -> Result<Offset, StoreError>;
    fn write(partition: &PartitionId, newer: Vec<Profile>, next: Offset) -> Result<(), StoreError>;
    fn get(partition: &PartitionId, key: &str) -> Result<Option<Profile>, StoreError>;
    fn highest(query: &HighestQuery) -> Result<Page<Ranked>, StoreError>;
});

guarded!(Graph, "graph", {
    fn position(partition: &PartitionId) -> Result<Offset, StoreError>;
    fn write(partition: &PartitionId, edges: Vec<GraphEdge>, next: Offset) -> Result<Vec<RejectedItem>, StoreError>;
    fn neighbours(node: &str, limit: usize, cursor: Option<&str>) -> Result<Page<GraphEdge>, StoreError>;
});

guarded!(DeadLetters, "dead letters", {
    fn position(partition: &PartitionId) -> Result<Offset, StoreError>;
    fn write(partition: &PartitionId, letters: &[DeadLetter], next: Offset) -> Result<(), StoreError>;
    fn list(query: &DeadLetterQuery) -> Result<Page<DeadLetter>, StoreError>;
    fn of_event(partition: &PartitionId, offset: Offset) -> Result<Vec<DeadLetter>, StoreError>;
});

guarded!(TimeSeries, "series", {
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

guarded!(Outbox, "outbox", {
    fn position(partition: &PartitionId) -> Result<Offset, StoreError>;
    fn publish(partition: &PartitionId, outcomes: Vec<(Offset, Outcome)>, next: Offset) -> Result<(), StoreError>;
    fn flush() -> Result<(), StoreError>;
});

guarded!(Erasure, "erasure", {
    fn begin(partition: &PartitionId, key: &str, author: &str) -> Result<u64, StoreError>;
    fn pending() -> Result<Vec<PendingErasure>, StoreError>;
    fn end_lifetime(erasing: &PendingErasure, key: &str, before: Offset) -> Result<(), StoreError>;
    fn erase(partition: &PartitionId, events: &[EventEntry]) -> Result<Erased, StoreError>;
    fn finish(erasing: &PendingErasure, key: &str, before: Offset) -> Result<Erased, StoreError>;
    fn purge(id: u64) -> Result<(), StoreError>;
});
