//! The newest records of one partition, in memory: what the worker and the followers read again and again.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use assay_core::names::Offset;
use assay_engine::ports::StoreError;
use assay_engine::ports::log::Records;

use super::blocks::slice;

/// What a block costs beside its bytes, about.
const BLOCK_BYTES: usize = 256;
/// Small blocks are put together while they are not older than this, ms: light load has a block for each event.
const MERGE_WITHIN: i64 = 5;
/// Blocks of so many bytes are large enough.
const MERGE_BYTES: usize = 64 << 10;

/// What becomes of records that nobody has read when the tail is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhenFull {
    /// They stay, and whoever fills the tail has to wait.
    Wait,
    /// The oldest go: they can be read from the broker.
    Drop,
}

/// The newest records of one partition.
pub(super) struct Tail {
    when_full: WhenFull,
    /// Bytes that it may have, about.
    budget: usize,
    /// The number of the schema that events are in.
    schema: AtomicU32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    is_started: bool,
    /// From here on everything is in the blocks.
    start: u64,
    /// The offset behind the newest record.
    next: u64,
    /// The end of the partition where that is known to be farther than `next`.
    known_end: u64,
    blocks: VecDeque<Arc<Records>>,
    bytes: usize,
    /// The offset before which somebody has read everything.
    read_to: u64,
    /// Bytes of blocks that nobody has read to their ends.
    unread: usize,
    failure: Option<StoreError>,
    /// Whether it has let go of records since it began.
    has_dropped: bool,
}

/// What a tail has for a reader.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// These, or nothing yet.
    Records(Vec<Records>),
    /// They are older than the tail.
    Older,
}

