//! One entity's window while it is worked on: where an event belongs, and what a value at some tile is.
//!
//! Tiles are grouped in blocks of as many as a window covers, counted from 1970; so the window of a value covers the
//! end of one block and the beginning of the next. The value is `suffix + prefix`: the covered tiles of the earlier
//! block merged from the newest to the oldest, and those of the later block merged from the oldest to the newest.
//! Each record holds its running merge: a prefix in the block of the newest tile, a suffix in the block before (van
//! Herk 1992; Gil and Werman 1993). So an event costs the same for 60 tiles and for 1440, nothing is ever subtracted,
//! and since blocks are fixed, equal tiles give equal bits, whether running merges were kept or made anew. Where a window
//! is one tile, as in a tumbling view, there is nothing to merge: prefix and suffix are always those of no events.

use super::layout::Layout;
use super::tiles::{Tiles, first_position, last_position};

/// Words of a head: the newest event's time, the newest tile, the newest tile's accumulators, the merge of the tiles
/// before it in its block (prefix), the merge of the covered tiles of the block before (suffix).
const TIME: usize = 0;
const NEWEST: usize = 1;
const CELLS: usize = 2;

/// The time of a window without events. Event times are never as small.
const NEVER: i64 = i64::MIN;

/// Where an event belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the newest tile.
    Newest,
    /// In an older tile that is kept.
    Older(i64),
    /// In a tile that is not kept any more: the event is late.
    Late(i64),
}

/// Words of a head of a layout. A count and a sum make one cache line; what is larger has whole lines.
pub(super) fn head_words(layout: &Layout) -> usize {
    (CELLS + 3 * layout.identity.len()).next_multiple_of(8)
}

/// Makes a head that of a window without events.
pub(super) fn clear(head: &mut [u64], layout: &Layout) {
    head[TIME] = NEVER as u64;
    head[NEWEST] = 0;
    for cells in head[CELLS..].chunks_exact_mut(layout.identity.len()).take(3) {
        cells.copy_from_slice(&layout.identity);
    }
}

/// One entity's window, to read.
#[derive(Clone, Copy)]
pub(super) struct Window<'a> {
    pub(super) layout: &'a Layout,
    pub(super) head: &'a [u64],
    pub(super) tiles: &'a Tiles,
}

impl<'a> Window<'a> {
    /// The time of the newest event that was counted.
    #[inline]
    pub(super) fn newest_time(&self) -> Option<i64> {
        let time = self.head[TIME] as i64;
        (time != NEVER).then_some(time)
    }

    /// The newest tile; 0 before the first event.
    #[inline]
    pub(super) fn newest_tile(&self) -> i64 {
        self.head[NEWEST] as i64
    }

    /// The suffix, the prefix and the newest tile, whose merge is the value at the newest tile.
    #[inline]
    pub(super) fn parts(&self) -> [&'a [u64]; 3] {
        let cells = self.layout.identity.len();
        let (newest, derived) = self.head[CELLS..CELLS + 3 * cells].split_at(cells);
        let (prefix, suffix) = derived.split_at(cells);
        [suffix, prefix, newest]
    }

