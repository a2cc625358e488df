//! The compiled shape of a view: its window in tiles, and the place of each measure's accumulator.

use std::ops::Range;

use xxhash_rust::xxh3::Xxh3;

use super::aggregates::{AggregateKernel, TileBounds};
use super::definition::{ViewDef, ViewError};
use super::window_kind::{Tiling, WindowKind};
use crate::event_time::MAX_EVENT_TIME_MS;
use crate::span::Span;
use crate::types::Type;

/// The compiled shape of a view.
#[derive(Clone, Debug)]
pub struct Layout {
    pub(super) measures: Vec<Accumulator>,
    /// The accumulators of no events.
    pub(super) identity: Vec<u64>,
    window: WindowKind,
    /// The tiles of the window; `None` for a view over all time. Computed once, because the fold reads it per event.
    tiling: Option<Tiling>,
    fingerprint: u64,
}

/// A measure's accumulator.
#[derive(Clone, Debug)]
pub(super) struct Accumulator {
    pub(super) kernel: AggregateKernel,
    /// The index of its first word in a tile's accumulators.
    pub(super) at: usize,
    pub(super) argument: Option<Type>,
    pub(super) result: Type,
}

impl Layout {
    /// Compiles a view for a stream with this `lateness`. `arguments` has the type of each measure's argument (`None`
    /// for `count()`).
    ///
    /// The length of a tile is `over / tiles`, rounded up to a whole millisecond; that of a tumbling view's bucket is
    /// `every`.
    ///
    /// # Errors
    /// The definition is not valid, or a measure does not take its argument.
    pub fn compile(view: &ViewDef, arguments: &[Option<Type>], lateness: Span) -> Result<Self, ViewError> {
        view.check()?;
        let names = &view.measures.0;
        if names.len() != arguments.len() {
            return Err(ViewError::ArgumentCount { expected: names.len(), found: arguments.len() });
        }
        let mut measures = Vec::with_capacity(names.len());
        let mut identity = Vec::new();
        for ((name, measure), argument) in names.iter().zip(arguments) {
            let (kernel, result) = measure
                .aggregate
                .select_kernel(argument.as_ref())
                .map_err(|why| ViewError::Argument { name: name.clone(), why })?;
            measures.push(Accumulator { kernel, at: identity.len(), argument: argument.clone(), result });
            identity.extend_from_slice(kernel.identity());
        }
        let window = view.window()?;
        let tiling = window.tiling(lateness);
        let fingerprint = fingerprint(view, arguments, tiling);
        Ok(Self { measures, identity, window, tiling, fingerprint })
    }

    /// A hash of everything that decides the meaning of a window's content. Saved windows can be loaded only into a
    /// layout with the same fingerprint. Names of the view and of its measures are not part of it, so they can be
    /// changed without losing the windows.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The window.
    pub fn window(&self) -> WindowKind {
        self.window
    }

    /// The types of the measures' results.
    pub fn result_types(&self) -> impl Iterator<Item = &Type> {
        self.measures.iter().map(|measure| &measure.result)
    }

    /// The begin and the end (exclusive) of the bucket of a time, in ms since 1970; none for a view over all time.
    pub fn bucket_of(&self, time: i64) -> Option<Range<i64>> {
        self.tiling.map(|_| self.span_of(self.tile_of(Self::bounded(time), 0)))
    }

    /// The earliest time whose value is known when the newest event has the time `newest` and older tiles may have been
    /// dropped. The values of all later times are known, too. A value is known if all tiles that it covers are kept. A view over all time has one tile
    /// with all events up to the newest.
    pub fn known_since(&self, newest: i64) -> i64 {
        let Some(tiling) = self.tiling else { return newest };
        self.begin_of(self.kept_from(self.tile_of(Self::bounded(newest), 0)) + tiling.tiles - 1)
    }

    /// True if the view has tiles. A view over all time has only tile 0.
    pub(super) fn has_tiles(&self) -> bool {
        self.tiling.is_some()
    }

    /// The number of words of a tile's running merge. A window of one tile needs none.
    #[inline]
    pub(super) fn running_words(&self) -> usize {
        if self.tiling.is_some_and(|tiling| tiling.tiles > 1) { self.identity.len() } else { 0 }
    }

