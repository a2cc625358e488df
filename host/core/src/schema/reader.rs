//! Strict reading of Avro's primitive values from one record.
//! See <https://avro.apache.org/docs/1.12.0/specification/#binary-encoding>.

use super::decimal::Decimal;
use super::logical::uuid_bytes;
use super::node::Node;
use super::{DecodeProblem, MAX_EVENT_DEPTH, MAX_EVENT_ITEMS};

/// A reader at a position in a record's bytes.
pub(super) struct AvroReader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The number of items of arrays and maps that may still follow.
    items_left: usize,
    /// The number of records, arrays and maps around the innermost recursive record.
    depth: usize,
    /// The path to the problem, innermost name first. It is filled only while an error is passed up.
    pub(super) trail: Vec<String>,
    /// The positions of texts of UUIDs with capital letters.
    pub(super) capitals: Vec<usize>,
    /// True if invalid values are skipped as long as their end can be found.
    is_lenient: bool,
}

impl<'a> AvroReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let items_left = MAX_EVENT_ITEMS;
        Self { bytes, at: 0, items_left, depth: 0, trail: Vec::new(), capitals: Vec::new(), is_lenient: false }
    }

    /// A reader that only looks for the end of a record and accepts invalid values.
    pub(super) fn lenient(bytes: &'a [u8]) -> Self {
        Self { is_lenient: true, ..Self::new(bytes) }
    }

    /// The error, or the value if the reader is lenient.
    #[cold]
    fn refuse<T>(&self, value: T, problem: DecodeProblem) -> Result<T, DecodeProblem> {
        if self.is_lenient { Ok(value) } else { Err(problem) }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Checks that the record ends here.
    #[inline]
    pub(super) fn end(&self) -> Result<(), DecodeProblem> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            left => Err(DecodeProblem::LeftOver(left)),
        }
    }

    /// The bytes that `walk` reads.
    pub(super) fn skipped_bytes(
        &mut self,
        walk: impl FnOnce(&mut Self) -> Result<(), DecodeProblem>,
    ) -> Result<&'a [u8], DecodeProblem> {
        let start = self.at;
        walk(self)?;
        Ok(&self.bytes[start..self.at])
    }

    #[inline]
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeProblem> {
        // `at` is at most the length, so the slice exists.
        match self.bytes[self.at..].split_at_checked(length) {
            Some((value, _)) => {
                self.at += length;
                Ok(value)
            }
            None => Err(DecodeProblem::End),
        }
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeProblem> {
        match self.bytes[self.at..].first_chunk() {
            Some(value) => {
                self.at += N;
                Ok(*value)
            }
            None => Err(DecodeProblem::End),
        }
    }

    #[inline]
    pub(super) fn boolean(&mut self) -> Result<bool, DecodeProblem> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => self.refuse(false, DecodeProblem::NotBoolean(other)),
        }
    }

    #[inline]
    pub(super) fn long(&mut self) -> Result<i64, DecodeProblem> {
        let first = *self.bytes.get(self.at).ok_or(DecodeProblem::End)?;
        let raw = if first < 0x80 {
            self.at += 1;
            u64::from(first)
        } else {
            self.long_varint(u64::from(first & 0x7f))?
        };
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// Reads a varint of several bytes. `value` has the bits of the first byte, which is not consumed yet.
    #[inline]
    fn long_varint(&mut self, mut value: u64) -> Result<u64, DecodeProblem> {
        for (index, byte) in self.bytes[self.at + 1..].iter().take(9).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * (index + 1));
            if *byte < 0x80 {
                if index == 8 && *byte > 1 {
                    return Err(DecodeProblem::VarintOverflow);
                }
                self.at += index + 2;
                return Ok(value);
            }
        }
        if self.bytes.len() - self.at >= 10 { Err(DecodeProblem::VarintOverflow) } else { Err(DecodeProblem::End) }
    }

    #[inline]
    pub(super) fn int(&mut self) -> Result<i32, DecodeProblem> {
        let value = self.long()?;
        i32::try_from(value).or_else(|_| self.refuse(0, DecodeProblem::IntRange(value)))
    }

    #[inline]
    pub(super) fn float(&mut self) -> Result<f32, DecodeProblem> {
        self.array().map(f32::from_le_bytes)
    }

    #[inline]
    pub(super) fn double(&mut self) -> Result<f64, DecodeProblem> {
        self.array().map(f64::from_le_bytes)
    }

    #[inline]
    pub(super) fn binary(&mut self) -> Result<&'a [u8], DecodeProblem> {
        let length = self.long()?;
        let length = usize::try_from(length).map_err(|_| DecodeProblem::NegativeLength(length))?;
        self.take(length)
    }

    /// The bytes of a string, checked to be UTF-8.
    ///
    /// It returns bytes, because a `&str` would need a second, slower check: most texts are short and ASCII, and
    /// `from_utf8` checks unaligned bytes one at a time.
    #[inline]
    pub(super) fn string(&mut self) -> Result<&'a [u8], DecodeProblem> {
        let value = self.binary()?;
        let is_text = value.is_ascii() || std::str::from_utf8(value).is_ok();
        if is_text { Ok(value) } else { self.refuse(value, DecodeProblem::NotUtf8) }
    }

    /// A string, checked to be UTF-8.
    pub(super) fn str(&mut self) -> Result<&'a str, DecodeProblem> {
        std::str::from_utf8(self.binary()?).map_err(|_| DecodeProblem::NotUtf8)
    }

    /// A string that is a UUID.
    pub(super) fn uuid_text(&mut self) -> Result<&'a [u8], DecodeProblem> {
        let value = self.string()?;
        let is_uuid = std::str::from_utf8(value).is_ok_and(|text| uuid_bytes(text).is_some());
        if !is_uuid {
            return self.refuse(value, DecodeProblem::NotUuid);
        }
        if value.iter().any(u8::is_ascii_uppercase) {
            self.capitals.push(self.at - value.len());
        }
        Ok(value)
    }

    /// A decimal's unscaled bytes, checked to have at most its number of digits.
    pub(super) fn decimal(&mut self, decimal: &Decimal) -> Result<&'a [u8], DecodeProblem> {
        let value = match &decimal.fixed {
            Some(fixed) => self.take(fixed.size)?,
            None => self.binary()?,
        };
        match decimal.fits(value) {
            true => Ok(value),
            false => self.refuse(value, DecodeProblem::TooManyDigits(decimal.precision)),
        }
    }

    /// Calls `walk` for a recursive record that is nested `levels` deeper.
    pub(super) fn walk_nested<T>(
        &mut self,
        levels: usize,
        walk: impl FnOnce(&mut Self) -> Result<T, DecodeProblem>,
    ) -> Result<T, DecodeProblem> {
        self.depth += levels;
        // The record itself is one more.
        if self.depth >= MAX_EVENT_DEPTH {
            return Err(DecodeProblem::TooDeep);
        }
        let result = walk(self);
        self.depth -= levels;
        result
    }

    /// A union's branch, with its index.
    #[inline]
    pub(super) fn branch<'n>(&mut self, branches: &'n [Node]) -> Result<(usize, &'n Node), DecodeProblem> {
        let index = self.long()?;
        let place = usize::try_from(index).map_err(|_| DecodeProblem::NoBranch(index))?;
        branches.get(place).map(|node| (place, node)).ok_or(DecodeProblem::NoBranch(index))
    }

    /// The index of an enum's symbol.
    #[inline]
    pub(super) fn symbol(&mut self, symbols: usize) -> Result<usize, DecodeProblem> {
        let index = i64::from(self.int()?);
        match usize::try_from(index) {
            Ok(place) if place < symbols => Ok(place),
            _ => self.refuse(0, DecodeProblem::NoSymbol(index)),
        }
    }

    /// Reads the blocks of an array or a map, and calls `item` at the start of each item.
    pub(super) fn blocks(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), DecodeProblem>,
    ) -> Result<(), DecodeProblem> {
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            // A negative count is followed by the block's size in bytes.
            let size = if count < 0 { Some(self.long()?) } else { None };
            let items = usize::try_from(count.unsigned_abs()).map_err(|_| DecodeProblem::TooManyItems)?;
            if !self.is_lenient {
                self.items_left = self.items_left.checked_sub(items).ok_or(DecodeProblem::TooManyItems)?;
            }
            let start = self.at;
            for _ in 0..items {
                let begin = self.at;
                item(self).inspect_err(|_| self.trail.push("[]".to_owned()))?;
                // A lenient reader counts only items without bytes: the input bounds the number of the others.
                if self.is_lenient && self.at == begin {
                    self.items_left = self.items_left.checked_sub(1).ok_or(DecodeProblem::TooManyItems)?;
                }
            }
            if let Some(size) = size
                && usize::try_from(size) != Ok(self.at - start)
            {
                self.refuse((), DecodeProblem::BlockSize(size))?;
            }
        }
    }
}
