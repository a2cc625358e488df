//! A batch's columns. They are checked once per batch, so that reading a row needs no checks.

use crate::bindings::{Column, Kind, Texts};

/// The reason why a column cannot be read. It means that the host breaks the contract.
pub(crate) type Refusal = String;

/// The rows of a column that have a value: one bit per row, least significant first. Empty means all.
#[derive(Clone, Copy, Debug)]
pub struct Present<'a>(&'a [u8]);

impl<'a> Present<'a> {
    pub(crate) fn open(bitmap: &'a [u8], rows: usize) -> Result<Self, Refusal> {
        if bitmap.is_empty() || bitmap.len() == rows.div_ceil(8) {
            return Ok(Self(bitmap));
        }
        Err(format!("its presence bitmap has {} bytes for {rows} rows", bitmap.len()))
    }

    /// True if a row has a value.
    #[inline]
    pub fn has(self, row: usize) -> bool {
        self.0.is_empty() || bit(self.0, row)
    }

    /// The first of `rows` rows that lacks a value.
    pub(crate) fn first_missing(self, rows: usize) -> Option<usize> {
        if self.0.is_empty() {
            return None;
        }
        (0..rows).find(|&row| !bit(self.0, row))
    }
}

/// Packed booleans: one bit per row, least significant first.
#[derive(Clone, Copy, Debug)]
pub struct Bits<'a>(&'a [u8]);

impl<'a> Bits<'a> {
    pub(crate) fn open(bitmap: &'a [u8], rows: usize) -> Result<Self, Refusal> {
        if bitmap.len() == rows.div_ceil(8) {
            return Ok(Self(bitmap));
        }
        Err(format!("its values have {} bytes for {rows} rows of bits", bitmap.len()))
    }

    /// A row's bit.
    #[inline]
    pub fn get(self, row: usize) -> bool {
        bit(self.0, row)
    }
}

#[inline]
fn bit(bitmap: &[u8], row: usize) -> bool {
    bitmap[row / 8] >> (row % 8) & 1 == 1
}

/// Texts without separators.
#[derive(Clone, Copy, Debug)]
pub struct Strings<'a> {
    ends: &'a [u32],
    data: &'a str,
}

impl<'a> Strings<'a> {
    pub(crate) fn open(texts: &'a Texts, rows: usize) -> Result<Self, Refusal> {
        check_rows(texts.ends.len(), rows)?;
        let data = std::str::from_utf8(&texts.data).map_err(|error| format!("its texts are not UTF-8: {error}"))?;
        let mut start = 0;
        for &end in &texts.ends {
            if end < start || !data.is_char_boundary(end as usize) {
                return Err(format!("a text ends at byte {end} of {}, and begins at {start}", data.len()));
            }
            start = end;
        }
        if start as usize != data.len() {
            return Err(format!("its texts end at byte {start} of {}", data.len()));
        }
        Ok(Self { ends: &texts.ends, data })
    }

    /// A row's text.
    #[inline]
    pub fn get(self, row: usize) -> &'a str {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.data[start as usize..self.ends[row] as usize]
    }
}

/// Checks that a column has one value per row, and returns the values.
pub(crate) fn values<T>(values: &[T], rows: usize) -> Result<&[T], Refusal> {
    check_rows(values.len(), rows)?;
    Ok(values)
}

fn check_rows(found: usize, rows: usize) -> Result<(), Refusal> {
    if found == rows {
        return Ok(());
    }
    Err(format!("it has {found} values for {rows} rows"))
}

/// The kind of input that a column is for.
pub(crate) fn kind_of(column: &Column) -> Kind {
    match column {
        Column::Floats(_) => Kind::Float,
        Column::Ints(_) => Kind::Int,
        Column::Bools(_) => Kind::Boolean,
        Column::Texts(_) => Kind::Text,
        Column::Times(_) => Kind::Timestamp,
    }
}

/// The name of a kind in messages.
pub(crate) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Float => "float",
        Kind::Int => "int",
        Kind::Boolean => "boolean",
        Kind::Text => "text",
        Kind::Timestamp => "timestamp",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn texts(ends: &[u32], data: &str) -> Texts {
        Texts { ends: ends.to_vec(), data: data.as_bytes().to_vec(), present: Vec::new() }
    }

    #[test]
    fn texts_are_sliced_at_their_ends() {
        let texts = texts(&[2, 2, 6], "abçde");
        let strings = Strings::open(&texts, 3).unwrap();
        assert_eq!([strings.get(0), strings.get(1), strings.get(2)], ["ab", "", "çde"]);
    }

    #[test]
    fn texts_with_wrong_ends_are_refused() {
        for (ends, why) in [
            (vec![3, 6], "inside of a character"),
            (vec![4, 2], "decreasing"),
            (vec![2, 9], "after the data"),
            (vec![2, 4], "data left over"),
            (vec![6], "a row without a text"),
        ] {
            assert!(Strings::open(&texts(&ends, "abçde"), 2).is_err(), "{why}");
        }
        let not_utf8 = Texts { ends: vec![1], data: vec![0xff], present: Vec::new() };
        assert!(Strings::open(&not_utf8, 1).is_err());
    }

    #[test]
    fn an_empty_bitmap_means_that_all_are_present() {
        let all = Present::open(&[], 9).unwrap();
        assert!(all.has(8));
        let some = Present::open(&[0b1111_1110, 1], 9).unwrap();
        assert_eq!((some.has(0), some.has(1), some.has(8)), (false, true, true));
        assert_eq!(some.first_missing(9), Some(0));
        assert!(Present::open(&[0xff], 9).is_err());
    }
}
