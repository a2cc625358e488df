//! Strict reading of Avro's primitive values from one record.
//! See <https://avro.apache.org/docs/1.12.0/specification/#binary-encoding>.

use super::decimal::Decimal;
use super::logical::uuid_bytes;
use super::node::Node;
use super::{DecodeProblem as Problem, MAX_EVENT_DEPTH, MAX_EVENT_ITEMS};

/// A place in a record's bytes.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// How many items of arrays and maps may still come.
    items_left: usize,
    /// How many records, arrays and maps are open around the innermost record that contains itself.
    depth: usize,
    /// The path to the problem, innermost first. Filled only while an error travels up.
    pub(super) trail: Vec<String>,
    /// Where texts of UUIDs begin that have capital letters.
    pub(super) capitals: Vec<usize>,
    /// Values that are none of their type are passed over, as long as it is known where they end.
    is_lenient: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let items_left = MAX_EVENT_ITEMS;
        Self { bytes, at: 0, items_left, depth: 0, trail: Vec::new(), capitals: Vec::new(), is_lenient: false }
    }

    /// One that looks for the end of a record, whatever its values are.
    pub(super) fn lenient(bytes: &'a [u8]) -> Self {
        Self { is_lenient: true, ..Self::new(bytes) }
    }

    /// The error, unless the reader only looks for the end.
    #[cold]
    fn refuse<T>(&self, value: T, problem: Problem) -> Result<T, Problem> {
        if self.is_lenient { Ok(value) } else { Err(problem) }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The record must end here.
    #[inline]
    pub(super) fn end(&self) -> Result<(), Problem> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            left => Err(Problem::LeftOver(left)),
        }
    }

    /// The bytes that a walk passes over.
    pub(super) fn passed(&mut self, walk: impl FnOnce(&mut Self) -> Result<(), Problem>) -> Result<&'a [u8], Problem> {
        let start = self.at;
        walk(self)?;
        Ok(&self.bytes[start..self.at])
    }

    #[inline]
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Problem> {
        // `at` is never behind the end, so the slice is there.
        match self.bytes[self.at..].split_at_checked(length) {
            Some((value, _)) => {
                self.at += length;
                Ok(value)
            }
            None => Err(Problem::End),
        }
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        match self.bytes[self.at..].first_chunk() {
            Some(value) => {
                self.at += N;
                Ok(*value)
            }
            None => Err(Problem::End),
        }
    }

    #[inline]
    pub(super) fn boolean(&mut self) -> Result<bool, Problem> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => self.refuse(false, Problem::NotBoolean(other)),
        }
    }

    #[inline]
    pub(super) fn long(&mut self) -> Result<i64, Problem> {
        let first = *self.bytes.get(self.at).ok_or(Problem::End)?;
        let raw = if first < 0x80 {
            self.at += 1;
            u64::from(first)
        } else {
            self.long_varint(u64::from(first & 0x7f))?
        };
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// The rest of a varint whose first byte gave `value` and is still unread.
    #[inline]
    fn long_varint(&mut self, mut value: u64) -> Result<u64, Problem> {
        for (index, byte) in self.bytes[self.at + 1..].iter().take(9).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * (index + 1));
            if *byte < 0x80 {
                if index == 8 && *byte > 1 {
                    return Err(Problem::VarintOverflow);
                }
                self.at += index + 2;
                return Ok(value);
            }
        }
        if self.bytes.len() - self.at >= 10 { Err(Problem::VarintOverflow) } else { Err(Problem::End) }
    }

    #[inline]
    pub(super) fn int(&mut self) -> Result<i32, Problem> {
        let value = self.long()?;
        i32::try_from(value).or_else(|_| self.refuse(0, Problem::IntRange(value)))
    }

    #[inline]
    pub(super) fn float(&mut self) -> Result<f32, Problem> {
        self.array().map(f32::from_le_bytes)
    }

    #[inline]
    pub(super) fn double(&mut self) -> Result<f64, Problem> {
        self.array().map(f64::from_le_bytes)
    }

    #[inline]
    pub(super) fn binary(&mut self) -> Result<&'a [u8], Problem> {
        let length = self.long()?;
        let length = usize::try_from(length).map_err(|_| Problem::NegativeLength(length))?;
        self.take(length)
    }

    /// A string's bytes, which are UTF-8.
    ///
    /// Bytes, because only a second, slower check would make a `&str` of them: most texts are short and ASCII,
    /// and `from_utf8` takes a byte at a time of what is not aligned.
    #[inline]
    pub(super) fn string(&mut self) -> Result<&'a [u8], Problem> {
        let value = self.binary()?;
        let is_text = value.is_ascii() || std::str::from_utf8(value).is_ok();
        if is_text { Ok(value) } else { self.refuse(value, Problem::NotUtf8) }
    }

    /// A string.
    pub(super) fn str(&mut self) -> Result<&'a str, Problem> {
        std::str::from_utf8(self.binary()?).map_err(|_| Problem::NotUtf8)
    }

    /// A string that is a UUID.
    pub(super) fn uuid_text(&mut self) -> Result<&'a [u8], Problem> {
        let value = self.string()?;
        let is_uuid = std::str::from_utf8(value).is_ok_and(|text| uuid_bytes(text).is_some());
        if !is_uuid {
            return self.refuse(value, Problem::NotUuid);
        }
        if value.iter().any(u8::is_ascii_uppercase) {
            self.capitals.push(self.at - value.len());
        }
        Ok(value)
    }

    /// A decimal's unscaled bytes, with no more digits than it may have.
    pub(super) fn decimal(&mut self, decimal: &Decimal) -> Result<&'a [u8], Problem> {
        let value = match &decimal.fixed {
            Some(fixed) => self.take(fixed.size)?,
            None => self.binary()?,
        };
        match decimal.fits(value) {
            true => Ok(value),
            false => self.refuse(value, Problem::TooManyDigits(decimal.precision)),
        }
    }

    /// Walks a record that contains itself, `levels` further in.
    pub(super) fn deeper<T>(
        &mut self,
        levels: usize,
        walk: impl FnOnce(&mut Self) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        self.depth += levels;
        // The record itself is one more.
        if self.depth >= MAX_EVENT_DEPTH {
            return Err(Problem::TooDeep);
        }
        let result = walk(self);
        self.depth -= levels;
        result
    }

    /// A union's branch, with its index.
    #[inline]
    pub(super) fn branch<'n>(&mut self, branches: &'n [Node]) -> Result<(usize, &'n Node), Problem> {
        let index = self.long()?;
        let place = usize::try_from(index).map_err(|_| Problem::NoBranch(index))?;
        branches.get(place).map(|node| (place, node)).ok_or(Problem::NoBranch(index))
    }

    /// An enum's symbol, as its place.
    #[inline]
    pub(super) fn symbol(&mut self, symbols: usize) -> Result<usize, Problem> {
        let index = i64::from(self.int()?);
        match usize::try_from(index) {
            Ok(place) if place < symbols => Ok(place),
            _ => self.refuse(0, Problem::NoSymbol(index)),
        }
    }

    /// Reads the blocks of an array or a map, calling `item` at each item's start.
    pub(super) fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Problem>) -> Result<(), Problem> {
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            // A negative count is followed by the block's size in bytes.
            let size = if count < 0 { Some(self.long()?) } else { None };
            let items = usize::try_from(count.unsigned_abs()).map_err(|_| Problem::TooManyItems)?;
            if !self.is_lenient {
                self.items_left = self.items_left.checked_sub(items).ok_or(Problem::TooManyItems)?;
            }
            let start = self.at;
            for _ in 0..items {
                let begin = self.at;
                item(self).inspect_err(|_| self.trail.push("[]".to_owned()))?;
                // Bytes bound the others.
                if self.is_lenient && self.at == begin {
                    self.items_left = self.items_left.checked_sub(1).ok_or(Problem::TooManyItems)?;
                }
            }
            if let Some(size) = size
                && usize::try_from(size) != Ok(self.at - start)
            {
                self.refuse((), Problem::BlockSize(size))?;
            }
        }
    }
}
