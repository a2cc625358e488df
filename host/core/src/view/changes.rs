//! Tracks the buckets of a tumbling view that changed since they were last taken, so that only those are written to
//! other stores.
//!
//! Nearly every event changes its entity's newest bucket, so that change is one bit per slot. Changes of older buckets
//! are rare and stored one by one. A bucket that changed and was then dropped is stored with its last values.

use hashbrown::HashMap;

use super::buckets::Bucket;
use super::windows::{Windows, values_of};
use crate::value::Value;

const BITS_PER_WORD: usize = u64::BITS as usize;

/// The buckets that changed since they were last taken.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// The slots whose newest bucket has changed.
    newest: SlotBits,
    /// The slots with entries in `older`.
    with_older: SlotBits,
    /// Per slot and tile of a changed older bucket: its last values, if it was dropped.
    older: ChangedOlderTiles,
}

/// Its hash is the same on every machine, so that the same events give the same order of changes.
type ChangedOlderTiles = HashMap<(u32, i64), Option<Vec<Value>>, foldhash::fast::FixedState>;

impl Changes {
    /// Makes room for slots below `slots`.
    pub(super) fn grow(&mut self, slots: usize) {
        self.newest.grow(slots);
        self.with_older.grow(slots);
    }

    /// Notes an event in a slot's newest tile, which was `before` until then.
    #[inline]
    pub(super) fn note_newest(&mut self, slot: u32, before: i64, newest: i64) {
        if newest != before && self.newest.has(slot) {
            self.note_older(slot, before);
        }
        self.newest.set(slot);
    }

    /// Notes an event in an older tile.
    pub(super) fn note_older(&mut self, slot: u32, tile: i64) {
        self.with_older.set(slot);
        self.older.entry((slot, tile)).or_default();
    }

    /// Notes the last values of a changed tile that is dropped.
    pub(super) fn note_dropped(&mut self, slot: u32, tile: i64, values: Vec<Value>) {
        self.with_older.set(slot);
        self.older.insert((slot, tile), Some(values));
    }

    /// True if a slot's tile has changed.
    pub(super) fn has(&self, slot: u32, tile: i64, newest: i64) -> bool {
        (tile == newest && self.newest.has(slot))
            || (self.with_older.has(slot) && self.older.contains_key(&(slot, tile)))
    }

    /// Forgets the changes of a slot.
    pub(super) fn forget(&mut self, slot: u32) {
        self.newest.clear(slot);
        if self.with_older.has(slot) {
            // A scan of all entries is acceptable: changes are taken before a slot is given to another entity, so it is
            // rare.
            self.with_older.clear(slot);
            self.older.retain(|place, _| place.0 != slot);
        }
    }
}

/// A set of slots.
#[derive(Debug, Default)]
struct SlotBits(Vec<u64>);

impl SlotBits {
    fn grow(&mut self, slots: usize) {
        self.0.resize(slots.div_ceil(BITS_PER_WORD), 0);
    }

    #[inline]
    fn has(&self, slot: u32) -> bool {
        self.0[slot as usize / BITS_PER_WORD] >> (slot as usize % BITS_PER_WORD) & 1 != 0
    }

    #[inline]
    fn set(&mut self, slot: u32) {
        self.0[slot as usize / BITS_PER_WORD] |= 1 << (slot as usize % BITS_PER_WORD);
    }

    fn clear(&mut self, slot: u32) {
        self.0[slot as usize / BITS_PER_WORD] &= !(1 << (slot as usize % BITS_PER_WORD));
    }

    /// Takes the slots of the set, ascending, and clears it.
    fn take(&mut self) -> Vec<u32> {
        let mut slots = Vec::new();
        for (index, word) in self.0.iter_mut().enumerate() {
            let mut bits = std::mem::take(word);
            while bits != 0 {
                slots.push((index * BITS_PER_WORD) as u32 + bits.trailing_zeros());
                bits &= bits - 1;
            }
        }
        slots
    }
}

impl Windows {
    /// Starts to track changed buckets, for [`Windows::take_changed`]. The view must have tiles.
    pub fn note_changes(&mut self) {
        let mut changes = Changes::default();
        changes.grow(self.tiles.len());
        self.changes = Some(changes);
    }

    /// The buckets that changed since the last call, with their slots, in any order. A bucket that was dropped after
    /// its change has its last values. Loading a window is no change.
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
    fn forgetting_a_slot_keeps_the_changes_of_others() {
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