impl Tail {
    pub(super) fn new(when_full: WhenFull, budget: usize) -> Self {
        Self { when_full, budget, schema: AtomicU32::new(0), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Numbers and blocks are changed together, without anything that panics between.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the schema that events are in.
    pub(super) fn schema(&self) -> u32 {
        self.schema.load(Ordering::Acquire)
    }

    /// Begins at an offset, without records; those that come are in the schema of a number.
    pub(super) fn start_in(&self, schema: u32, at: u64) {
        self.start(at);
        self.schema.store(schema, Ordering::Release);
    }

    /// Begins at an offset, without records.
    pub(super) fn start(&self, at: u64) {
        *self.state() = State { is_started: true, start: at, next: at, known_end: at, read_to: at, ..State::default() };
    }

    /// The offset behind the newest record that the tail knows of; none: it has not begun.
    pub(super) fn end(&self) -> Option<u64> {
        let state = self.state();
        // Who has read all hears of a failure when he reads on.
        let least = if state.failure.is_some() { state.next + 1 } else { state.next };
        state.is_started.then(|| least.max(state.known_end))
    }

    /// The partition goes on at least to here, though it is not in the tail yet.
    pub(super) fn note_end(&self, end: u64) {
        let mut state = self.state();
        state.known_end = state.known_end.max(end);
    }

    /// What is behind the tail's end cannot be had, or can be had again.
    pub(super) fn note_failure(&self, failure: Option<StoreError>) {
        self.state().failure = failure;
    }

    /// There is no record from one offset to another, only markers of transactions. Who found that out may have looked
    /// before the tail began, which then says nothing of what came in between.
    pub(super) fn note_nothing(&self, from: Offset, before: Offset) {
        let mut state = self.state();
        if !state.is_started || from.0 >= state.start || before.0 < state.start || state.has_dropped {
            return;
        }
        if state.next == state.start {
            state.known_end = if state.known_end == state.next { from.0 } else { state.known_end };
            (state.next, state.read_to) = (from.0, from.0);
        }
        state.start = from.0;
    }

    /// Adds records at the end.
    pub(super) fn push(&self, records: Records) {
        let mut state = self.state();
        state.push(records);
        state.trim(self.budget, self.when_full);
    }

    /// Adds records of this process that the broker has taken. If others stand before them, the tail begins anew.
    pub(super) fn push_own(&self, records: Records) {
        let mut state = self.state();
        if !state.is_started {
            return;
        }
        if records.first.0 != state.next {
            let at = records.first.0;
            *state = State { is_started: true, start: at, next: at, read_to: at, ..State::default() };
        }
        state.push(records);
        state.trim(self.budget, self.when_full);
    }

    /// Whether nothing should be added for now.
    pub(super) fn is_full(&self) -> bool {
        self.when_full == WhenFull::Wait && self.state().unread >= self.budget
    }

    /// Whether there is room again after it was full.
    pub(super) fn has_room(&self) -> bool {
        self.state().unread < self.budget / 2
    }

    /// Reads from an offset on.
    pub(super) fn read(&self, from: Offset, max_records: usize, max_bytes: usize) -> Result<Found, StoreError> {
        let blocks = {
            let state = self.state();
            if !state.is_started || from.0 < state.start {
                return Ok(Found::Older);
            }
            if from.0 == state.next
                && let Some(failure) = &state.failure
            {
                return Err(failure.clone());
            }
            state.blocks_from(from, max_records, max_bytes)
        };
        // The bytes are copied outside of the lock.
        let (mut out, mut records, mut bytes) = (Vec::with_capacity(blocks.len()), 0, 0);
        for block in blocks {
            if records >= max_records.max(1) || (records > 0 && bytes >= max_bytes) {
                break;
            }
            let part = slice(&block, from, max_records.saturating_sub(records), max_bytes.saturating_sub(bytes));
            records += part.len();
            bytes += part.data.len();
            out.push(part);
        }
        if let Some(last) = out.last() {
            let mut state = self.state();
            state.note_read(last.next().0);
            state.trim(self.budget, self.when_full);
        }
        Ok(Found::Records(out))
    }
}

impl State {
    fn push(&mut self, records: Records) {
        let size = size(&records);
        self.next = records.next().0;
        self.known_end = self.known_end.max(self.next);
        self.bytes += size;
        self.unread += size;
        let read_to = self.read_to;
        if let Some(last) = self.blocks.back_mut()
            && last.next() == records.first
            && last.first.0 >= read_to
            && last.data.len() < MERGE_BYTES
            && records.appended_at - last.appended_at <= MERGE_WITHIN
            && let Some(last) = Arc::get_mut(last)
        {
            merge(last, &records);
        } else {
            self.blocks.push_back(Arc::new(records));
        }
    }

    fn blocks_from(&self, from: Offset, max_records: usize, max_bytes: usize) -> Vec<Arc<Records>> {
        let first = self.blocks.partition_point(|block| block.next() <= from);
        let (mut records, mut bytes) = (0, 0);
        let mut blocks = Vec::new();
        for block in self.blocks.range(first..) {
            let skipped = from.0.saturating_sub(block.first.0) as usize;
            records += block.len() - skipped.min(block.len());
            bytes += if skipped == 0 { block.data.len() } else { 0 };
            blocks.push(block.clone());
            if records >= max_records || bytes >= max_bytes {
                break;
            }
        }
        blocks
    }

    fn note_read(&mut self, to: u64) {
        if to <= self.read_to {
            return;
        }
        let first = self.blocks.partition_point(|block| block.next().0 <= self.read_to);
        let read = self.blocks.range(first..).take_while(|block| block.next().0 <= to);
        let read: usize = read.map(|block| size(block)).sum();
        self.unread = self.unread.saturating_sub(read);
        self.read_to = to;
    }

    fn trim(&mut self, budget: usize, when_full: WhenFull) {
        while self.bytes > budget
            && let Some(first) = self.blocks.front()
            && (when_full == WhenFull::Drop || first.next().0 <= self.read_to)
            // What was just added is kept, however large it is.
            && self.blocks.len() > 1
        {
            let (gone, next) = (size(first), first.next().0);
            self.bytes = self.bytes.saturating_sub(gone);
            if next > self.read_to {
                self.unread = self.unread.saturating_sub(gone);
            }
            self.start = next;
            self.has_dropped = true;
            self.blocks.pop_front();
        }
    }
}

fn size(block: &Records) -> usize {
    BLOCK_BYTES + block.data.len() + 4 * block.ends.len()
}

fn merge(into: &mut Records, records: &Records) {
    let (base, at) = (into.data.len() as u32, into.ends.len() as u32);
    into.note_appended(records.appended_at);
    into.appended_later.extend(records.appended_later.iter().map(|(index, time)| (at + index, *time)));
    into.data.extend_from_slice(&records.data);
    into.ends.extend(records.ends.iter().map(|end| base + end));
    into.refused.extend(records.refused.iter().map(|(index, why)| (at + index, why.clone())));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(first: u64, records: usize, appended_at: i64) -> Records {
        let mut block = Records { first: Offset(first), appended_at, ..Records::default() };
        (0..records).for_each(|i| block.push(format!("{:08}", first + i as u64).as_bytes()));
        block
    }

    fn offsets(tail: &Tail, from: u64, most: usize) -> Option<Vec<u64>> {
        match tail.read(Offset(from), most, 1 << 20).unwrap() {
            Found::Records(blocks) => {
                let records = blocks.iter().flat_map(Records::iter);
                Some(
                    records
                        .map(|(offset, record)| {
                            assert_eq!(record, format!("{:08}", offset.0).as_bytes());
                            offset.0
                        })
                        .collect(),
                )
            }
            Found::Older => None,
        }
    }

    #[test]
    fn what_is_in_it_is_read_from_any_offset_on() {
        let tail = Tail::new(WhenFull::Wait, 1 << 20);
        assert_eq!((offsets(&tail, 0, 10), tail.end()), (None, None));
        tail.start(100);
        assert_eq!((offsets(&tail, 99, 10), offsets(&tail, 100, 10)), (None, Some(vec![])));
        tail.push(block(100, 3, 0));
        tail.push(block(103, 2, 1));
        // A gap.
        tail.push(block(110, 2, 100));
        assert_eq!(tail.end(), Some(112));
        assert_eq!(offsets(&tail, 100, 100), Some(vec![100, 101, 102, 103, 104, 110, 111]));
        assert_eq!(offsets(&tail, 102, 3), Some(vec![102, 103, 104]));
        assert_eq!(offsets(&tail, 106, 3), Some(vec![110, 111]));
        assert_eq!(offsets(&tail, 112, 3), Some(vec![]));
    }

    #[test]
    fn unread_records_stay_and_read_ones_go() {
        let tail = Tail::new(WhenFull::Wait, 20_000);
        tail.start(0);
        let mut next = 0;
        while !tail.is_full() {
            tail.push(block(next, 10, next as i64));
            next += 10;
        }
        // Nothing is lost while nobody has read it.
        assert_eq!(offsets(&tail, 0, 10).unwrap().len(), 10);
        assert!(!tail.has_room());
        let mut from = 10;
        while !tail.has_room() {
            from += offsets(&tail, from, 10).unwrap().len() as u64;
        }
        assert!(from < next, "there is room before everything is read");
        // The slower reader finds it gone once there is more than the budget.
        while !tail.is_full() {
            tail.push(block(next, 10, next as i64));
            next += 10;
        }
        assert_eq!(offsets(&tail, 0, 10), None);
        assert_eq!(offsets(&tail, from, 1 << 20).unwrap(), (from..next).collect::<Vec<_>>());
    }

    #[test]
    fn own_records_behind_those_of_others_begin_it_anew() {
        let tail = Tail::new(WhenFull::Drop, 5_000);
        tail.push_own(block(0, 1, 0));
        assert_eq!(tail.end(), None);
        tail.start(5);
        tail.push_own(block(5, 1, 0));
        tail.push_own(block(8, 1, 0));
        assert_eq!((offsets(&tail, 5, 9), offsets(&tail, 8, 9)), (None, Some(vec![8])));
        (9..100).for_each(|first| tail.push_own(block(first, 1, first as i64 * 100)));
        assert_eq!((offsets(&tail, 9, 9), tail.end()), (None, Some(100)));
        assert_eq!(offsets(&tail, 95, 9), Some(vec![95, 96, 97, 98, 99]));
    }

    #[test]
    fn markers_before_the_tail_are_no_records() {
        let tail = Tail::new(WhenFull::Wait, 1 << 20);
        tail.start(10);
        tail.note_nothing(Offset(8), Offset(9));
        assert_eq!((offsets(&tail, 8, 9), tail.end()), (None, Some(10)), "looked before the record at 9 came");
        tail.note_nothing(Offset(8), Offset(10));
        assert_eq!((offsets(&tail, 8, 9), tail.end()), (Some(vec![]), Some(8)));
        tail.push(block(11, 1, 0));
        assert_eq!((offsets(&tail, 8, 9), tail.end()), (Some(vec![11]), Some(12)));
        tail.note_nothing(Offset(6), Offset(8));
        assert_eq!(offsets(&tail, 6, 9), Some(vec![11]));
    }

    #[test]
    fn a_failure_is_told_to_those_who_have_read_all() {
        let tail = Tail::new(WhenFull::Wait, 1 << 20);
        tail.start(0);
        tail.push(block(0, 2, 0));
        let failure = StoreError::Unavailable { store: "registry", message: "down".to_owned() };
        tail.note_failure(Some(failure.clone()));
        assert_eq!((offsets(&tail, 0, 9), tail.end()), (Some(vec![0, 1]), Some(3)));
        tail.push(block(2, 2, 0));
        assert_eq!(tail.end(), Some(5), "records that came before the failure");
        assert_eq!(tail.read(Offset(4), 9, 9), Err(failure));
        tail.note_failure(None);
        assert_eq!((offsets(&tail, 4, 9), tail.end()), (Some(vec![]), Some(4)));
    }
}