    /// The accumulators of a tile; none if it has no events or is not kept.
    pub(super) fn cells_of(&self, tile: i64) -> Option<&'a [u64]> {
        if tile == self.newest_tile() {
            return self.newest_time().map(|_| self.parts()[2]);
        }
        let (records, stride) = (self.tiles.records(), self.stride());
        let at = last_position(records, tile, stride);
        (records.get(at) == Some(&(tile as u64))).then(|| &records[at + 1..at + stride])
    }

    /// All kept tiles with events and their accumulators, oldest first.
    pub(super) fn kept(self) -> impl Iterator<Item = (i64, &'a [u64])> {
        let records = self.tiles.records().chunks_exact(self.stride());
        let newest = self.newest_time().map(|_| (self.newest_tile(), self.parts()[2]));
        records.map(|record| (record[0] as i64, &record[1..])).chain(newest)
    }

    /// Merges what a value at a tile covers.
    pub(super) fn merge_at(&self, tile: i64, into: &mut [u64]) {
        let block = self.layout.block_of(tile);
        if block != self.layout.block_of(self.newest_tile()) {
            return self.merge_anew(tile, block, into);
        }
        let (records, stride, cells) = (self.tiles.records(), self.stride(), self.layout.identity.len());
        let [_, prefix, newest] = self.parts();
        match suffix_at(self.layout, records, tile) {
            Some(at) => into.copy_from_slice(&records[at + 1 + cells..at + stride]),
            None => into.copy_from_slice(&self.layout.identity),
        }
        if tile >= self.newest_tile() {
            for measure in &self.layout.measures {
                let mut later = measure.kernel.load(&prefix[measure.at..]);
                measure.kernel.merge(&mut later, &newest[measure.at..]);
                measure.kernel.merge(&mut into[measure.at..], &later);
            }
            return;
        }
        // The running merge of the last record that is not behind the tile.
        let end = last_position(records, tile + 1, stride);
        if end > 0 && records[end - stride] as i64 >= block {
            self.layout.merge(into, &records[end - stride + 1 + cells..end]);
        }
    }

    /// Merges what a value at a tile covers, from the accumulators alone.
    fn merge_anew(&self, tile: i64, block: i64, into: &mut [u64]) {
        let (records, stride) = (self.tiles.records(), self.stride());
        let newest = self.newest_tile();
        let from = first_position(records, self.layout.covered_from(tile), stride);
        let middle = first_position(records, block, stride).max(from);
        let to = first_position(records, tile + 1, stride);
        let covers_newest = (self.layout.covered_from(tile)..=tile).contains(&newest);
        let cells = &self.head[CELLS..];
        into.copy_from_slice(&self.layout.identity);
        for measure in &self.layout.measures {
            let kernel = measure.kernel;
            let mut later = kernel.load(&into[measure.at..]);
            let mut earlier = later;
            records[middle..to]
                .chunks_exact(stride)
                .for_each(|record| kernel.merge(&mut later, &record[1 + measure.at..]));
            if covers_newest {
                kernel.merge(if newest < block { &mut earlier } else { &mut later }, &cells[measure.at..]);
            }
            for record in records[from..middle].chunks_exact(stride).rev() {
                let newer = earlier;
                earlier = kernel.load(&record[1 + measure.at..]);
                kernel.merge(&mut earlier, &newer);
            }
            kernel.merge(&mut earlier, &later);
            kernel.merge(&mut into[measure.at..], &earlier);
        }
    }

    fn stride(&self) -> usize {
        self.layout.record_words()
    }
}

/// Where the record is whose running merge is the suffix of a value at a tile in the block of the newest.
#[inline]
fn suffix_at(layout: &Layout, records: &[u64], tile: i64) -> Option<usize> {
    if layout.running_words() == 0 {
        return None;
    }
    let at = first_position(records, layout.covered_from(tile), layout.record_words());
    let is_in_block_before = (*records.get(at)? as i64) < layout.block_of(tile);
    is_in_block_before.then_some(at)
}

/// One entity's window, to change.
pub(super) struct WindowMut<'a> {
    pub(super) layout: &'a Layout,
    pub(super) head: &'a mut [u64],
    pub(super) tiles: &'a mut Tiles,
}

