//! The tiles of one entity that are older than its newest one: records of words, sorted by tile, in one allocation.
//!
//! A record has the tile's number, its accumulators, and a running merge of them with those of its neighbours (see
//! `window`). The running merge is derived, and absent if the window is one tile. Only tiles with events have a record.

/// The records of an entity.
#[derive(Clone, Debug, Default)]
pub(super) struct Tiles {
    words: Vec<u64>,
    /// The begin of the oldest record. Words before it are dropped records, whose space `push` reuses.
    start: usize,
    /// True if the entity has lost an event: its tile was dropped, or it came when its tile was not kept any more.
    has_lost: bool,
}

impl Tiles {
    /// All records, oldest first.
    #[inline]
    pub(super) fn records(&self) -> &[u64] {
        &self.words[self.start..]
    }

    /// All records, oldest first.
    #[inline]
    pub(super) fn records_mut(&mut self) -> &mut [u64] {
        &mut self.words[self.start..]
    }

    /// Adds a tile that is newer than all others.
    pub(super) fn push(&mut self, tile: i64, accumulators: &[u64], running: &[u64]) {
        let stride = 1 + accumulators.len() + running.len();
        if self.words.len() + stride > self.words.capacity() {
            self.words.copy_within(self.start.., 0);
            self.words.truncate(self.words.len() - self.start);
            self.start = 0;
            // The capacity grows by whole records, from two on: most entities have few tiles.
            if self.words.len() + stride > self.words.capacity() {
                self.words.reserve_exact(self.words.len().max(2 * stride));
            }
        }
        self.words.push(tile as u64);
        self.words.extend_from_slice(accumulators);
        self.words.extend_from_slice(running);
    }

    /// The accumulators of a tile. Inserts a record with `identity` if the tile has none. Records have `stride` words.
    pub(super) fn get_or_insert(&mut self, tile: i64, identity: &[u64], stride: usize) -> &mut [u64] {
        let cells = identity.len();
        let at = self.start + last_position(self.records(), tile, stride);
        if self.words.get(at) != Some(&(tile as u64)) {
            let end = self.words.len();
            self.words.resize(end + stride, 0);
            self.words.copy_within(at..end, at + stride);
            self.words[at] = tile as u64;
            for part in self.words[at + 1..at + stride].chunks_exact_mut(cells) {
                part.copy_from_slice(identity);
            }
        }
        &mut self.words[at + 1..at + 1 + cells]
    }

    /// True if the entity has events that no kept tile has. Then values of old times are unknown.
    pub(super) fn has_lost(&self) -> bool {
        self.has_lost
    }

    /// Notes that the entity has an event that no kept tile has.
    pub(super) fn note_lost(&mut self) {
        self.has_lost = true;
    }

    /// Drops the oldest record.
    pub(super) fn drop_first(&mut self, stride: usize) {
        self.has_lost = true;
        self.start += stride;
        if self.start >= self.words.len() {
            self.words.clear();
            self.start = 0;
        }
    }

    /// Reads the position of the records, which brings it into the processor's cache. The value has no meaning.
    #[inline]
    pub(super) fn touch_self(&self) -> u64 {
        self.start as u64
    }

    /// Reads the oldest and the newest record, which brings them into the processor's cache. The value has no meaning.
    #[inline]
    pub(super) fn touch_ends(&self) -> u64 {
        self.words.last().copied().unwrap_or_default() ^ self.words.get(self.start).copied().unwrap_or_default()
    }
}

/// The position of the first record from a tile on, by galloping from the oldest record: fast if it is near that.
#[inline]
pub(super) fn first_position(records: &[u64], tile: i64, stride: usize) -> usize {
    let len = records.len() / stride;
    let mut reach = 1;
    while reach < len && (records[(reach - 1) * stride] as i64) < tile {
        reach *= 2;
    }
    binary_search(records, tile, stride, reach / 2, reach.min(len))
}

/// The position of the first record from a tile on, by galloping from the newest record: fast if it is near that.
#[inline]
pub(super) fn last_position(records: &[u64], tile: i64, stride: usize) -> usize {
    let len = records.len() / stride;
    let mut reach = 1;
    while reach < len && (records[(len - reach) * stride] as i64) >= tile {
        reach *= 2;
    }
    binary_search(records, tile, stride, len - reach.min(len), len - reach / 2)
}

/// The position of the first record from a tile on, by binary search in `low..high`. Records before `low` are before
/// the tile, records from `high` on are not.
fn binary_search(records: &[u64], tile: i64, stride: usize, mut low: usize, mut high: usize) -> usize {
    while low < high {
        let middle = low.midpoint(high);
        if (records[middle * stride] as i64) < tile {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low * stride
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_stay_sorted_and_the_space_of_dropped_ones_is_reused() {
        let mut tiles = Tiles::default();
        for tile in [2, 7] {
            tiles.push(tile, &[tile as u64 * 10], &[1]);
        }
        tiles.get_or_insert(4, &[0], 3)[0] = 40;
        tiles.get_or_insert(7, &[0], 3)[0] = 71;
        tiles.get_or_insert(-9, &[0], 3)[0] = 90;
        assert_eq!(tiles.records(), [-9i64 as u64, 90, 0, 2, 20, 1, 4, 40, 0, 7, 71, 1]);
        tiles.drop_first(3);
        tiles.drop_first(3);
        assert_eq!(tiles.records(), [4, 40, 0, 7, 71, 1]);
        let capacity = tiles.words.capacity();
        for tile in 8..1000 {
            tiles.push(tile, &[0], &[0]);
            tiles.drop_first(3);
        }
        assert_eq!(tiles.records(), [998, 0, 0, 999, 0, 0]);
        assert_eq!(tiles.words.capacity(), capacity);
        tiles.drop_first(3);
        tiles.drop_first(3);
        assert!(tiles.records().is_empty());
    }

    #[test]
    fn records_without_a_running_merge_are_shorter() {
        let mut tiles = Tiles::default();
        tiles.push(2, &[20, 21], &[]);
        tiles.get_or_insert(1, &[8, 9], 3)[0] = 10;
        assert_eq!(tiles.records(), [1, 10, 9, 2, 20, 21]);
        tiles.drop_first(3);
        assert_eq!(tiles.records(), [2, 20, 21]);
    }

    #[test]
    fn both_searches_find_the_first_record_from_a_tile_on() {
        for len in 0..20i64 {
            let records: Vec<u64> = (0..len).map(|place| place as u64 * 2).collect();
            for tile in -2..2 * len + 2 {
                let expected = records.iter().filter(|record| (**record as i64) < tile).count();
                assert_eq!(first_position(&records, tile, 1), expected, "{len} {tile}");
                assert_eq!(last_position(&records, tile, 1), expected, "{len} {tile}");
            }
        }
    }
}
