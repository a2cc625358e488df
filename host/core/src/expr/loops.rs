//! The loops below the kernels: over one or two columns, where either may be one constant.
//!
//! Each arm is a loop of its own that the compiler can vectorise; none looks at nulls, since computing a
//! value that nobody reads is cheaper than a branch per row.

use arrow_array::StringArray;
use arrow_buffer::{BooleanBuffer, Buffer};

/// Numbers as loops want them.
#[derive(Clone, Copy)]
pub(super) enum Numbers<'a, T> {
    All(&'a [T]),
    One(T),
}

impl<T: Copy> Numbers<'_, T> {
    /// The number of a row; of a missing one, any number.
    pub(super) fn at(self, row: usize) -> T {
        match self {
            Self::All(values) => values[row],
            Self::One(value) => value,
        }
    }
}

/// Texts as loops want them.
#[derive(Clone, Copy)]
pub(super) enum Texts<'a> {
    All(&'a StringArray),
    One(&'a str),
}

impl<'a> Texts<'a> {
    /// The text of a row; of a missing one, any text.
    pub(super) fn get(self, row: usize) -> &'a str {
        match self {
            Self::All(array) => array.value(row),
            Self::One(text) => text,
        }
    }
}

/// `f` of each row.
pub(super) fn map<A: Copy, O: Clone>(a: Numbers<'_, A>, rows: usize, f: impl Fn(A) -> O) -> Vec<O> {
    match a {
        Numbers::All(a) => a.iter().map(|a| f(*a)).collect(),
        Numbers::One(a) => vec![f(a); rows],
    }
}

/// `f` of each row of two columns.
pub(super) fn map2<A: Copy, B: Copy, O: Clone>(
    a: Numbers<'_, A>,
    b: Numbers<'_, B>,
    rows: usize,
    f: impl Fn(A, B) -> O,
) -> Vec<O> {
    match (a, b) {
        (Numbers::All(a), Numbers::All(b)) => a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect(),
        (Numbers::All(a), Numbers::One(b)) => a.iter().map(|a| f(*a, b)).collect(),
        (Numbers::One(a), Numbers::All(b)) => b.iter().map(|b| f(a, *b)).collect(),
        (Numbers::One(a), Numbers::One(b)) => vec![f(a, b); rows],
    }
}

/// The bit `f` of each row of two columns.
pub(super) fn bits2<A: Copy, B: Copy>(
    a: Numbers<'_, A>,
    b: Numbers<'_, B>,
    rows: usize,
    f: impl Fn(A, B) -> bool,
) -> BooleanBuffer {
    match (a, b) {
        (Numbers::All(a), Numbers::All(b)) => {
            let words = a.chunks(64).zip(b.chunks(64)).map(|(a, b)| word(a.iter().zip(b), |(a, b)| f(*a, *b)));
            packed(words, rows)
        }
        (Numbers::All(a), Numbers::One(b)) => packed(a.chunks(64).map(|a| word(a.iter(), |a| f(*a, b))), rows),
        (Numbers::One(a), Numbers::All(b)) => packed(b.chunks(64).map(|b| word(b.iter(), |b| f(a, *b))), rows),
        (Numbers::One(a), Numbers::One(b)) if f(a, b) => BooleanBuffer::new_set(rows),
        (Numbers::One(_), Numbers::One(_)) => BooleanBuffer::new_unset(rows),
    }
}

/// The bits of up to 64 rows, the first row lowest.
fn word<T>(rows: impl Iterator<Item = T>, f: impl Fn(T) -> bool) -> u64 {
    rows.enumerate().fold(0, |word, (row, value)| word | u64::from(f(value)) << row)
}

fn packed(words: impl Iterator<Item = u64>, rows: usize) -> BooleanBuffer {
    BooleanBuffer::new(Buffer::from_vec(words.map(u64::to_le).collect::<Vec<_>>()), 0, rows)
}

/// Values and which of them are there, from `f` that gives none for a missing one.
pub(super) fn split<T: Default + Clone>(values: &[Option<T>]) -> (Vec<T>, super::column::Nulls) {
    let found = BooleanBuffer::collect_bool(values.len(), |row| values[row].is_some());
    let nulls = (found.count_set_bits() < values.len()).then(|| found.into());
    (values.iter().map(|value| value.clone().unwrap_or_default()).collect(), nulls)
}
