//! Reads the bytes of saved windows, which `wire` wrote: stricter than its reader, so that equal windows are equal bytes.

use super::save::Corrupt;

/// What is left to read, and how much there was.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    len: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, len: bytes.len() }
    }

    /// An error at the place that was reached.
    pub(super) fn corrupt(&self, why: &'static str) -> Corrupt {
        Corrupt { at: self.len - self.rest.len(), why }
    }

    /// Refuses what is false.
    pub(super) fn require(&self, claim: bool, why: &'static str) -> Result<(), Corrupt> {
        if claim { Ok(()) } else { Err(self.corrupt(why)) }
    }

    /// The next bytes.
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Corrupt> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.corrupt("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// A byte.
    pub(super) fn byte(&mut self) -> Result<u8, Corrupt> {
        Ok(self.take(1)?[0])
    }

    /// An unsigned integer. Only the shortest way to write it is taken, so that equal windows are equal bytes.
    pub(super) fn unsigned(&mut self) -> Result<u64, Corrupt> {
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

    /// A signed integer.
    pub(super) fn signed(&mut self) -> Result<i64, Corrupt> {
        let value = self.unsigned()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The bits of a double.
    pub(super) fn double(&mut self) -> Result<u64, Corrupt> {
        let bytes = self.take(8)?;
        let bits = bytes.iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte));
        let is_canonical = !f64::from_bits(bits).is_nan() || bits == f64::NAN.to_bits();
        self.require(is_canonical, "a NaN is not the usual one")?;
        Ok(bits)
    }

    /// A flag.
    pub(super) fn flag(&mut self) -> Result<bool, Corrupt> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.corrupt("a flag is neither 0 nor 1")),
        }
    }

    /// Refuses bytes that are left over.
    pub(super) fn end(&self) -> Result<(), Corrupt> {
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
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.unsigned(), Ok(unsigned));
            prop_assert_eq!(reader.signed(), Ok(signed));
            prop_assert_eq!(reader.end(), Ok(()));
        }
    }

    #[test]
    fn malformed_integers_are_refused() {
        assert!(Reader::new(&[0x80]).unsigned().is_err());
        assert!(Reader::new(&[0x80, 0]).unsigned().is_err());
        assert!(Reader::new(&[0xff; 11]).unsigned().is_err());
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).unsigned().is_err());
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).unsigned(), Ok(u64::MAX));
    }
}
