//! Reads the bytes of saved windows, which `wire` wrote. It is stricter than `wire::Reader`, so that each window has
//! exactly one encoding.

/// Bytes that are no saved window of this layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a saved window is corrupt at byte {at}: {why}")]
pub struct CorruptWindow {
    /// The byte at which reading stopped.
    pub at: usize,
    /// The mistake.
    pub why: &'static str,
}

/// The remaining bytes, and the total length.
pub(super) struct WindowReader<'a> {
    rest: &'a [u8],
    len: usize,
}

impl<'a> WindowReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, len: bytes.len() }
    }

    /// An error at the current position.
    pub(super) fn corrupt(&self, why: &'static str) -> CorruptWindow {
        CorruptWindow { at: self.len - self.rest.len(), why }
    }

    /// An error at the current position, unless the claim is true.
    pub(super) fn require(&self, claim: bool, why: &'static str) -> Result<(), CorruptWindow> {
        if claim { Ok(()) } else { Err(self.corrupt(why)) }
    }

    /// Reads `len` bytes.
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], CorruptWindow> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.corrupt("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// Reads a byte.
    pub(super) fn byte(&mut self) -> Result<u8, CorruptWindow> {
        Ok(self.take(1)?[0])
    }

    /// Reads an unsigned integer. Only its shortest encoding is accepted.
    pub(super) fn unsigned(&mut self) -> Result<u64, CorruptWindow> {
        let mut value: u64 = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            self.require(shift < 63 || bits <= 1, "an integer is longer than 64 bits")?;
            value |= bits << shift;
            if byte < 0x80 {
                self.require(byte != 0 || shift == 0, "an integer is longer than needed")?;
                return Ok(value);
            }
        }
        Err(self.corrupt("an integer is longer than 64 bits"))
    }

    /// Reads a signed integer.
    pub(super) fn signed(&mut self) -> Result<i64, CorruptWindow> {
        let value = self.unsigned()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Reads the bits of a double. The only accepted NaN is `f64::NAN`.
    pub(super) fn double(&mut self) -> Result<u64, CorruptWindow> {
        let bytes = self.take(8)?;
        let bits = bytes.iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte));
        let is_canonical = !f64::from_bits(bits).is_nan() || bits == f64::NAN.to_bits();
        self.require(is_canonical, "a NaN is not the usual one")?;
        Ok(bits)
    }

    /// Reads a flag: a byte 0 or 1.
    pub(super) fn flag(&mut self) -> Result<bool, CorruptWindow> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.corrupt("a flag is neither 0 nor 1")),
        }
    }

    /// Checks that all bytes are read.
    pub(super) fn end(&self) -> Result<(), CorruptWindow> {
        self.require(self.rest.is_empty(), "there are bytes left over")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{put_signed, put_varint};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_are_read_as_they_are_written(value: u64, shift in 0..64u32) {
            let (unsigned, signed) = (value >> shift, (value as i64) >> shift);
            let mut bytes = Vec::new();
            put_varint(&mut bytes, unsigned);
            put_signed(&mut bytes, signed);
            let mut reader = WindowReader::new(&bytes);
            prop_assert_eq!(reader.unsigned(), Ok(unsigned));
            prop_assert_eq!(reader.signed(), Ok(signed));
            prop_assert_eq!(reader.end(), Ok(()));
        }
    }

    #[test]
    fn malformed_integers_are_refused() {
        assert!(WindowReader::new(&[0x80]).unsigned().is_err());
        assert!(WindowReader::new(&[0x80, 0]).unsigned().is_err());
        assert!(WindowReader::new(&[0xff; 11]).unsigned().is_err());
        assert!(WindowReader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).unsigned().is_err());
        assert_eq!(
            WindowReader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).unsigned(),
            Ok(u64::MAX)
        );
    }
}
