//! The primitives of our own binary formats: varints, byte strings, floats. Reading never panics.

/// Bytes that are not in the expected format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("corrupt data: {what} at byte {at}")]
pub struct Corrupt {
    /// The part that could not be read.
    pub what: &'static str,
    /// The byte at which it begins, counted from the beginning of the input.
    pub at: usize,
}

/// Appends an unsigned integer, seven bits a byte, least significant first (LEB128).
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed integer in zigzag code, so that small absolute values are short.
pub fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, (value.wrapping_shl(1) ^ (value >> 63)) as u64);
}

/// Appends a length and the bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a float: its eight bytes, least significant first.
pub fn put_f64(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Reads values that the functions above wrote, in the same order.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads from the beginning of some bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// True if all bytes are read.
    pub fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// The number of bytes that are read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The error for a value at the current position that cannot be read.
    pub fn corrupt(&self, what: &'static str) -> Corrupt {
        Corrupt { what, at: self.at }
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8, Corrupt> {
        let byte = *self.bytes.get(self.at).ok_or_else(|| self.corrupt("a byte"))?;
        self.at += 1;
        Ok(byte)
    }

    /// An unsigned integer.
    pub fn varint(&mut self) -> Result<u64, Corrupt> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.corrupt("an integer of at most 64 bits"))
    }

    /// A signed integer.
    pub fn signed(&mut self) -> Result<i64, Corrupt> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A count of items, each of which takes at least one of the following bytes. A greater count is refused, so that
    /// it cannot cause a large allocation.
    pub fn count(&mut self) -> Result<usize, Corrupt> {
        let count = self.varint()?;
        match usize::try_from(count) {
            Ok(count) if count <= self.bytes.len() - self.at => Ok(count),
            _ => Err(self.corrupt("a count that fits the data")),
        }
    }

    /// A 32-bit unsigned integer.
    pub fn u32(&mut self) -> Result<u32, Corrupt> {
        let value = self.varint()?;
        u32::try_from(value).map_err(|_| self.corrupt("an integer of at most 32 bits"))
    }

    /// As many bytes as asked for.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Corrupt> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| self.corrupt("bytes that were announced"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// A length and as many bytes.
    pub fn bytes(&mut self) -> Result<&'a [u8], Corrupt> {
        let length = self.count()?;
        self.take(length)
    }

    /// A length and as many bytes of UTF-8.
    pub fn text(&mut self) -> Result<&'a str, Corrupt> {
        let at = self.at;
        std::str::from_utf8(self.bytes()?).map_err(|_| Corrupt { what: "UTF-8 text", at })
    }

    /// A 64-bit unsigned integer of 8 bytes, little endian.
    pub fn fixed_u64(&mut self) -> Result<u64, Corrupt> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(bytes))
    }

    /// A float.
    pub fn f64(&mut self) -> Result<f64, Corrupt> {
        self.fixed_u64().map(f64::from_bits)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_are_read_as_they_are_written(a: u64, b: i64, c: Vec<u8>, d: f64) {
            let mut out = Vec::new();
            put_varint(&mut out, a);
            put_signed(&mut out, b);
            put_bytes(&mut out, &c);
            put_f64(&mut out, d);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.varint(), Ok(a));
            prop_assert_eq!(reader.signed(), Ok(b));
            prop_assert_eq!(reader.bytes(), Ok(&c[..]));
            prop_assert_eq!(reader.f64().map(f64::to_bits), Ok(d.to_bits()));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn reading_garbage_never_panics(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            while !reader.is_empty() {
                if reader.clone().text().is_err() && reader.varint().is_err() {
                    break;
                }
                if reader.byte().is_err() {
                    break;
                }
            }
        }
    }

    #[test]
    fn an_integer_of_more_than_64_bits_is_refused() {
        assert!(Reader::new(&[0xff; 10]).varint().is_err());
        assert!(Reader::new(&[0xff; 3]).varint().is_err());
    }
}
