//! The windows of one view for many entities, in one arena addressed by slot.

use super::changes::Changes;
use super::layout::Layout;
use super::texts::Texts;
use super::tiles::Tiles;
use super::window::{Window, WindowMut, clear, head_words};
use crate::types::Type;
use crate::value::Value;

/// Words of a cache line.
const LINE: usize = 8;
/// Room for so many windows is made at first.
const FEWEST_SLOTS: usize = 64;

/// The windows of a view, one for each slot. The caller maps entities to slots; slots are dense and used again.
///
/// An entity's window depends on the entity's own counted events and their order alone: not on other entities, on how
/// events were cut into batches, or on whether it was saved and loaded between.
#[derive(Debug)]
pub struct Windows {
    pub(super) layout: Layout,
    /// A head of fixed size for each slot: what nearly every event needs, and all that it needs.
    heads: Vec<u64>,
    /// Where the first head begins, so that heads begin where cache lines do.
    aligned: usize,
    pub(super) tiles: Vec<Tiles>,
    pub(super) texts: Texts,
    /// Which buckets change, if that is noted.
    pub(super) changes: Option<Changes>,
}

/// A time whose value cannot be given: some of what it covers is not kept any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotKept {
    /// The earliest time whose value can be given, in ms since 1970. So can that of every later time.
    pub from: i64,
}

/// What a view says of an entity.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The time of the newest event that was counted, in ms since 1970; `None` before the first.
    pub as_of: Option<i64>,
    /// The measures' values, in the order of the definition.
    pub values: Vec<Value>,
}

impl Windows {
    /// No windows yet.
    pub fn new(layout: Layout) -> Self {
        Self { layout, heads: Vec::new(), aligned: 0, tiles: Vec::new(), texts: Texts::default(), changes: None }
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
        // An evicted entity's room goes back: the next one in the slot may be small.
        let tiles = std::mem::take(&mut self.tiles[slot as usize]);
        let (mut window, texts, changes) = self.window_mut(slot);
        if let Some(changes) = changes {
            changes.forget(slot);
        }
        for record in tiles.records().chunks_exact(window.layout.record_words()) {
            free_texts(window.layout, &record[1..], texts);
        }
        free_texts(window.layout, window.newest_mut(), texts);
        clear(window.head, window.layout);
    }

    /// The time of the newest event of a slot's entity that was counted, in ms since 1970; none before the first.
    pub fn newest_time(&self, slot: u32) -> Option<i64> {
        if (slot as usize) < self.tiles.len() { self.window(slot).newest_time() } else { None }
    }

    /// The values of a slot's entity at the time of its newest event. A slot that saw no event gives the values
    /// of no events.
    pub fn newest_value(&self, slot: u32) -> Snapshot {
        self.value(slot, self.newest_time(slot))
    }

    /// The values of a slot's entity at a time in ms since 1970, within [`MAX_EVENT_TIME_MS`] of it.
    ///
    /// # Errors
    /// Some of what the value covers is not kept any more.
    ///
    /// [`MAX_EVENT_TIME_MS`]: crate::event_time::MAX_EVENT_TIME_MS
    pub fn value_at(&self, slot: u32, at: i64) -> Result<Snapshot, NotKept> {
        match self.newest_time(slot).map(|newest| self.layout.known_since(newest)) {
            Some(from) if at < from => Err(NotKept { from }),
            _ => Ok(self.value(slot, Some(at))),
        }
    }

    /// The values at a time that is known; none: the slot saw no event.
    fn value(&self, slot: u32, at: Option<i64>) -> Snapshot {
        let mut cells = self.layout.identity.clone();
        let as_of = self.newest_time(slot);
        if let (Some(at), true) = (at, as_of.is_some()) {
            let window = self.window(slot);
            window.merge_at(self.layout.tile_of(Layout::bounded(at), window.newest_tile()), &mut cells);
        }
        Snapshot { as_of, values: values_of(&self.layout, &cells, &self.texts) }
    }

    /// Makes room for slots below some number.
    pub(super) fn grow(&mut self, slots: usize) {
        if slots <= self.tiles.len() {
            return;
        }
        let slots = slots.next_power_of_two().max(FEWEST_SLOTS);
        let words = head_words(&self.layout);
        let mut heads = vec![0; slots * words + LINE];
        let aligned = heads.as_ptr().align_offset(LINE * size_of::<u64>()).min(LINE);
        let before = self.tiles.len() * words;
        heads[aligned..aligned + before].copy_from_slice(&self.heads[self.aligned..self.aligned + before]);
        for head in heads[aligned + before..].chunks_exact_mut(words).take(slots - self.tiles.len()) {
            clear(head, &self.layout);
        }
        self.heads = heads;
        self.aligned = aligned;
        self.tiles.resize_with(slots, Tiles::default);
        if let Some(changes) = &mut self.changes {
            changes.grow(slots);
        }
    }

    /// A slot's head, which must have room.
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

    /// A slot's window, which must have room, to read.
    pub(super) fn window(&self, slot: u32) -> Window<'_> {
        Window { layout: &self.layout, head: self.head(slot), tiles: &self.tiles[slot as usize] }
    }

    /// A slot's window, which must have room, to change, with the texts and what is noted of changes.
    #[inline]
    pub(super) fn window_mut(&mut self, slot: u32) -> (WindowMut<'_>, &mut Texts, Option<&mut Changes>) {
        let range = self.head_range(slot);
        let window =
            WindowMut { layout: &self.layout, head: &mut self.heads[range], tiles: &mut self.tiles[slot as usize] };
        (window, &mut self.texts, self.changes.as_mut())
    }
}

/// The values of the measures by a tile's accumulators, or by a merge of several.
pub(super) fn values_of(layout: &Layout, cells: &[u64], texts: &Texts) -> Vec<Value> {
    let value = |measure: &super::layout::Cell| match (measure.kernel.result(&cells[measure.at..]), &measure.result) {
        (None, _) => Value::Null,
        (Some(word), Type::Bool) => Value::Bool(word != 0),
        (Some(word), Type::Double) => Value::Double(f64::from_bits(word)),
        (Some(word), Type::Timestamp) => Value::Timestamp(word as i64),
        (Some(word), Type::Text) => Value::Text(texts.get(word, &mut [0; 8]).to_owned()),
        (Some(word), _) => Value::Int(word as i64),
    };
    layout.measures.iter().map(value).collect()
}

/// Gives back the texts of a tile's accumulators.
pub(super) fn free_texts(layout: &Layout, cells: &[u64], texts: &mut Texts) {
    for measure in layout.measures.iter().filter(|measure| measure.result == Type::Text) {
        if let Some(word) = measure.kernel.result(&cells[measure.at..]) {
            texts.remove(word);
        }
    }
}
