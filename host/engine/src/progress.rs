//! How far scoring and the followers are in this process's partitions, noted by them as they go. Lag is computed from it
//! whenever somebody asks, so it is true whatever their threads are doing at that moment.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use assay_core::names::Offset;

use crate::ports::StreamPartition;
use crate::ports::log::Topic;
use crate::shared::Shared;

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
    followers: Mutex<Vec<(&'static str, Topic)>>,
    scored: Mutex<BTreeMap<StreamPartition, Scored>>,
    carried: Mutex<HashMap<&'static str, BTreeMap<StreamPartition, Carried>>>,
}

#[derive(Clone, Copy)]
struct Scored {
    /// All events before it are scored.
    next: Offset,
    /// The record that was read last as the first of a batch, and when it was appended.
    read: Option<(Offset, i64)>,
}

/// How far a follower is in a partition.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carried {
    /// All records before it are in the store.
    Before(Offset),
    /// There is nothing for it in the partition.
    Nothing,
}

/// How far readers are behind the log.
#[derive(Default)]
pub(crate) struct Lags {
    /// Events that are not scored, of the partitions of which that is known.
    pub(crate) scoring: BTreeMap<StreamPartition, u64>,
    /// By follower.
    pub(crate) followers: BTreeMap<&'static str, FollowerLag>,
}

/// How far a follower is behind the log.
#[derive(Default)]
pub(crate) struct FollowerLag {
    /// Records that are not in the store, of the partitions of which that is known.
    pub(crate) records: u64,
    /// Partitions of which it is not known: the follower has not read yet where it is.
    pub(crate) unknown: usize,
}

impl Progress {
    /// All events of a partition before `next` are scored.
    pub(crate) fn note_scored(&self, of: &StreamPartition, next: Offset) {
        let mut scored = lock(&self.scored);
        match scored.get_mut(of) {
            Some(scored) => scored.next = next,
            None => drop(scored.insert(of.clone(), Scored { next, read: None })),
        }
    }

    /// The first record of what is scored next was read: its offset, and when it was appended.
    pub(crate) fn note_read(&self, of: &StreamPartition, at: Offset, appended_at: i64) {
        if let Some(scored) = lock(&self.scored).get_mut(of) {
            scored.read = Some((at, appended_at));
        }
    }

    /// A partition is another's now.
    pub(crate) fn forget(&self, of: &StreamPartition) {
        lock(&self.scored).remove(of);
    }

    /// A follower of a topic runs in this process.
    pub(crate) fn add_follower(&self, follower: &'static str, topic: Topic) {
        lock(&self.followers).push((follower, topic));
    }

    /// All records of a partition before `next` are in a follower's store.
    pub(crate) fn note_carried(&self, follower: &'static str, of: &StreamPartition, next: Offset) {
        lock(&self.carried).entry(follower).or_default().insert(of.clone(), Carried::Before(next));
    }

    /// There is nothing for a follower in a partition.
    pub(crate) fn note_nothing(&self, follower: &'static str, of: &StreamPartition) {
        lock(&self.carried).entry(follower).or_default().insert(of.clone(), Carried::Nothing);
    }

    /// A follower has let go of some partitions.
    pub(crate) fn retain_carried(&self, follower: &'static str, is_kept: impl Fn(&StreamPartition) -> bool) {
        lock(&self.carried).entry(follower).or_default().retain(|of, _| is_kept(of));
    }
}

impl Shared {
    /// How far all readers are behind the log, now.
    pub(crate) fn lags(&self) -> Lags {
        let mine = self.mine();
        let end = |of: &StreamPartition, topic| self.ports.log.end(&of.stream, topic, of.partition).ok();
        let ends: Vec<[Option<Offset>; 2]> =
            mine.iter().map(|of| [Topic::Events, Topic::Verdicts].map(|topic| end(of, topic))).collect();
        // After the ends: a reader that has gone on since is farther than they, which is no lag.
        let scored = lock(&self.progress.scored).clone();
        let carried = lock(&self.progress.carried).clone();
        let mut lags = Lags::default();
        for (of, [events, _]) in mine.iter().zip(&ends) {
            if let (Some(scored), Some(end)) = (scored.get(of), events) {
                lags.scoring.insert(of.clone(), end.0.saturating_sub(scored.next.0));
            }
        }
        for (follower, topic) in lock(&self.progress.followers).iter() {
            let lag = lags.followers.entry(follower).or_default();
            for (of, [events, verdicts]) in mine.iter().zip(&ends) {
                let end = if *topic == Topic::Events { events } else { verdicts };
                match (carried.get(follower).and_then(|carried| carried.get(of)), end) {
                    (Some(Carried::Before(next)), Some(end)) => lag.records += end.0.saturating_sub(next.0),
                    (Some(Carried::Nothing), _) => {}
                    _ => lag.unknown += 1,
                }
            }
        }
        lags
    }

    /// How much of a partition is not scored yet; none: it is not this process's, or not opened yet.
    pub(crate) fn unscored(&self, of: &StreamPartition) -> Option<Unscored> {
        if !self.is_mine(of) {
            return None;
        }
        let end = self.ports.log.end(&of.stream, Topic::Events, of.partition).ok()?;
        let scored = *lock(&self.progress.scored).get(of)?;
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
