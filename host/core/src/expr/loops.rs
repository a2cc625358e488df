//! The loops that kernels call: over one or two columns, each of which may be a constant.
//!
//! Each arm is a loop of its own that the compiler can vectorise. No loop checks for nulls: to compute a value that
//! nobody reads is cheaper than a branch per row.

use arrow_array::StringArray;
use arrow_buffer::{BooleanBuffer, Buffer};

/// The numbers of a column, or one number for all rows.
#[derive(Clone, Copy)]
pub(super) enum NumberOperand<'a, T> {
    All(&'a [T]),
    One(T),
}

impl<T: Copy> NumberOperand<'_, T> {
    /// The number of a row; an arbitrary one if the row is missing.
    pub(super) fn at(self, row: usize) -> T {
        match self {
            Self::All(values) => values[row],
            Self::One(value) => value,
        }
    }
}

/// The texts of a column, or one text for all rows.
#[derive(Clone, Copy)]
pub(super) enum TextOperand<'a> {
    All(&'a StringArray),
    One(&'a str),
}

impl<'a> TextOperand<'a> {
    /// The text of a row; an arbitrary one if the row is missing.
    pub(super) fn get(self, row: usize) -> &'a str {
        match self {
            Self::All(array) => array.value(row),
            Self::One(text) => text,
        }
    }
}

/// `f` of each row.
pub(super) fn map<A: Copy, O: Clone>(a: NumberOperand<'_, A>, rows: usize, f: impl Fn(A) -> O) -> Vec<O> {
    match a {
        NumberOperand::All(a) => a.iter().map(|a| f(*a)).collect(),
        NumberOperand::One(a) => vec![f(a); rows],
    }
}

/// `f` of each row of two columns.
pub(super) fn map2<A: Copy, B: Copy, O: Clone>(
    a: NumberOperand<'_, A>,
    b: NumberOperand<'_, B>,
    rows: usize,
    f: impl Fn(A, B) -> O,
) -> Vec<O> {
    match (a, b) {
        (NumberOperand::All(a), NumberOperand::All(b)) => a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect(),
        (NumberOperand::All(a), NumberOperand::One(b)) => a.iter().map(|a| f(*a, b)).collect(),
        (NumberOperand::One(a), NumberOperand::All(b)) => b.iter().map(|b| f(a, *b)).collect(),
        (NumberOperand::One(a), NumberOperand::One(b)) => vec![f(a, b); rows],
    }
}

/// The bit that `f` gives for each row of two columns.
pub(super) fn map2_to_bits<A: Copy, B: Copy>(
    a: NumberOperand<'_, A>,
    b: NumberOperand<'_, B>,
    rows: usize,
    f: impl Fn(A, B) -> bool,
) -> BooleanBuffer {
    match (a, b) {
        (NumberOperand::All(a), NumberOperand::All(b)) => {
            let words = a.chunks(64).zip(b.chunks(64)).map(|(a, b)| pack_word(a.iter().zip(b), |(a, b)| f(*a, *b)));
            pack_bits(words, rows)
        }
        (NumberOperand::All(a), NumberOperand::One(b)) => {
            pack_bits(a.chunks(64).map(|a| pack_word(a.iter(), |a| f(*a, b))), rows)
        }
        (NumberOperand::One(a), NumberOperand::All(b)) => {
            pack_bits(b.chunks(64).map(|b| pack_word(b.iter(), |b| f(a, *b))), rows)
        }
        (NumberOperand::One(a), NumberOperand::One(b)) if f(a, b) => BooleanBuffer::new_set(rows),
        (NumberOperand::One(_), NumberOperand::One(_)) => BooleanBuffer::new_unset(rows),
    }
}

/// The bits of up to 64 rows, the first row lowest.
fn pack_word<T>(rows: impl Iterator<Item = T>, f: impl Fn(T) -> bool) -> u64 {
    rows.enumerate().fold(0, |word, (row, value)| word | u64::from(f(value)) << row)
}

fn pack_bits(words: impl Iterator<Item = u64>, rows: usize) -> BooleanBuffer {
    BooleanBuffer::new(Buffer::from_vec(words.map(u64::to_le).collect::<Vec<_>>()), 0, rows)
}

/// Splits optional values into values and the buffer of those that are present.
pub(super) fn split_nulls<T: Default + Clone>(values: &[Option<T>]) -> (Vec<T>, super::column::Nulls) {
    let found = BooleanBuffer::collect_bool(values.len(), |row| values[row].is_some());
    let nulls = (found.count_set_bits() < values.len()).then(|| found.into());
    (values.iter().map(|value| value.clone().unwrap_or_default()).collect(), nulls)
}
