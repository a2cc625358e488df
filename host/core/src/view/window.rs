//! One entity's window, for reading: merges the value at a tile. `window_mut` changes windows.
//!
//! Tiles are grouped in blocks, counted from 1970. A block has as many tiles as a window covers, so the window of a
//! value covers the end of one block and the beginning of the next. The value is `suffix + prefix`: the covered tiles
//! of the earlier block merged from the newest to the oldest, and those of the later block merged from the oldest to
//! the newest. Each record holds its running merge: a prefix in the block of the newest tile, a suffix in the block
//! before (van Herk 1992; Gil and Werman 1993). So an event costs the same for 60 tiles and for 1440, and nothing is
//! ever subtracted. Because blocks are fixed, equal tiles give equal bits, even after running merges are rebuilt. If a
//! window is one tile, as in a tumbling view, there is nothing to merge: prefix and suffix are always those of no
//! events.

use super::layout::Layout;
use super::tiles::{Tiles, first_position, last_position};

/// Indexes of words in a head: the newest event's time, the newest tile, then the accumulators of the newest tile, of
/// the tiles before it in its block merged (prefix), and of the covered tiles of the block before merged (suffix).
pub(super) const TIME: usize = 0;
pub(super) const NEWEST: usize = 1;
pub(super) const CELLS: usize = 2;

/// The time of a window without events. It is less than all event times.
pub(super) const NO_EVENT_TIME: i64 = i64::MIN;

/// The number of words in a head: a multiple of a cache line. A count and a sum fit in one line.
pub(super) fn head_words(layout: &Layout) -> usize {
    (CELLS + 3 * layout.identity.len()).next_multiple_of(8)
}

/// Sets a head to that of a window without events.
pub(super) fn clear_head(head: &mut [u64], layout: &Layout) {
    head[TIME] = NO_EVENT_TIME as u64;
    head[NEWEST] = 0;
    for cells in head[CELLS..].chunks_exact_mut(layout.identity.len()).take(3) {
        cells.copy_from_slice(&layout.identity);
    }
}

/// One entity's window, for reading.
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
        (time != NO_EVENT_TIME).then_some(time)
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

    /// The accumulators of a tile; none if the tile has no events or is not kept.
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

    /// Merges the tiles that a value at a tile covers into `into`.
    pub(super) fn merge_at(&self, tile: i64, into: &mut [u64]) {
        let block = self.layout.block_of(tile);
        if block != self.layout.block_of(self.newest_tile()) {
            return self.merge_tiles_at(tile, block, into);
        }
        let (records, stride, cells) = (self.tiles.records(), self.stride(), self.layout.identity.len());
        let [_, prefix, newest] = self.parts();
        match suffix_at(self.layout, records, tile) {
            Some(at) => into.copy_from_slice(&records[at + 1 + cells..at + stride]),
            None => into.copy_from_slice(&self.layout.identity),
        }
        if tile >= self.newest_tile() {
            for measure in &self.layout.measures {
                let mut later = measure.kernel.copy(&prefix[measure.at..]);
                measure.kernel.merge(&mut later, &newest[measure.at..]);
                measure.kernel.merge(&mut into[measure.at..], &later);
            }
            return;
        }
        // The running merge of the last record up to the tile.
        let end = last_position(records, tile + 1, stride);
        if end > 0 && records[end - stride] as i64 >= block {
            self.layout.merge(into, &records[end - stride + 1 + cells..end]);
        }
    }

    /// Merges the tiles that a value covers from their accumulators, for a value outside of the newest tile's block,
    /// where there are no running merges for it.
    fn merge_tiles_at(&self, tile: i64, block: i64, into: &mut [u64]) {
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
            let mut later = kernel.copy(&into[measure.at..]);
            let mut earlier = later;
            records[middle..to]
                .chunks_exact(stride)
                .for_each(|record| kernel.merge(&mut later, &record[1 + measure.at..]));
            if covers_newest {
                kernel.merge(if newest < block { &mut earlier } else { &mut later }, &cells[measure.at..]);
            }
            for record in records[from..middle].chunks_exact(stride).rev() {
                let newer = earlier;
                earlier = kernel.copy(&record[1 + measure.at..]);
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

/// The position of the record whose running merge is the suffix of the value at a tile in the block of the newest tile.
#[inline]
pub(super) fn suffix_at(layout: &Layout, records: &[u64], tile: i64) -> Option<usize> {
    if layout.running_words() == 0 {
        return None;
    }
    let at = first_position(records, layout.covered_from(tile), layout.record_words());
    let is_in_block_before = (*records.get(at)? as i64) < layout.block_of(tile);
    is_in_block_before.then_some(at)
}

/// The last record; none if there are no records.
#[inline]
pub(super) fn last_record(records: &[u64], stride: usize) -> Option<&[u64]> {
    records.len().checked_sub(stride).map(|from| &records[from..])
}
