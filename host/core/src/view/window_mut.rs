//! One entity's window, for changing: finds the tile of an event, drops old tiles, and rebuilds running merges, whose
//! meaning `window` explains.

use super::layout::Layout;
use super::tiles::{Tiles, last_position};
use super::window::{CELLS, NEWEST, NO_EVENT_TIME, TIME, Window, last_record, suffix_at};

/// The tile of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventTile {
    /// The newest tile.
    Newest,
    /// An older tile that is kept.
    Older(i64),
    /// A tile that is not kept any more: the event is late.
    Late(i64),
}

/// One entity's window, for changing.
pub(super) struct WindowMut<'a> {
    pub(super) layout: &'a Layout,
    pub(super) head: &'a mut [u64],
    pub(super) tiles: &'a mut Tiles,
}

impl WindowMut<'_> {
    /// The window for reading.
    #[inline]
    pub(super) fn as_ref(&self) -> Window<'_> {
        Window { layout: self.layout, head: self.head, tiles: self.tiles }
    }

    /// Finds the tile of an event and opens it if it is newer than all others. `dropped` gets the number and the
    /// accumulators of each tile that is no longer kept.
    #[inline]
    pub(super) fn open_tile(&mut self, time: i64, dropped: impl FnMut(i64, &[u64])) -> EventTile {
        let newest = self.head[NEWEST] as i64;
        let tile = self.layout.tile_of(time, newest);
        let newest_time = self.head[TIME] as i64;
        if tile != newest || newest_time == NO_EVENT_TIME {
            if newest_time == NO_EVENT_TIME {
                self.head[NEWEST] = tile as u64;
            } else if tile > newest {
                self.advance(tile, dropped);
            } else if tile < self.layout.kept_from(newest) {
                self.tiles.note_lost();
                return EventTile::Late(tile);
            } else {
                return EventTile::Older(tile);
            }
        }
        self.head[TIME] = newest_time.max(time) as u64;
        EventTile::Newest
    }

    /// The accumulators of the newest tile.
    #[inline]
    pub(super) fn newest_mut(&mut self) -> &mut [u64] {
        &mut self.head[CELLS..CELLS + self.layout.identity.len()]
    }

    /// The accumulators of an older tile, which are inserted if they are absent. After a change
    /// [`Self::rebuild_running_merges`] must be called.
    pub(super) fn older_mut(&mut self, tile: i64) -> &mut [u64] {
        self.tiles.get_or_insert(tile, &self.layout.identity, self.layout.record_words())
    }

    /// Rebuilds all merges that depend on an older tile.
    pub(super) fn rebuild_running_merges(&mut self, tile: i64) {
        if self.layout.running_words() == 0 {
            return;
        }
        let block = self.layout.block_of(self.head[NEWEST] as i64);
        if tile >= block {
            self.rebuild_prefixes(tile, block);
        } else if self.layout.is_block_before(tile, block) {
            self.rebuild_suffixes(tile, block);
        }
        self.refresh_prefix_and_suffix();
    }

    /// Opens a newer tile and drops tiles that are no longer kept.
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
            self.rebuild_suffixes(before, block);
        }
        self.refresh_prefix_and_suffix();
    }

    /// Rebuilds the running merges in the block of the newest tile, from a tile on.
    fn rebuild_prefixes(&mut self, tile: i64, block: i64) {
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

    /// Rebuilds the running merges in the block before that of the newest tile, from a tile back.
    fn rebuild_suffixes(&mut self, tile: i64, block: i64) {
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

    /// Copies the prefix and the suffix of the value at the newest tile from the records to the head.
    fn refresh_prefix_and_suffix(&mut self) {
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

    /// Begins to restore a saved window into an empty one: sets the time and the tile of its newest event.
    pub(super) fn restore_newest(&mut self, time: i64, tile: i64) {
        self.head[TIME] = time as u64;
        self.head[NEWEST] = tile as u64;
    }

    /// Restores that the entity has events that no kept tile has.
    pub(super) fn restore_lost(&mut self) {
        self.tiles.note_lost();
    }

    /// Ends the restoration: rebuilds all derived merges.
    pub(super) fn restore_derived(&mut self) {
        if self.layout.running_words() == 0 {
            return;
        }
        let block = self.layout.block_of(self.head[NEWEST] as i64);
        self.rebuild_suffixes(block - 1, block);
        self.rebuild_prefixes(block, block);
        self.refresh_prefix_and_suffix();
    }
}
