//! A window as bytes, and back, exact to the bit. What is derived is not saved.
//!
//! ```text
//! version (1), number of tiles as varint; when there are any:
//! time of the newest event (signed), number of the newest tile minus that of the oldest
//! for each tile, oldest first: its number minus that of the tile before (not for the oldest), its accumulators
//! accumulators: count: unsigned; sum of ints: signed; doubles: 8 bytes, low first; avg: sum, count;
//!   min and max of ints: flag, signed; last: flag, time since the tile's begin (signed), value
//! ```
//!
//! The reader must have a layout of the same fingerprint; who keeps the bytes keeps that beside them.

use super::bytes::Reader;
use super::kernel::Kernel;
use super::layout::{Cell, Layout};
use super::texts::{MAX_TEXT, Texts};
use super::windows::Windows;
use crate::types::Type;
use crate::wire::{put_signed, put_varint};

/// The version of the format.
const VERSION: u8 = 1;
/// More events than an entity can have; keeps sums of counts from overflowing.
const MAX_COUNT: u64 = 1 << 48;

/// Saved bytes that are not those of a window of this layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a saved window is corrupt at byte {at}: {why}")]
pub struct Corrupt {
    /// How many bytes were read before.
    pub at: usize,
    /// What is wrong.
    pub why: &'static str,
}

impl Windows {
    /// Appends a slot's window to `out`.
    pub fn save(&self, slot: u32, out: &mut Vec<u8>) {
        out.push(VERSION);
        let in_arena = (slot as usize) < self.tiles.len();
        let Some((window, time)) =
            in_arena.then(|| self.window(slot)).and_then(|window| Some((window, window.newest_time()?)))
        else {
            return put_varint(out, 0);
        };
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
                put_cell(measure, &cells[measure.at..], begin, &self.texts, out);
            }
        }
    }

    /// Replaces a slot's window by a saved one.
    ///
    /// # Errors
    /// When the bytes are not exactly what `save` writes for a layout of this shape; the slot is then empty.
    pub fn load(&mut self, slot: u32, bytes: &[u8]) -> Result<(), Corrupt> {
        self.grow(slot as usize + 1);
        self.reset(slot);
        let loaded = self.read(slot, &mut Reader::new(bytes));
        if loaded.is_err() {
            self.reset(slot);
        }
        loaded
    }

    /// Reads into an empty slot.
    fn read(&mut self, slot: u32, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        let version = reader.byte()?;
        reader.require(version == VERSION, "the version of the format is not known")?;
        let tiles = reader.unsigned()?;
        if tiles == 0 {
            return reader.end();
        }
        let (mut window, texts, _) = self.window_mut(slot);
        let layout = window.layout;
        let time = reader.signed()?;
        reader.require(time == Layout::bounded(time), "a time is out of bounds")?;
        let newest = layout.tile_of(time, 0);
        let kept = newest.abs_diff(layout.kept_from(newest));
        let span = reader.unsigned()?;
        reader.require(span <= kept, "the oldest tile is not kept any more")?;
        window.restore_newest(time, newest);
        // The span is at most the number of kept tiles, which fits.
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
                let bounds = Bounds { layout, tile, newest: time };
                read_cell(measure, &mut cells[measure.at..], bounds, texts, reader)?;
            }
        }
        window.restore_derived();
        reader.end()
    }
}

/// What a time in a tile must fit.
#[derive(Clone, Copy)]
struct Bounds<'a> {
    layout: &'a Layout,
    tile: i64,
    newest: i64,
}

impl Bounds<'_> {
    /// Reads a time that lies in the tile.
    fn read_time(self, reader: &mut Reader<'_>) -> Result<i64, Corrupt> {
        let time = self.layout.begin_of(self.tile).saturating_add(reader.signed()?);
        let fits =
            time == Layout::bounded(time) && time <= self.newest && self.layout.tile_of(time, self.tile) == self.tile;
        reader.require(fits, "a time does not lie in its tile")?;
        Ok(time)
    }
}

/// Writes an accumulator of a tile that begins at `begin`.
fn put_cell(measure: &Cell, cell: &[u64], begin: i64, texts: &Texts, out: &mut Vec<u8>) {
    match measure.kernel {
        Kernel::Count => put_varint(out, cell[0]),
        Kernel::SumInt => put_signed(out, cell[0] as i64),
        Kernel::SumDouble | Kernel::MinDouble | Kernel::MaxDouble => out.extend_from_slice(&cell[0].to_le_bytes()),
        Kernel::AverageInt | Kernel::AverageDouble => {
            out.extend_from_slice(&cell[0].to_le_bytes());
            put_varint(out, cell[1]);
        }
        Kernel::MinInt | Kernel::MaxInt => {
            out.push(u8::from(cell[1] != 0));
            if cell[1] != 0 {
                put_signed(out, cell[0] as i64);
            }
        }
        Kernel::Last | Kernel::LastText => {
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

/// Reads an accumulator into one of no events.
fn read_cell(
    measure: &Cell,
    cell: &mut [u64],
    bounds: Bounds<'_>,
    texts: &mut Texts,
    reader: &mut Reader<'_>,
) -> Result<(), Corrupt> {
    match measure.kernel {
        Kernel::Count => cell[0] = read_count(reader)?,
        Kernel::SumInt => cell[0] = reader.signed()? as u64,
        Kernel::SumDouble | Kernel::MinDouble | Kernel::MaxDouble => cell[0] = reader.double()?,
        Kernel::AverageInt | Kernel::AverageDouble => {
            cell[0] = reader.double()?;
            cell[1] = read_count(reader)?;
        }
        Kernel::MinInt | Kernel::MaxInt => {
            if reader.flag()? {
                cell[0] = reader.signed()? as u64;
                cell[1] = 1;
            }
        }
        Kernel::Last | Kernel::LastText => {
            if reader.flag()? {
                let time = bounds.read_time(reader)?;
                let value = read_last(&measure.result, texts, reader)?;
                cell[0] = time as u64;
                cell[1] = value;
            }
        }
    }
    Ok(())
}

fn read_count(reader: &mut Reader<'_>) -> Result<u64, Corrupt> {
    let count = reader.unsigned()?;
    reader.require(count < MAX_COUNT, "a count is too large")?;
    Ok(count)
}

/// The value of a `last`; a text goes into the arena.
fn read_last(ty: &Type, texts: &mut Texts, reader: &mut Reader<'_>) -> Result<u64, Corrupt> {
    match ty {
        Type::Text => {
            let len = reader.unsigned()?;
            reader.require(len <= MAX_TEXT as u64, "a text is too long")?;
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
