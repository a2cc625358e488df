//! The newest records of one partition in memory. The worker and the sinks all read them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use assay_core::names::Offset;
use assay_engine::ports::StoreError;
use assay_engine::ports::log::Records;

use super::blocks::slice_block;

/// The memory of a block in addition to its records, about.
const BLOCK_OVERHEAD_BYTES: usize = 256;
/// Small blocks within this time are merged, in ms: under light load each event would be a block.
const MAX_MERGE_AGE_MS: i64 = 5;
/// Blocks with at least this many bytes are not merged.
const MIN_UNMERGED_BYTES: usize = 64 << 10;

/// The treatment of unread records when the tail is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OverflowPolicy {
    /// They stay, and the producer of the tail must wait.
    Block,
    /// The oldest are dropped. They can be read from a broker.
    DropOldest,
}

/// The newest records of one partition.
pub(super) struct Tail {
    overflow: OverflowPolicy,
    /// The bound on its memory, in bytes, about.
    max_bytes_held: usize,
    /// The number of the schema that events are in.
    schema: AtomicU32,
    state: Mutex<TailState>,
}

#[derive(Default)]
struct TailState {
    is_started: bool,
    /// The blocks hold all records from this offset on.
    start: u64,
    /// The offset after the newest record.
    next: u64,
    /// The known end of the partition. It can be later than `next`.
    known_end: u64,
    blocks: VecDeque<Arc<Records>>,
    bytes: usize,
    /// The offset before which the fastest reader has read all records.
    read_to: u64,
    /// The bytes of blocks that no reader has read to their ends.
    unread: usize,
    failure: Option<StoreError>,
    /// True if records were dropped since the start.
    has_dropped: bool,
}

/// The result of a read.
#[derive(Debug, PartialEq)]
pub(super) enum TailRead {
    /// The records; empty if there are none yet.
    Records(Vec<Records>),
    /// The records are older than the tail.
    Older,
}