    /// The number of words in the record of an older tile: the tile's number, its accumulators, the running merge.
    #[inline]
    pub(super) fn record_words(&self) -> usize {
        1 + self.identity.len() + self.running_words()
    }

    /// Merges the accumulators of newer tiles into those of older ones.
    #[inline]
    pub(super) fn merge(&self, into: &mut [u64], newer: &[u64]) {
        for measure in &self.measures {
            measure.kernel.merge(&mut into[measure.at..], &newer[measure.at..]);
        }
    }

    /// Clamps a time to the bounds of event times.
    #[inline]
    pub(super) fn bounded(time: i64) -> i64 {
        time.clamp(-MAX_EVENT_TIME_MS, MAX_EVENT_TIME_MS)
    }

    /// The tile of a bounded time. `near` is a guess, which avoids the division if it is right.
    #[inline]
    pub(super) fn tile_of(&self, time: i64, near: i64) -> i64 {
        match self.tiling {
            None => 0,
            Some(Tiling { width, .. }) => {
                let into = time - near * width;
                if (0..width).contains(&into) { near } else { time.div_euclid(width) }
            }
        }
    }

    /// True if a time is in a tile.
    #[inline]
    pub(super) fn is_in(&self, time: i64, tile: i64) -> bool {
        self.tiling.is_none_or(|tiling| (0..tiling.width).contains(&time.wrapping_sub(tile * tiling.width)))
    }

    /// The time at which a tile begins; 0 for a view over all time.
    pub(super) fn begin_of(&self, tile: i64) -> i64 {
        self.tiling.map_or(0, |tiling| tile.saturating_mul(tiling.width))
    }

    /// The begin and the end of a tile, in ms since 1970.
    pub(super) fn span_of(&self, tile: i64) -> Range<i64> {
        self.begin_of(tile)..self.begin_of(tile.saturating_add(1))
    }

    /// The bounds on the times of events in a tile of a window whose newest event has the time `newest`.
    pub(super) fn bounds_of(&self, tile: i64, newest: i64) -> TileBounds {
        let begin = self.begin_of(tile);
        if self.tiling.is_none() {
            return TileBounds { begin, earliest: -MAX_EVENT_TIME_MS, latest: newest };
        }
        let end = self.begin_of(tile.saturating_add(1));
        TileBounds { begin, earliest: begin.max(-MAX_EVENT_TIME_MS), latest: newest.min(end.saturating_sub(1)) }
    }

    /// The oldest tile that a value at a tile covers.
    #[inline]
    pub(super) fn covered_from(&self, tile: i64) -> i64 {
        self.tiling.map_or(tile, |tiling| tile - tiling.tiles + 1)
    }

    /// The first tile of a tile's block. A block has as many tiles as a value covers.
    #[inline]
    pub(super) fn block_of(&self, tile: i64) -> i64 {
        self.tiling.map_or(tile, |tiling| tile - tile.rem_euclid(tiling.tiles))
    }

    /// True if a tile is in the block directly before the one that begins at `block`.
    #[inline]
    pub(super) fn is_block_before(&self, tile: i64, block: i64) -> bool {
        tile < block && self.tiling.is_some_and(|tiling| tile >= block - tiling.tiles)
    }

    /// The oldest tile that is kept when `newest` is the newest tile.
    #[inline]
    pub(super) fn kept_from(&self, newest: i64) -> i64 {
        self.tiling.map_or(newest, |tiling| newest - tiling.kept + 1)
    }
}

