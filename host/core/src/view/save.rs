//! Saves a window as bytes and loads it, exact to the bit. Derived values (running merges) are not saved.
//!
//! ```text
//! version (2 if all events of the entity are in these tiles, otherwise 1), number of tiles as varint; when there are any:
//! time of the newest event (signed), number of the newest tile minus that of the oldest
//! for each tile, oldest first: its number minus that of the tile before (not for the oldest), its accumulators
//! accumulators: count: unsigned; sum of ints: signed; doubles: 8 bytes, low first; avg: sum, count;
//!   min and max of ints: flag, signed; last: flag, time since the tile's begin (signed), value
//! ```
//!
//! The reader must have a layout with the same fingerprint. The caller stores the fingerprint beside the bytes.

use super::bytes::WindowReader;
use super::kernel::AggregateKernel;
use super::layout::{Accumulator, Layout};
use super::texts::{MAX_TEXT_BYTES, TextArena};
use super::windows::Windows;
use crate::types::Type;
use crate::wire::{put_signed, put_varint};

/// The version of a window whose entity may have events that no kept tile has. Windows that were saved by programs that
/// did not note this have it, too.
const VERSION_PARTIAL: u8 = 1;
/// The version of a window whose tiles have all events of the entity.
const VERSION_COMPLETE: u8 = 2;
/// The bound on counts, far more events than an entity can have. It keeps sums of counts from overflowing.
const MAX_COUNT: u64 = 1 << 48;

/// Bytes that are no saved window of this layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a saved window is corrupt at byte {at}: {why}")]
pub struct CorruptWindow {
    /// The byte at which reading stopped.
    pub at: usize,
    /// The mistake.
    pub why: &'static str,
}

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
                put_accumulator(measure, &cells[measure.at..], begin, &self.texts, out);
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
            for measure in &layout.measures {
                let bounds = TileBounds { layout, tile, newest: time };
                read_accumulator(measure, &mut cells[measure.at..], bounds, texts, reader)?;
            }
        }
        window.restore_derived();
        reader.end()
    }
}

/// The bounds on a saved time: it must be in its tile and not later than the window's newest time.
#[derive(Clone, Copy)]
struct TileBounds<'a> {
    layout: &'a Layout,
    tile: i64,
    newest: i64,
}

impl TileBounds<'_> {
    /// Reads a time and checks that it is in the tile.
    fn read_time(self, reader: &mut WindowReader<'_>) -> Result<i64, CorruptWindow> {
        let time = self.layout.begin_of(self.tile).saturating_add(reader.signed()?);
        let fits =
            time == Layout::bounded(time) && time <= self.newest && self.layout.tile_of(time, self.tile) == self.tile;
        reader.require(fits, "a time does not lie in its tile")?;
        Ok(time)
    }
}

/// Writes an accumulator of a tile that begins at `begin`.
fn put_accumulator(measure: &Accumulator, cell: &[u64], begin: i64, texts: &TextArena, out: &mut Vec<u8>) {
    match measure.kernel {
        AggregateKernel::Count => put_varint(out, cell[0]),
        AggregateKernel::SumInt => put_signed(out, cell[0] as i64),
        AggregateKernel::SumDouble | AggregateKernel::MinDouble | AggregateKernel::MaxDouble => {
            out.extend_from_slice(&cell[0].to_le_bytes())
        }
        AggregateKernel::AverageInt | AggregateKernel::AverageDouble => {
            out.extend_from_slice(&cell[0].to_le_bytes());
            put_varint(out, cell[1]);
        }
        AggregateKernel::MinInt | AggregateKernel::MaxInt => {
            out.push(u8::from(cell[1] != 0));
            if cell[1] != 0 {
                put_signed(out, cell[0] as i64);
            }
        }
        AggregateKernel::Last | AggregateKernel::LastText => {
            let value = measure.kernel.result(cell);
            out.push(u8::from(value.is_some()));
            let Some(value) = value else { return };
            put_signed(out, cell[0] as i64 - begin);
            match measure.result {
                Type::Text => {
                    let mut room = [0; 8];
                    let text = texts.get(value, &mut room);
                    put_varint(out, text.len() as u64);
                    out.extend_from_slice(text.as_bytes());
                }
                Type::Double => out.extend_from_slice(&value.to_le_bytes()),
                _ => put_signed(out, value as i64),
            }
        }
    }
}

/// Reads an accumulator into `cell`, which has that of no events.
fn read_accumulator(
    measure: &Accumulator,
    cell: &mut [u64],
    bounds: TileBounds<'_>,
    texts: &mut TextArena,
    reader: &mut WindowReader<'_>,
) -> Result<(), CorruptWindow> {
    match measure.kernel {
        AggregateKernel::Count => cell[0] = read_count(reader)?,
        AggregateKernel::SumInt => cell[0] = reader.signed()? as u64,
        AggregateKernel::SumDouble | AggregateKernel::MinDouble | AggregateKernel::MaxDouble => {
            cell[0] = reader.double()?
        }
        AggregateKernel::AverageInt | AggregateKernel::AverageDouble => {
            cell[0] = reader.double()?;
            cell[1] = read_count(reader)?;
        }
        AggregateKernel::MinInt | AggregateKernel::MaxInt => {
            if reader.flag()? {
                cell[0] = reader.signed()? as u64;
                cell[1] = 1;
            }
        }
        AggregateKernel::Last | AggregateKernel::LastText => {
            if reader.flag()? {
                let time = bounds.read_time(reader)?;
                let value = read_last_value(&measure.result, texts, reader)?;
                cell[0] = time as u64;
                cell[1] = value;
            }
        }
    }
    Ok(())
}

fn read_count(reader: &mut WindowReader<'_>) -> Result<u64, CorruptWindow> {
    let count = reader.unsigned()?;
    reader.require(count < MAX_COUNT, "a count is too large")?;
    Ok(count)
}

/// Reads the value of a `last`; a text is put into the arena.
fn read_last_value(ty: &Type, texts: &mut TextArena, reader: &mut WindowReader<'_>) -> Result<u64, CorruptWindow> {
    match ty {
        Type::Text => {
            let len = reader.unsigned()?;
            reader.require(len <= MAX_TEXT_BYTES as u64, "a text is too long")?;
            let text =
                std::str::from_utf8(reader.take(len as usize)?).map_err(|_| reader.corrupt("a text is not UTF-8"))?;
            Ok(texts.insert(text))
        }
        Type::Double => {
            let bits = reader.double()?;
            reader.require(!f64::from_bits(bits).is_nan(), "a value is not a number")?;
            Ok(bits)
        }
        Type::Bool => {
            let value = reader.signed()? as u64;
            reader.require(value <= 1, "a bool is neither 0 nor 1")?;
            Ok(value)
        }
        _ => Ok(reader.signed()? as u64),
    }
}
