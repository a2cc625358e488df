//! How far scoring and the sinks are in this process's partitions, noted by them as they go. Lag is computed from it
//! whenever somebody asks, so it is true whatever their threads are doing at that moment.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use assay_core::names::Offset;

use crate::ports::PartitionId;
use crate::ports::log::Topic;
use crate::shared::Shared;
use crate::sinks::DERIVE;

/// Events of a partition that are in the log and not scored yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unscored {
    /// How many.
    pub events: u64,
    /// When the oldest of them was appended, ms since 1970, or somewhat earlier; none: its worker has not read it yet.
    pub oldest_appended_at: Option<i64>,
}

/// How far readers of the log are.
#[derive(Default)]
pub(crate) struct Progress {
    sinks: Mutex<Vec<(&'static str, Topic)>>,
    scored: Mutex<BTreeMap<PartitionId, ScoringPosition>>,
    carried: Mutex<HashMap<&'static str, BTreeMap<PartitionId, SinkPosition>>>,
    /// The progress of derived streams, by their names; none: their sink does not run in this process.
    derived: Mutex<Option<BTreeMap<String, DerivedProgress>>>,
}

/// The progress of this process's partitions of a derived stream in its source.
#[derive(Clone, Default)]
pub(crate) struct DerivedProgress {
    /// The partitions of the derived stream.
    pub(crate) partitions: BTreeSet<PartitionId>,
    /// By partition of the source.
    pub(crate) sources: Vec<(PartitionId, SourceProgress)>,
}

/// The progress of a derived stream in a partition of its source.
#[derive(Clone, Copy)]
pub(crate) struct SourceProgress {
    /// All events before it are in the derived stream.
    pub(crate) next: Offset,
    /// The end when the sink looked last. Of partitions that other processes have it is not asked for again.
    pub(crate) end: Offset,
}

#[derive(Clone, Copy)]
struct ScoringPosition {
    /// All events before it are scored.
    next: Offset,
    /// The record that was read last as the first of a batch, and when it was appended.
    read: Option<(Offset, i64)>,
}

/// How far a sink is in a partition.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SinkPosition {
    /// All records before it are in the store.
    Before(Offset),
    /// There is nothing for it in the partition.
    Nothing,
}

/// How far readers are behind the log.
#[derive(Default)]
pub(crate) struct Lags {
    /// Events that are not scored, of the partitions of which that is known.
    pub(crate) scoring: BTreeMap<PartitionId, u64>,
    /// By sink.
    pub(crate) sinks: BTreeMap<&'static str, SinkLag>,
}

/// How far a sink is behind the log.
#[derive(Default)]
pub(crate) struct SinkLag {
    /// Records that are not in the store, of the partitions of which that is known.
    pub(crate) records: u64,
    /// Partitions of which it is not known: the sink has not read yet where it is.
    pub(crate) unknown: usize,
}

impl Progress {
    /// All events of a partition before `next` are scored.
    pub(crate) fn note_scored(&self, partition: &PartitionId, next: Offset) {
        let mut scored = lock(&self.scored);
        match scored.get_mut(partition) {
            Some(scored) => scored.next = next,
            None => drop(scored.insert(partition.clone(), ScoringPosition { next, read: None })),
        }
    }

    /// The first record of what is scored next was read: its offset, and when it was appended.
    pub(crate) fn note_read(&self, partition: &PartitionId, at: Offset, appended_at: i64) {
        if let Some(scored) = lock(&self.scored).get_mut(partition) {
            scored.read = Some((at, appended_at));
        }
    }

    /// A partition is another's now.
    pub(crate) fn forget(&self, partition: &PartitionId) {
        lock(&self.scored).remove(partition);
    }

    /// A sink of a topic runs in this process.
    pub(crate) fn add_sink(&self, sink: &'static str, topic: Topic) {
        lock(&self.sinks).push((sink, topic));
    }

    /// All records of a partition before `next` are in a sink's store.
    pub(crate) fn note_written(&self, sink: &'static str, partition: &PartitionId, next: Offset) {
        lock(&self.carried).entry(sink).or_default().insert(partition.clone(), SinkPosition::Before(next));
    }

