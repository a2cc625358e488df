//! The windows of one view for many entities, in one arena addressed by slot.

use super::changes::Changes;
use super::layout::Layout;
use super::texts::TextArena;
use super::tiles::Tiles;
use super::window::{Window, clear_head, head_words};
use super::window_mut::WindowMut;
use crate::types::Type;
use crate::value::Value;

/// The number of words in a cache line.
const CACHE_LINE_WORDS: usize = 8;
/// The initial number of windows.
const MIN_SLOTS: usize = 64;

/// The windows of a view, one per slot. The caller maps entities to slots. Slots are dense and reused.
///
/// An entity's window depends only on the entity's own counted events and their order. It does not depend on other
/// entities, on the boundaries of batches, or on saving and loading in between.
#[derive(Debug)]
pub struct Windows {
    pub(super) layout: Layout,
    /// A head of fixed size per slot, which has all that nearly every event needs.
    heads: Vec<u64>,
    /// The begin of the first head, chosen so that heads are aligned to cache lines.
    aligned: usize,
    pub(super) tiles: Vec<Tiles>,
    pub(super) texts: TextArena,
    /// The changed buckets, if they are tracked.
    pub(super) changes: Option<Changes>,
}

/// The error for a time whose value is unknown, because some tiles that it covers are not kept any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotKept {
    /// The earliest time whose value is known, in ms since 1970. The values of all later times are known, too.
    pub from: i64,
}

/// The values of a view for an entity.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The time of the newest counted event, in ms since 1970; `None` before the first.
    pub as_of: Option<i64>,
    /// The measures' values, in the order of the definition.
    pub values: Vec<Value>,
}

impl Windows {
    /// An arena without windows.
    pub fn new(layout: Layout) -> Self {
        Self { layout, heads: Vec::new(), aligned: 0, tiles: Vec::new(), texts: TextArena::default(), changes: None }
    }

    /// The shape of the windows.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Forgets the events of a slot.
    pub fn reset(&mut self, slot: u32) {
        if slot as usize >= self.tiles.len() {
            return;
        }
        // The memory of an evicted entity's tiles is freed, because the next entity in the slot may be small.
        let tiles = std::mem::take(&mut self.tiles[slot as usize]);
        let (mut window, texts, changes) = self.window_mut(slot);
        if let Some(changes) = changes {
            changes.forget(slot);
        }
        for record in tiles.records().chunks_exact(window.layout.record_words()) {
            free_texts(window.layout, &record[1..], texts);
        }
        free_texts(window.layout, window.newest_mut(), texts);
        clear_head(window.head, window.layout);
    }

    /// The time of the newest counted event of a slot's entity, in ms since 1970; none before the first.
    pub fn newest_time(&self, slot: u32) -> Option<i64> {
        if (slot as usize) < self.tiles.len() { self.window(slot).newest_time() } else { None }
    }

    /// The values of a slot's entity at the time of its newest event. A slot without events has the values of no
    /// events.
    pub fn newest_value(&self, slot: u32) -> Snapshot {
        self.value(slot, self.newest_time(slot))
    }

    /// The values of a slot's entity at a time in ms since 1970, within [`MAX_EVENT_TIME_MS`] of it. An entity all of
    /// whose events are in kept tiles has values at all times.
    ///
    /// # Errors
    /// Some tiles that the value covers are not kept any more.
    ///
    /// [`MAX_EVENT_TIME_MS`]: crate::event_time::MAX_EVENT_TIME_MS
    pub fn value_at(&self, slot: u32, at: i64) -> Result<Snapshot, NotKept> {
        match self.known_since(slot) {
            Some(from) if at < from => Err(NotKept { from }),
            _ => Ok(self.value(slot, Some(at))),
        }
    }

    /// The earliest time whose value is known; none if those of all times are.
    fn known_since(&self, slot: u32) -> Option<i64> {
        let newest = self.newest_time(slot)?;
        let is_partial = !self.layout.has_tiles() || self.tiles[slot as usize].has_lost();
        is_partial.then(|| self.layout.known_since(newest))
    }

