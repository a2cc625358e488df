//! The buckets of a tumbling view that are kept for an entity, each with its own values.

use super::layout::Layout;
use super::windows::{Windows, values_of};
use crate::time_range::TimeRange;
use crate::value::Value;

/// A bucket of a tumbling view: the values of an entity in a span of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Bucket {
    /// The begin, in ms since 1970.
    pub from: i64,
    /// The end, exclusive, in ms since 1970.
    pub to: i64,
    /// The measures' values, in the order of the definition.
    pub values: Vec<Value>,
}

impl Bucket {
    pub(super) fn new(layout: &Layout, tile: i64, values: Vec<Value>) -> Self {
        let span = layout.span_of(tile);
        Self { from: span.start, to: span.end, values }
    }
}

impl Windows {
    /// The kept buckets of a slot's entity that have events and overlap a range of times, oldest first. Empty for a
    /// view over all time.
    pub fn buckets(&self, slot: u32, times: TimeRange) -> Vec<Bucket> {
        let Some((earliest, latest)) = times.bounds() else { return Vec::new() };
        if slot as usize >= self.tiles.len() || !self.layout.has_tiles() {
            return Vec::new();
        }
        let kept = self.window(slot).kept().map(|(tile, cells)| (self.layout.span_of(tile), tile, cells));
        let wanted = kept.filter(|(span, ..)| span.end > earliest && span.start <= latest);
        wanted
            .map(|(_, tile, cells)| Bucket::new(&self.layout, tile, values_of(&self.layout, cells, &self.texts)))
            .collect()
    }
}