impl Tail {
    pub(super) fn new(overflow: OverflowPolicy, max_bytes_held: usize) -> Self {
        Self { overflow, max_bytes_held, schema: AtomicU32::new(0), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, TailState> {
        // A poisoned lock is safe: numbers and blocks change together without a panic between.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the schema of its events.
    pub(super) fn schema(&self) -> u32 {
        self.schema.load(Ordering::Acquire)
    }

    /// Restarts the tail without records at an offset. Later events are in this schema.
    pub(super) fn start_in(&self, schema: u32, at: u64) {
        self.start(at);
        self.schema.store(schema, Ordering::Release);
    }

    /// Restarts the tail without records at an offset.
    pub(super) fn start(&self, at: u64) {
        *self.state() =
            TailState { is_started: true, start: at, next: at, known_end: at, read_to: at, ..TailState::default() };
    }

    /// The offset after the newest known record; none if the tail has not started.
    pub(super) fn end(&self) -> Option<u64> {
        let state = self.state();
        // With a failure the end is one later, so that a reader at the end reads again and gets the failure.
        let min_end = if state.failure.is_some() { state.next + 1 } else { state.next };
        state.is_started.then(|| min_end.max(state.known_end))
    }

    /// Notes a known end of the partition, whose records are not in the tail yet.
    pub(super) fn note_end(&self, end: u64) {
        let mut state = self.state();
        state.known_end = state.known_end.max(end);
    }

    /// Sets or clears the failure that readers at the end of the tail get.
    pub(super) fn note_failure(&self, failure: Option<StoreError>) {
        self.state().failure = failure;
    }

    /// Notes that there are no records from one offset up to another, only transaction markers. The range counts only if it
    /// reaches the start of the tail: a range that was found earlier says nothing of the records since.
    pub(super) fn note_empty_range(&self, from: Offset, before: Offset) {
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
        state.trim(self.max_bytes_held, self.overflow);
    }

    /// Adds acknowledged records of this process. If there are other records before them, the tail restarts.
    pub(super) fn push_own(&self, records: Records) {
        let mut state = self.state();
        if !state.is_started {
            return;
        }
        if records.first.0 != state.next {
            let at = records.first.0;
            *state = TailState { is_started: true, start: at, next: at, read_to: at, ..TailState::default() };
        }
        state.push(records);
        state.trim(self.max_bytes_held, self.overflow);
    }

    /// Returns whether the producer of the tail must wait.
    pub(super) fn is_full(&self) -> bool {
        self.overflow == OverflowPolicy::Block && self.state().unread >= self.max_bytes_held
    }

    /// Returns whether a full tail has room again.
    pub(super) fn has_room(&self) -> bool {
        self.state().unread < self.max_bytes_held / 2
    }

    /// Reads records from an offset on, up to the limits.
    ///
    /// # Errors
    /// The noted failure, if the offset is the end of the tail.
    pub(super) fn read(&self, from: Offset, max_records: usize, max_bytes: usize) -> Result<TailRead, StoreError> {
        let blocks = {
            let state = self.state();
            if !state.is_started || from.0 < state.start {
                return Ok(TailRead::Older);
            }
            if from.0 == state.next
                && let Some(failure) = &state.failure
            {
                return Err(failure.clone());
            }
            state.blocks_from(from, max_records, max_bytes)
        };
        // The records are copied outside of the lock.
        let (mut out, mut records, mut bytes) = (Vec::with_capacity(blocks.len()), 0, 0);
        for block in blocks {
            if records >= max_records.max(1) || (records > 0 && bytes >= max_bytes) {
                break;
            }
            let part = slice_block(&block, from, max_records.saturating_sub(records), max_bytes.saturating_sub(bytes));
            records += part.len();
            bytes += part.data.len();
            out.push(part);
        }
        if let Some(last) = out.last() {
            let mut state = self.state();
            state.note_read(last.next().0);
            state.trim(self.max_bytes_held, self.overflow);
        }
        Ok(TailRead::Records(out))
    }
}

impl TailState {
    fn push(&mut self, records: Records) {
        let size = block_size(&records);
        self.next = records.next().0;
        self.known_end = self.known_end.max(self.next);
        self.bytes += size;
        self.unread += size;
        let read_to = self.read_to;
        if let Some(last) = self.blocks.back_mut()
            && last.next() == records.first
            && last.first.0 >= read_to
            && last.data.len() < MIN_UNMERGED_BYTES
            && records.appended_at - last.appended_at <= MAX_MERGE_AGE_MS
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
        let read: usize = read.map(|block| block_size(block)).sum();
        self.unread = self.unread.saturating_sub(read);
        self.read_to = to;
    }

    fn trim(&mut self, max_bytes_held: usize, overflow: OverflowPolicy) {
        while self.bytes > max_bytes_held
            && let Some(first) = self.blocks.front()
            && (overflow == OverflowPolicy::DropOldest || first.next().0 <= self.read_to)
            // The newest block is kept, however large it is.
            && self.blocks.len() > 1
        {
            let (dropped, next) = (block_size(first), first.next().0);
            self.bytes = self.bytes.saturating_sub(dropped);
            if next > self.read_to {
                self.unread = self.unread.saturating_sub(dropped);
            }
            self.start = next;
            self.has_dropped = true;
            self.blocks.pop_front();
        }
    }
}

fn block_size(block: &Records) -> usize {
    BLOCK_OVERHEAD_BYTES + block.data.len() + 4 * block.ends.len()
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

    fn offsets(tail: &Tail, from: u64, max: usize) -> Option<Vec<u64>> {
        match tail.read(Offset(from), max, 1 << 20).unwrap() {
            TailRead::Records(blocks) => {
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
            TailRead::Older => None,
        }
    }

    #[test]
    fn records_are_read_from_any_offset_on() {
        let tail = Tail::new(OverflowPolicy::Block, 1 << 20);
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
    fn unread_records_are_kept_and_read_ones_are_dropped() {
        let tail = Tail::new(OverflowPolicy::Block, 20_000);
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
        // A slower reader does not find the records any more once the tail exceeds its bound.
        while !tail.is_full() {
            tail.push(block(next, 10, next as i64));
            next += 10;
        }
        assert_eq!(offsets(&tail, 0, 10), None);
        assert_eq!(offsets(&tail, from, 1 << 20).unwrap(), (from..next).collect::<Vec<_>>());
    }

    #[test]
    fn own_records_after_a_gap_restart_the_tail() {
        let tail = Tail::new(OverflowPolicy::DropOldest, 5_000);
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
        let tail = Tail::new(OverflowPolicy::Block, 1 << 20);
        tail.start(10);
        tail.note_empty_range(Offset(8), Offset(9));
        assert_eq!((offsets(&tail, 8, 9), tail.end()), (None, Some(10)), "looked before the record at 9 came");
        tail.note_empty_range(Offset(8), Offset(10));
        assert_eq!((offsets(&tail, 8, 9), tail.end()), (Some(vec![]), Some(8)));
        tail.push(block(11, 1, 0));
        assert_eq!((offsets(&tail, 8, 9), tail.end()), (Some(vec![11]), Some(12)));
        tail.note_empty_range(Offset(6), Offset(8));
        assert_eq!(offsets(&tail, 6, 9), Some(vec![11]));
    }

    #[test]
    fn readers_at_the_end_get_the_failure() {
        let tail = Tail::new(OverflowPolicy::Block, 1 << 20);
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
