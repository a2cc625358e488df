//! The parts of accumulators that several aggregates share: sums of doubles, and words in saved windows.

use super::interface::{LoadScope, SaveScope};
use super::{CorruptWindow, TextArena, WindowReader};
use crate::types::Type;
use crate::view::texts::MAX_TEXT_BYTES;
use crate::wire::{put_bytes, put_signed};

/// The bound on counts, far more events than an entity can have. It keeps sums of counts from overflowing.
const MAX_COUNT: u64 = 1 << 48;

/// The sum of two doubles given as bits.
#[inline]
pub(super) fn sum_bits(a: u64, b: u64) -> u64 {
    canonical_bits(f64::from_bits(a) + f64::from_bits(b))
}

/// The bits of a double, with one NaN for all: the bits of the NaN of inf - inf depend on the processor.
#[inline]
pub(super) fn canonical_bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}

pub(super) fn read_count(reader: &mut WindowReader<'_>) -> Result<u64, CorruptWindow> {
    let count = reader.unsigned()?;
    reader.require(count < MAX_COUNT, "a count is too large")?;
    Ok(count)
}

/// Writes a cell `[value, 1 if there is one]`: flag, signed.
pub(super) fn save_optional_int(cell: &[u64], out: &mut Vec<u8>) {
    out.push(u8::from(cell[1] != 0));
    if cell[1] != 0 {
        put_signed(out, cell[0] as i64);
    }
}

/// Reads what [`save_optional_int`] writes into the cell of no events.
pub(super) fn load_optional_int(cell: &mut [u64], reader: &mut WindowReader<'_>) -> Result<(), CorruptWindow> {
    if reader.flag()? {
        cell[0] = reader.signed()? as u64;
        cell[1] = 1;
    }
    Ok(())
}

/// Writes a value with its time: flag, time since the tile's begin (signed), value.
pub(super) fn save_timed(time: u64, value: Option<u64>, scope: &SaveScope<'_>, out: &mut Vec<u8>) {
    out.push(u8::from(value.is_some()));
    let Some(value) = value else { return };
    put_signed(out, time as i64 - scope.begin);
    match scope.ty {
        Type::Text => put_bytes(out, scope.texts.get(value, &mut [0; 8]).as_bytes()),
        Type::Double => out.extend_from_slice(&value.to_le_bytes()),
        _ => put_signed(out, value as i64),
    }
}

/// Reads what [`save_timed`] writes into the cell `[time, value]` of no events.
pub(super) fn load_timed(
    cell: &mut [u64],
    scope: &mut LoadScope<'_>,
    reader: &mut WindowReader<'_>,
) -> Result<(), CorruptWindow> {
    if reader.flag()? {
        let time = scope.bounds.read_time(reader)?;
        let value = read_value(scope.ty, scope.texts, reader)?;
        cell[..2].copy_from_slice(&[time as u64, value]);
    }
    Ok(())
}

/// Reads a value of a type; a text is put into the arena.
fn read_value(ty: &Type, texts: &mut TextArena, reader: &mut WindowReader<'_>) -> Result<u64, CorruptWindow> {
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