impl WindowMut<'_> {
    /// The same, to read.
    #[inline]
    pub(super) fn as_ref(&self) -> Window<'_> {
        Window { layout: self.layout, head: self.head, tiles: self.tiles }
    }

    /// Finds the place of an event and makes room for it. `dropped` gets the number and the accumulators of each tile
    /// that is not kept any more.
    #[inline]
    pub(super) fn make_place(&mut self, time: i64, dropped: impl FnMut(i64, &[u64])) -> Place {
        let newest = self.head[NEWEST] as i64;
        let tile = self.layout.tile_of(time, newest);
        let newest_time = self.head[TIME] as i64;
        if tile != newest || newest_time == NEVER {
            if newest_time == NEVER {
                self.head[NEWEST] = tile as u64;
            } else if tile > newest {
                self.advance(tile, dropped);
            } else if tile < self.layout.kept_from(newest) {
                return Place::Late(tile);
            } else {
                return Place::Older(tile);
            }
        }
        self.head[TIME] = newest_time.max(time) as u64;
        Place::Newest
    }

    /// The accumulators of the newest tile.
    #[inline]
    pub(super) fn newest_mut(&mut self) -> &mut [u64] {
        &mut self.head[CELLS..CELLS + self.layout.identity.len()]
    }

    /// The accumulators of an older tile, which come to be if they were not there. `settle` must follow their change.
    pub(super) fn older_mut(&mut self, tile: i64) -> &mut [u64] {
        self.tiles.get_or_insert(tile, &self.layout.identity, self.layout.record_words())
    }

    /// Makes what is derived from an older tile anew.
    pub(super) fn settle(&mut self, tile: i64) {
        if self.layout.running_words() == 0 {
            return;
        }
        let block = self.layout.block_of(self.head[NEWEST] as i64);
        if tile >= block {
            self.make_prefixes(tile, block);
        } else if self.layout.is_block_before(tile, block) {
            self.make_suffixes(tile, block);
        }
        self.find_parts();
    }

    /// Opens a newer tile.
    fn advance(&mut self, tile: i64, mut dropped: impl FnMut(i64, &[u64])) {
        let cells = self.layout.identity.len();
        let (running, stride) = (self.layout.running_words(), self.layout.record_words());
        let before = self.head[NEWEST] as i64;
        let (newest, derived) = self.head[CELLS..].split_at_mut(cells);
        let prefix = &mut derived[..running];
        if running > 0 {
            self.layout.merge(prefix, newest);
        }
        self.tiles.push(before, newest, prefix);
        newest.copy_from_slice(&self.layout.identity);
        self.head[NEWEST] = tile as u64;
        let kept_from = self.layout.kept_from(tile);
        while self.tiles.records().first().is_some_and(|oldest| (*oldest as i64) < kept_from) {
            let oldest = self.tiles.records();
            dropped(oldest[0] as i64, &oldest[1..1 + cells]);
            self.tiles.drop_first(stride);
        }
        if running == 0 {
            return;
        }
        let block = self.layout.block_of(tile);
        if before < block {
            self.make_suffixes(before, block);
        }
        self.find_parts();
    }

    /// Makes the running merges in the block of the newest tile anew, from a tile on.
    fn make_prefixes(&mut self, tile: i64, block: i64) {
        let cells = self.layout.identity.len();
        let stride = self.layout.record_words();
        let records = self.tiles.records_mut();
        let first = last_position(records, tile, stride);
        for at in (first..records.len()).step_by(stride) {
            let (before, record) = records.split_at_mut(at);
            let (accumulators, running) = record[1..stride].split_at_mut(cells);
            match last_record(before, stride) {
                Some(before) if before[0] as i64 >= block => running.copy_from_slice(&before[1 + cells..]),
                _ => running.copy_from_slice(&self.layout.identity),
            }
            self.layout.merge(running, accumulators);
        }
    }

    /// Makes the running merges in the block before that of the newest tile anew, from a tile back.
    fn make_suffixes(&mut self, tile: i64, block: i64) {
        let cells = self.layout.identity.len();
        let stride = self.layout.record_words();
        let records = self.tiles.records_mut();
        let mut at = last_position(records, tile + 1, stride);
        while at > 0 && self.layout.is_block_before(records[at - stride] as i64, block) {
            let (before, after) = records.split_at_mut(at);
            let (accumulators, running) = before[at - stride + 1..].split_at_mut(cells);
            running.copy_from_slice(accumulators);
            if after.first().is_some_and(|tile| (*tile as i64) < block) {
                self.layout.merge(running, &after[1 + cells..stride]);
            }
            at -= stride;
        }
    }

    /// Takes the prefix and the suffix of a value at the newest tile from the records.
    fn find_parts(&mut self) {
        let cells = self.layout.identity.len();
        let stride = self.layout.record_words();
        let newest = self.head[NEWEST] as i64;
        let records = self.tiles.records();
        let (prefix, suffix) = self.head[CELLS + cells..CELLS + 3 * cells].split_at_mut(cells);
        match last_record(records, stride) {
            Some(last) if last[0] as i64 >= self.layout.block_of(newest) => prefix.copy_from_slice(&last[1 + cells..]),
            _ => prefix.copy_from_slice(&self.layout.identity),
        }
        match suffix_at(self.layout, records, newest) {
            Some(at) => suffix.copy_from_slice(&records[at + 1 + cells..at + stride]),
            None => suffix.copy_from_slice(&self.layout.identity),
        }
    }

    /// Begins to restore a saved window into an empty one: sets its newest event's time and tile.
    pub(super) fn restore_newest(&mut self, time: i64, tile: i64) {
        self.head[TIME] = time as u64;
        self.head[NEWEST] = tile as u64;
    }

    /// Ends it: makes all that is derived.
    pub(super) fn restore_derived(&mut self) {
        if self.layout.running_words() == 0 {
            return;
        }
        let block = self.layout.block_of(self.head[NEWEST] as i64);
        self.make_suffixes(block - 1, block);
        self.make_prefixes(block, block);
        self.find_parts();
    }
}

/// The last of some records.
#[inline]
fn last_record(records: &[u64], stride: usize) -> Option<&[u64]> {
    records.len().checked_sub(stride).map(|from| &records[from..])
}
