//! Saves a window as bytes and loads it, exact to the bit. Derived values (running merges) are not saved.
//!
//! ```text
//! version (2 if all events of the entity are in these tiles, otherwise 1), number of tiles as varint; when there are any:
//! time of the newest event (signed), number of the newest tile minus that of the oldest
//! for each tile, oldest first: its number minus that of the tile before (not for the oldest), its accumulators
//! accumulators: as the kernels in `aggregates` write them
//! ```
//!
//! The reader must have a layout with the same fingerprint. The caller stores the fingerprint beside the bytes.

use super::aggregates::{LoadScope, SaveScope};
use super::bytes::{CorruptWindow, WindowReader};
use super::layout::Layout;
use super::windows::Windows;
use crate::wire::{put_signed, put_varint};

/// The version of a window whose entity may have events that no kept tile has. Windows that were saved by programs that
/// did not note this have it, too.
const VERSION_PARTIAL: u8 = 1;
/// The version of a window whose tiles have all events of the entity.
const VERSION_COMPLETE: u8 = 2;
impl Windows {
    /// Appends a slot's window to `out`.
    pub fn save(&self, slot: u32, out: &mut Vec<u8>) {
        let in_arena = (slot as usize) < self.tiles.len();
        let Some((window, time)) =
            in_arena.then(|| self.window(slot)).and_then(|window| Some((window, window.newest_time()?)))
        else {
            out.push(VERSION_PARTIAL);
            return put_varint(out, 0);
        };
        out.push(if window.tiles.has_lost() { VERSION_PARTIAL } else { VERSION_COMPLETE });
        let records = window.tiles.records();
        let newest = window.newest_tile();
        let mut before = records.first().map_or(newest, |tile| *tile as i64);
        put_varint(out, (records.len() / self.layout.record_words()) as u64 + 1);
        put_signed(out, time);
        put_varint(out, newest.abs_diff(before));
        for (place, (tile, cells)) in window.kept().enumerate() {
            if place > 0 {
                put_varint(out, tile.abs_diff(before));
            }
            before = tile;
            let begin = self.layout.begin_of(tile);
            for measure in &self.layout.measures {
                let scope = SaveScope { begin, ty: &measure.result, texts: &self.texts };
                measure.kernel.save(&cells[measure.at..], &scope, out);
            }
        }
    }

    /// Replaces a slot's window by a saved one.
    ///
    /// # Errors
    /// The bytes are not exactly those that `save` writes for this layout. The slot is then empty.
    pub fn load(&mut self, slot: u32, bytes: &[u8]) -> Result<(), CorruptWindow> {
        self.grow(slot as usize + 1);
        self.reset(slot);
        let loaded = self.read_window(slot, &mut WindowReader::new(bytes));
        if loaded.is_err() {
            self.reset(slot);
        }
        loaded
    }

    /// Reads a window into an empty slot.
    fn read_window(&mut self, slot: u32, reader: &mut WindowReader<'_>) -> Result<(), CorruptWindow> {
        let version = reader.byte()?;
        let is_complete = version == VERSION_COMPLETE;
        reader.require(is_complete || version == VERSION_PARTIAL, "the version of the format is not known")?;
        let tiles = reader.unsigned()?;
        if tiles == 0 {
            reader.require(!is_complete, "a window without events has the wrong version")?;
            return reader.end();
        }
        let (mut window, texts, _) = self.window_mut(slot);
        if !is_complete {
            window.restore_lost();
        }
        let layout = window.layout;
        let time = reader.signed()?;
        reader.require(time == Layout::bounded(time), "a time is out of bounds")?;
        let newest = layout.tile_of(time, 0);
        let kept = newest.abs_diff(layout.kept_from(newest));
        let span = reader.unsigned()?;
        reader.require(span <= kept, "the oldest tile is not kept any more")?;
        window.restore_newest(time, newest);
        // The span is at most the number of kept tiles, so it fits an i64.
        let mut tile = newest - span as i64;
        for place in 0..tiles {
            if place > 0 {
                let step = reader.unsigned()?;
                reader.require(step > 0 && step <= newest.abs_diff(tile), "the tiles are not in order")?;
                tile += step as i64;
            }
            reader.require((tile == newest) == (place + 1 == tiles), "the number of tiles is wrong")?;
            let cells = if tile == newest { window.newest_mut() } else { window.older_mut(tile) };
            let bounds = layout.bounds_of(tile, time);
            for measure in &layout.measures {
                let mut scope = LoadScope { bounds, ty: &measure.result, texts };
                measure.kernel.load(&mut cells[measure.at..], &mut scope, reader)?;
            }
        }
        window.restore_derived();
        reader.end()
    }
}