    /// There is nothing for a sink in a partition.
    pub(crate) fn note_not_applicable(&self, sink: &'static str, partition: &PartitionId) {
        lock(&self.carried).entry(sink).or_default().insert(partition.clone(), SinkPosition::Nothing);
    }

    /// The progress of derived streams, by their names.
    pub(crate) fn note_derived(&self, derived: BTreeMap<String, DerivedProgress>) {
        *lock(&self.derived) = Some(derived);
    }

    /// A sink has let go of some partitions.
    pub(crate) fn retain_written(&self, sink: &'static str, is_kept: impl Fn(&PartitionId) -> bool) {
        lock(&self.carried).entry(sink).or_default().retain(|partition, _| is_kept(partition));
    }
}

impl Shared {
    /// How far all readers are behind the log, now.
    pub(crate) fn lags(&self) -> Lags {
        let mine = self.owned_partitions();
        let end =
            |partition: &PartitionId, topic| self.ports.log.end(&partition.stream, topic, partition.partition).ok();
        let ends: Vec<[Option<Offset>; 2]> =
            mine.iter().map(|partition| [Topic::Events, Topic::Verdicts].map(|topic| end(partition, topic))).collect();
        // After the ends: a reader that has gone on since is farther than they, which is no lag.
        let scored = lock(&self.progress.scored).clone();
        let carried = lock(&self.progress.carried).clone();
        let mut lags = Lags::default();
        for (partition, [events, _]) in mine.iter().zip(&ends) {
            if let (Some(scored), Some(end)) = (scored.get(partition), events) {
                lags.scoring.insert(partition.clone(), end.0.saturating_sub(scored.next.0));
            }
        }
        for (sink, topic) in lock(&self.progress.sinks).iter() {
            let lag = lags.sinks.entry(sink).or_default();
            for (partition, [events, verdicts]) in mine.iter().zip(&ends) {
                let end = if *topic == Topic::Events { events } else { verdicts };
                match (carried.get(sink).and_then(|carried| carried.get(partition)), end) {
                    (Some(SinkPosition::Before(next)), Some(end)) => lag.records += end.0.saturating_sub(next.0),
                    (Some(SinkPosition::Nothing), _) => {}
                    _ => lag.unknown += 1,
                }
            }
        }
        self.add_derive_lag(&mine, &mut lags);
        lags
    }

    /// The progress of the sink of derived streams, in all partitions of their sources, also in those of other processes.
    fn add_derive_lag(&self, mine: &[PartitionId], lags: &mut Lags) {
        let Some(derived) = lock(&self.progress.derived).clone() else { return };
        let (plan, lag) = (self.plan(), lags.sinks.entry(DERIVE).or_default());
        for partition in mine {
            let is_derived = plan.streams.get(&*partition.stream).is_some_and(|stream| stream.def.from.is_some());
            let is_known = derived.get(&*partition.stream).is_some_and(|known| known.partitions.contains(partition));
            lag.unknown += usize::from(is_derived && !is_known);
        }
        for (partition, known) in derived.values().flat_map(|derived| &derived.sources) {
            let end = match self.is_owned(partition) {
                true => self.ports.log.end(&partition.stream, Topic::Events, partition.partition).ok(),
                false => None,
            };
            lag.records += end.unwrap_or(known.end).0.saturating_sub(known.next.0);
        }
    }

    /// How much of a partition is not scored yet; none: it is not this process's, or not opened yet.
    pub(crate) fn unscored(&self, partition: &PartitionId) -> Option<Unscored> {
        if !self.is_owned(partition) {
            return None;
        }
        let end = self.ports.log.end(&partition.stream, Topic::Events, partition.partition).ok()?;
        let scored = *lock(&self.progress.scored).get(partition)?;
        let events = end.0.saturating_sub(scored.next.0);
        // Events that were read together were appended one after the other: the first one's time is that of the others
        // or somewhat earlier.
        let read = scored.read.filter(|(at, _)| events > 0 && *at <= scored.next);
        Some(Unscored { events, oldest_appended_at: read.map(|(_, appended_at)| appended_at) })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is a single insert or remove.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
