//! Which buckets of a tumbling view changed since they were last asked for, so that only those are written elsewhere.
//!
//! Nearly every event changes its entity's newest bucket: for that there is a bit per slot. The others are rare, and are
//! noted one by one. A bucket that changed and then was not kept any more is noted with its last values.

use std::collections::BTreeMap;

use super::buckets::Bucket;
use super::windows::{Windows, values_of};
use crate::value::Value;

const BITS: usize = u64::BITS as usize;

/// Which buckets changed since they were last asked for.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// A bit per slot: its newest bucket has changed.
    newest: Vec<u64>,
    /// Slots and tiles of the others; the last values of those that are not kept any more.
    older: BTreeMap<(u32, i64), Option<Vec<Value>>>,
}

impl Changes {
    /// Makes room for slots below some number.
    pub(super) fn grow(&mut self, slots: usize) {
        self.newest.resize(slots.div_ceil(BITS), 0);
    }

    /// Notes that an event came into a slot's newest tile, which was `before` until then.
    #[inline]
    pub(super) fn note_newest(&mut self, slot: u32, before: i64, newest: i64) {
        if newest != before && self.has_newest(slot) {
            self.older.entry((slot, before)).or_default();
        }
        self.newest[slot as usize / BITS] |= 1 << (slot as usize % BITS);
    }

    /// Notes that an event came into an older tile.
    pub(super) fn note_older(&mut self, slot: u32, tile: i64) {
        self.older.entry((slot, tile)).or_default();
    }

    /// Notes the last values of a tile that has changed and is not kept any more.
    pub(super) fn note_dropped(&mut self, slot: u32, tile: i64, values: Vec<Value>) {
        self.older.insert((slot, tile), Some(values));
    }

    /// Whether a slot's tile has changed.
    pub(super) fn has(&self, slot: u32, tile: i64, newest: i64) -> bool {
        (tile == newest && self.has_newest(slot)) || self.older.contains_key(&(slot, tile))
    }

    #[inline]
    fn has_newest(&self, slot: u32) -> bool {
        self.newest[slot as usize / BITS] >> (slot as usize % BITS) & 1 != 0
    }

    /// Forgets what is noted of a slot.
    pub(super) fn forget(&mut self, slot: u32) {
        self.newest[slot as usize / BITS] &= !(1 << (slot as usize % BITS));
        while let Some((&place, _)) = self.older.range((slot, i64::MIN)..=(slot, i64::MAX)).next() {
            self.older.remove(&place);
        }
    }

    /// Takes the slots whose newest buckets have changed, rising.
    fn take_newest(&mut self) -> Vec<u32> {
        let mut slots = Vec::new();
        for (index, word) in self.newest.iter_mut().enumerate() {
            let mut bits = std::mem::take(word);
            while bits != 0 {
                slots.push((index * BITS) as u32 + bits.trailing_zeros());
                bits &= bits - 1;
            }
        }
        slots
    }
}

impl Windows {
    /// From now on notes which buckets change, for [`Windows::take_changed`]. For views with tiles only.
    pub fn note_changes(&mut self) {
        let mut changes = Changes::default();
        changes.grow(self.tiles.len());
        self.changes = Some(changes);
    }

    /// The buckets that changed since this was asked last, with their slots, in no order that matters. A bucket that
    /// changed and is not kept any more is there with its last values. What is loaded has not changed.
    pub fn take_changed(&mut self) -> Vec<(u32, Bucket)> {
        let Some(mut changes) = self.changes.take() else { return Vec::new() };
        let mut changed = Vec::new();
        for ((slot, tile), last) in std::mem::take(&mut changes.older) {
            let now = || self.window(slot).cells_of(tile).map(|cells| values_of(&self.layout, cells, &self.texts));
            changed.extend(last.or_else(now).map(|values| (slot, Bucket::new(&self.layout, tile, values))));
        }
        for slot in changes.take_newest() {
            let window = self.window(slot);
            let values = values_of(&self.layout, window.parts()[2], &self.texts);
            changed.push((slot, Bucket::new(&self.layout, window.newest_tile(), values)));
        }
        self.changes = Some(changes);
        changed
    }
}