    /// The values at a known time; `at` is none for a slot without events.
    fn value(&self, slot: u32, at: Option<i64>) -> Snapshot {
        let mut cells = self.layout.identity.clone();
        let as_of = self.newest_time(slot);
        if let (Some(at), true) = (at, as_of.is_some()) {
            let window = self.window(slot);
            window.merge_at(self.layout.tile_of(Layout::bounded(at), window.newest_tile()), &mut cells);
        }
        Snapshot { as_of, values: values_of(&self.layout, &cells, &self.texts) }
    }

    /// Makes room for slots below `slots`.
    pub(super) fn grow(&mut self, slots: usize) {
        if slots <= self.tiles.len() {
            return;
        }
        let slots = slots.next_power_of_two().max(MIN_SLOTS);
        let words = head_words(&self.layout);
        let mut heads = vec![0; slots * words + CACHE_LINE_WORDS];
        let aligned = heads.as_ptr().align_offset(CACHE_LINE_WORDS * size_of::<u64>()).min(CACHE_LINE_WORDS);
        let before = self.tiles.len() * words;
        heads[aligned..aligned + before].copy_from_slice(&self.heads[self.aligned..self.aligned + before]);
        for head in heads[aligned + before..].chunks_exact_mut(words).take(slots - self.tiles.len()) {
            clear_head(head, &self.layout);
        }
        self.heads = heads;
        self.aligned = aligned;
        self.tiles.resize_with(slots, Tiles::default);
        if let Some(changes) = &mut self.changes {
            changes.grow(slots);
        }
    }

    /// The head of a slot below the number of slots.
    #[inline]
    pub(super) fn head(&self, slot: u32) -> &[u64] {
        &self.heads[self.head_range(slot)]
    }

    #[inline]
    fn head_range(&self, slot: u32) -> std::ops::Range<usize> {
        let words = head_words(&self.layout);
        let from = self.aligned + slot as usize * words;
        from..from + words
    }

    /// The window of a slot below the number of slots, for reading.
    pub(super) fn window(&self, slot: u32) -> Window<'_> {
        Window { layout: &self.layout, head: self.head(slot), tiles: &self.tiles[slot as usize] }
    }

    /// The window of a slot below the number of slots, for changing, with the arena of texts and the tracked changes.
    #[inline]
    pub(super) fn window_mut(&mut self, slot: u32) -> (WindowMut<'_>, &mut TextArena, Option<&mut Changes>) {
        let range = self.head_range(slot);
        let window =
            WindowMut { layout: &self.layout, head: &mut self.heads[range], tiles: &mut self.tiles[slot as usize] };
        (window, &mut self.texts, self.changes.as_mut())
    }
}

/// The values of the measures from the accumulators of a tile, or of several tiles merged.
pub(super) fn values_of(layout: &Layout, cells: &[u64], texts: &TextArena) -> Vec<Value> {
    let value =
        |measure: &super::layout::Accumulator| match (measure.kernel.result(&cells[measure.at..]), &measure.result) {
            (None, _) => Value::Null,
            (Some(word), Type::Bool) => Value::Bool(word != 0),
            (Some(word), Type::Double) => Value::Double(f64::from_bits(word)),
            (Some(word), Type::Timestamp) => Value::Timestamp(word as i64),
            (Some(word), Type::Text) => Value::Text(texts.get(word, &mut [0; 8]).to_owned()),
            (Some(word), _) => Value::Int(word as i64),
        };
    layout.measures.iter().map(value).collect()
}

/// Frees the content of variable size of a tile's accumulators.
pub(super) fn free_texts(layout: &Layout, cells: &[u64], texts: &mut TextArena) {
    for measure in &layout.measures {
        measure.kernel.free(&cells[measure.at..], texts);
    }
}
