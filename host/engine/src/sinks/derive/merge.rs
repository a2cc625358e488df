//! Puts the events of several source partitions into one order: by (progress, partition, offset). The progress of an
//! event is the latest event time of its partition up to and including the event, so that it never falls within a
//! partition, and each partition keeps its own order.
//!
//! The next event of a partition is taken once no other partition can have an earlier one: each other one has a next event,
//! or its progress is later already. A partition that is at its end is waited for, for a bounded time: from when the event
//! was first blocked by nothing but such ends, or from when the event was read and the partition was silent, if that is
//! earlier. (With the first alone the partitions would be waited for one after the other when all of them fall silent; with
//! the second alone a slow partition would block the others as long as it has an event now and then.) Then the partition
//! is idle: the merge goes on without it until it has events again. There is no IO and no clock here.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use assay_core::names::Offset;

use crate::merge_position::{MergePosition, SourcePosition};

/// The merge of some source partitions, by their index.
pub(super) struct Merge<T> {
    sources: Vec<Source<T>>,
    max_wait: Duration,
}

struct Source<T> {
    items: VecDeque<Item<T>>,
    /// Up to where it is read.
    read: SourcePosition,
    supply: Supply,
    /// The time at which its last events were read.
    accepted_at: Option<Instant>,
    /// It was waited for in vain, and has had no events since.
    is_idle: bool,
    /// Since when its next event waits for partitions that are at their ends.
    blocked_since: Option<Instant>,
}

struct Item<T> {
    offset: Offset,
    progress: i64,
    /// The progress of the partition before this event.
    progress_before: Option<i64>,
    value: T,
}

/// If a partition without a next event has more to read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Supply {
    /// It has to be looked at.
    Unread,
    /// It has more, which cannot be read yet.
    Delayed,
    /// It was at its end when it was looked at.
    AtEnd,
}

/// The next step of a merge.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<T> {
    /// An event of a source.
    Take(usize, T),
    /// This source has to be read first; then `accept` and `end_batch`, or `note_end`, or `note_delayed` says the result.
    Read(usize),
    /// The next event has to wait: until this time at most, unless a source has more; none: until a source has more.
    Wait(Option<Instant>),
}

impl<T> Merge<T> {
    pub(super) fn new(position: MergePosition, max_wait: Duration) -> Self {
        let source = |read| Source {
            items: VecDeque::new(),
            read,
            supply: Supply::Unread,
            accepted_at: None,
            is_idle: false,
            blocked_since: None,
        };
        Self { sources: position.into_iter().map(source).collect(), max_wait }
    }

    /// The next offset to read of a source.
    pub(super) fn next_read(&self, source: usize) -> Offset {
        self.sources[source].read.next
    }

    /// Adds the next event of a source. Without a time it does not count for the progress; without a value it is not to be
    /// taken.
    pub(super) fn accept(&mut self, source: usize, offset: Offset, time: Option<i64>, value: Option<T>) {
        let source = &mut self.sources[source];
        let progress_before = source.read.progress;
        source.read = SourcePosition { next: offset.next(), progress: progress_before.max(time) };
        if let (Some(value), Some(progress)) = (value, source.read.progress) {
            source.items.push_back(Item { offset, progress, progress_before, value });
        }
        source.is_idle = false;
    }

    /// All that was read of a source is accepted: it ends before an offset. There may be more.
    pub(super) fn end_batch(&mut self, source: usize, next: Offset, now: Instant) {
        let source = &mut self.sources[source];
        source.read.next = next;
        source.supply = Supply::Unread;
        source.accepted_at = Some(now);
    }

    /// There is nothing more to read of a source.
    pub(super) fn note_end(&mut self, source: usize) {
        self.sources[source].supply = Supply::AtEnd;
    }

    /// There is more to read of a source, but not yet.
    pub(super) fn note_delayed(&mut self, source: usize) {
        self.sources[source].supply = Supply::Delayed;
    }

    /// Sources may have more than when they were last looked at.
    pub(super) fn look_again(&mut self) {
        self.sources.iter_mut().for_each(|source| source.supply = Supply::Unread);
    }

    /// Every event before this position was taken.
    pub(super) fn position(&self) -> MergePosition {
        let position = |source: &Source<T>| match source.items.front() {
            Some(head) => SourcePosition { next: head.offset, progress: head.progress_before },
            None => source.read,
        };
        self.sources.iter().map(position).collect()
    }

    /// The next step. Adds the sources that are given up to `given_up`.
    pub(super) fn step(&mut self, now: Instant, given_up: &mut Vec<usize>) -> Step<T> {
        let heads = self.sources.iter().enumerate();
        let head = heads.filter_map(|(at, source)| Some((source.items.front()?.progress, at))).min();
        // An event that such a source gets later comes after the head.
        let has_passed = |at: usize, source: &Source<T>| {
            head.is_some_and(|head| source.read.progress.is_some_and(|progress| (progress, at) > head))
        };
        let mut blocking = Vec::new();
        for (at, source) in self.sources.iter().enumerate() {
            if !source.items.is_empty() || has_passed(at, source) {
                continue;
            }
            if source.supply == Supply::Unread {
                return Step::Read(at);
            }
            if source.supply == Supply::Delayed || !source.is_idle {
                blocking.push(at);
            }
        }
        let Some((_, at)) = head else { return Step::Wait(None) };
        if !blocking.is_empty() {
            if blocking.iter().any(|at| self.sources[*at].supply == Supply::Delayed) {
                return Step::Wait(None);
            }
            let blocked_since = *self.sources[at].blocked_since.get_or_insert(now);
            let mut next_deadline = None;
            for other in blocking {
                let both_known = self.sources[at].accepted_at.max(self.sources[other].accepted_at);
                let deadline = both_known.map_or(blocked_since, |since| since.min(blocked_since)) + self.max_wait;
                if now >= deadline {
                    self.sources[other].is_idle = true;
                    given_up.push(other);
                } else {
                    next_deadline = Some(next_deadline.map_or(deadline, |next: Instant| next.min(deadline)));
                }
            }
            if next_deadline.is_some() {
                return Step::Wait(next_deadline);
            }
        }
        let source = &mut self.sources[at];
        source.blocked_since = None;
        match source.items.pop_front() {
            Some(item) => Step::Take(at, item.value),
            // Not reached: the source has a head.
            None => Step::Wait(None),
        }
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
