//! Which buckets of a tumbling view changed since they were last asked for, so that only those are written elsewhere.
//!
//! Nearly every event changes its entity's newest bucket: for that there is a bit per slot. The others are rare, and are
//! noted one by one. A bucket that changed and then was not kept any more is noted with its last values.

use hashbrown::HashMap;

use super::buckets::Bucket;
use super::windows::{Windows, values_of};
use crate::value::Value;

const BITS: usize = u64::BITS as usize;

/// Which buckets changed since they were last asked for.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Slots whose newest bucket has changed.
    newest: Bits,
    /// Slots of which older buckets are noted.
    with_older: Bits,
    /// Slots and tiles of those; the last values of those that are not kept any more.
    older: Older,
}

/// Of equal hashes on every machine, so that the same events give the same order.
type Older = HashMap<(u32, i64), Option<Vec<Value>>, foldhash::fast::FixedState>;

impl Changes {
    /// Makes room for slots below some number.
    pub(super) fn grow(&mut self, slots: usize) {
        self.newest.grow(slots);
        self.with_older.grow(slots);
    }

    /// Notes that an event came into a slot's newest tile, which was `before` until then.
    #[inline]
    pub(super) fn note_newest(&mut self, slot: u32, before: i64, newest: i64) {
        if newest != before && self.newest.has(slot) {
            self.note_older(slot, before);
        }
        self.newest.set(slot);
    }

    /// Notes that an event came into an older tile.
    pub(super) fn note_older(&mut self, slot: u32, tile: i64) {
        self.with_older.set(slot);
        self.older.entry((slot, tile)).or_default();
    }

    /// Notes the last values of a tile that has changed and is not kept any more.
    pub(super) fn note_dropped(&mut self, slot: u32, tile: i64, values: Vec<Value>) {
        self.with_older.set(slot);
        self.older.insert((slot, tile), Some(values));
    }

    /// Whether a slot's tile has changed.
    pub(super) fn has(&self, slot: u32, tile: i64, newest: i64) -> bool {
        (tile == newest && self.newest.has(slot))
            || (self.with_older.has(slot) && self.older.contains_key(&(slot, tile)))
    }

    /// Forgets what is noted of a slot.
    pub(super) fn forget(&mut self, slot: u32) {
        self.newest.clear(slot);
        if self.with_older.has(slot) {
            // Slow, and rare: what is noted is taken before a slot is given to another entity.
            self.with_older.clear(slot);
            self.older.retain(|place, _| place.0 != slot);
        }
    }
}

/// A bit per slot.
#[derive(Debug, Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn grow(&mut self, slots: usize) {
        self.0.resize(slots.div_ceil(BITS), 0);
    }

    #[inline]
    fn has(&self, slot: u32) -> bool {
        self.0[slot as usize / BITS] >> (slot as usize % BITS) & 1 != 0
    }

    #[inline]
    fn set(&mut self, slot: u32) {
        self.0[slot as usize / BITS] |= 1 << (slot as usize % BITS);
    }

    fn clear(&mut self, slot: u32) {
        self.0[slot as usize / BITS] &= !(1 << (slot as usize % BITS));
    }

    /// The slots whose bits are set, rising. Clears them.
    fn take(&mut self) -> Vec<u32> {
        let mut slots = Vec::new();
        for (index, word) in self.0.iter_mut().enumerate() {
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
        changes.with_older.take();
        for ((slot, tile), last) in std::mem::take(&mut changes.older) {
            let now = || self.window(slot).cells_of(tile).map(|cells| values_of(&self.layout, cells, &self.texts));
            changed.extend(last.or_else(now).map(|values| (slot, Bucket::new(&self.layout, tile, values))));
        }
        for slot in changes.newest.take() {
            let window = self.window(slot);
            let values = values_of(&self.layout, window.parts()[2], &self.texts);
            changed.push((slot, Bucket::new(&self.layout, window.newest_tile(), values)));
        }
        self.changes = Some(changes);
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_of_a_slot_is_forgotten_alone() {
        let mut changes = Changes::default();
        changes.grow(200);
        for slot in [3, 70, 199] {
            changes.note_newest(slot, 0, 5);
            changes.note_newest(slot, 5, 6);
            changes.note_older(slot, 2);
            changes.note_dropped(slot, 1, Vec::new());
        }
        changes.forget(70);
        for tile in [1, 2, 5, 6] {
            assert_eq!([3, 70, 199].map(|slot| changes.has(slot, tile, 6)), [true, false, true], "{tile}");
        }
        assert!(!changes.has(3, 0, 6), "no event came there");
        assert_eq!((changes.newest.take(), changes.with_older.take()), (vec![3, 199], vec![3, 199]));
        assert!(changes.newest.take().is_empty());
    }
}