/// Hashes the expressions, functions, types and the window. Each part is preceded by its length, so that parts cannot
/// run together.
fn fingerprint(view: &ViewDef, arguments: &[Option<Type>], tiling: Option<Tiling>) -> u64 {
    let mut hash = Xxh3::new();
    let mut part = |text: &str| {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    part(&view.stream);
    view.by.iter().for_each(|expression| part(expression));
    part(view.when.as_deref().unwrap_or_default());
    for ((_, measure), argument) in view.measures.0.iter().zip(arguments) {
        part(&measure.to_string());
        part(&argument.as_ref().map(Type::to_string).unwrap_or_default());
    }
    if let Some(Tiling { width, tiles, kept }) = tiling {
        part(&format!("{width} {tiles} {kept}"));
    }
    hash.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIEW: &str = "{view: v, stream: s, by: [a], measures: {n: count(), x: sum(x)}, over: 1h}";

    fn compile(text: &str, lateness: u64) -> Layout {
        let view = serde_saphyr::from_str(text).unwrap();
        Layout::compile(&view, &[None, Some(Type::Double)], Span(lateness)).unwrap()
    }

    #[test]
    fn tiles_are_counted_from_the_epoch_also_before_it() {
        let layout = compile(VIEW, 90_000);
        for (time, tile) in [(0, 0), (59_999, 0), (60_000, 1), (-1, -1), (-60_000, -1), (-60_001, -2)] {
            for near in [0, tile, tile + 1, 1 << 44, -1 << 44] {
                assert_eq!(layout.tile_of(time, near), tile, "{time}");
            }
        }
        assert_eq!(layout.covered_from(100), 41);
        assert_eq!(layout.kept_from(100), 39);
        assert_eq!([119, 120, 0, -1].map(|tile| layout.block_of(tile)), [60, 120, 0, -60]);
    }

    #[test]
    fn buckets_are_counted_from_the_epoch_and_kept_by_their_number() {
        let hour = 3_600_000;
        let layout = compile(&VIEW.replace("over: 1h", "every: 1h, keep: 150m"), 10 * hour as u64);
        assert_eq!([-1, 0, hour - 1, hour].map(|time| layout.bucket_of(time).unwrap().start / hour), [-1, 0, 0, 1]);
        assert_eq!(layout.bucket_of(7 * hour + 5), Some(7 * hour..8 * hour));
        assert_eq!(layout.known_since(7 * hour + 5), 5 * hour, "three buckets, whatever the stream's lateness");
        assert_eq!((layout.covered_from(7), layout.block_of(7), layout.record_words()), (7, 7, 3));
        let all_time = compile(&VIEW.replace(", over: 1h", ""), 0);
        assert_eq!((all_time.bucket_of(5), all_time.known_since(5)), (None, 5));
        assert_eq!(compile(VIEW, 0).record_words(), 5);
    }

    #[test]
    fn values_of_older_times_are_known_as_far_as_lateness_reaches() {
        let minute = 60_000;
        for (lateness, minutes) in [(0, 0), (1, 1), (minute, 1), (5 * minute + 1, 6)] {
            let known = compile(VIEW, lateness as u64).known_since(100 * minute + 7);
            assert_eq!(known, (100 - minutes) * minute, "{lateness}");
        }
    }

    #[test]
    fn tiles_are_exact_up_to_the_bounds_of_event_times() {
        let widest = VIEW.replace("over: 1h", "over: 36500d, tiles: 1");
        let finest = VIEW.replace("over: 1h", "over: 1440ms, tiles: 1440");
        for layout in [&widest, &finest].map(|text| compile(text, Span::MAX.0)) {
            for time in [-MAX_EVENT_TIME_MS, MAX_EVENT_TIME_MS] {
                let tile = layout.tile_of(time, 0);
                assert!(layout.span_of(tile).contains(&time));
                assert!(layout.known_since(time) <= time && layout.span_of(layout.kept_from(tile)).start < time);
            }
        }
    }

    #[test]
    fn the_length_of_a_tile_is_rounded_up() {
        let layout = compile(&VIEW.replace("1h", "1s"), 0);
        assert_eq!((layout.tile_of(16, 0), layout.tile_of(17, 0)), (0, 1));
    }

    #[test]
    fn the_fingerprint_depends_on_the_meaning_of_the_content_and_not_on_names() {
        let fingerprint = |text: &str| compile(text, 0).fingerprint();
        let same = fingerprint(VIEW);
        assert_eq!(fingerprint(&VIEW.replace("{n:", "{m:").replace("view: v", "view: w")), same);
        for (from, to) in [("1h", "2h"), ("sum(x)", "sum(y)"), ("sum", "avg"), ("[a]", "[b]"), ("over: 1h", "when: a")]
        {
            assert_ne!(fingerprint(&VIEW.replace(from, to)), same, "{from} {to}");
        }
        assert_ne!(compile(VIEW, 60_000).fingerprint(), same);
        let tumbling = |keep: &str| VIEW.replace("over: 1h", &format!("every: 1h, keep: {keep}"));
        assert_ne!(fingerprint(&tumbling("2d")), fingerprint(&tumbling("3d")));
        assert_eq!(fingerprint(&tumbling("2d")), compile(&tumbling("2d"), 60_000).fingerprint());
    }
}
