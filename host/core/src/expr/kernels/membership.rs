//! `in` with constants: a hash set built once, so that a long list costs no more than a short one.

use std::sync::Arc;

use arrow_buffer::BooleanBuffer;
use foldhash::fast::FixedState;
use hashbrown::HashSet;

use crate::expr::column::{Column, Constant, Native, Numbers, Texts, mistyped};
use crate::expr::loops::bits2;

/// Constants of one type, and whether null is one of them.
#[derive(Clone, Debug)]
pub(in crate::expr) struct Members {
    set: Set,
    null: bool,
}

#[derive(Clone, Debug)]
enum Set {
    /// Only nulls, or nothing.
    Empty,
    Bools([bool; 2]),
    Ints(HashSet<i64, FixedState>),
    /// The bits of doubles, of the two zeros only the positive, and no NaN since that equals nothing.
    Doubles(HashSet<u64, FixedState>),
    Texts(HashSet<Arc<str>, FixedState>),
}

impl Members {
    /// Of constants that have the same type.
    pub(in crate::expr) fn new(constants: &[Constant]) -> Self {
        let mut members = Self { set: Set::Empty, null: false };
        for constant in constants {
            members.add(constant);
        }
        members
    }

    fn add(&mut self, constant: &Constant) {
        if matches!(constant, Constant::Null) {
            self.null = true;
            return;
        }
        if matches!(self.set, Set::Empty) {
            self.set = match constant {
                Constant::Bool(_) => Set::Bools([false; 2]),
                Constant::Int(_) => Set::Ints(HashSet::default()),
                Constant::Double(_) => Set::Doubles(HashSet::default()),
                Constant::Text(_) | Constant::Null => Set::Texts(HashSet::default()),
            };
        }
        match (&mut self.set, constant) {
            (Set::Bools(set), Constant::Bool(value)) => set[usize::from(*value)] = true,
            (Set::Ints(set), Constant::Int(value)) => drop(set.insert(*value)),
            (Set::Doubles(_), Constant::Double(value)) if value.is_nan() => {}
            (Set::Doubles(set), Constant::Double(value)) => drop(set.insert(bits(*value))),
            (Set::Texts(set), Constant::Text(text)) => drop(set.insert(text.clone())),
            _ => mistyped(),
        }
    }
}

/// The bits of a double where -0.0 has become 0.0.
fn bits(value: f64) -> u64 {
    (value + 0.0).to_bits()
}

/// For each row, whether its value (or its being missing) is one of the members.
pub(in crate::expr) fn contains(members: &Members, column: &Column, rows: usize) -> BooleanBuffer {
    let there = column.present(rows);
    let found = if column.is_null() { BooleanBuffer::new_unset(rows) } else { found(&members.set, column, rows) };
    let found = &found & &there;
    if members.null { &found | &!&there } else { found }
}

fn found(set: &Set, column: &Column, rows: usize) -> BooleanBuffer {
    match set {
        Set::Empty => BooleanBuffer::new_unset(rows),
        Set::Bools(set) => {
            let values = column.booleans(rows);
            BooleanBuffer::collect_bool(rows, |row| set[usize::from(values.value(row))])
        }
        Set::Ints(set) => bits2(i64::of(column), Numbers::One(()), rows, |value, ()| set.contains(&value)),
        Set::Doubles(set) => {
            // NaN's bits are never in the set.
            bits2(f64::of(column), Numbers::One(()), rows, |value, ()| set.contains(&bits(value)))
        }
        Set::Texts(set) => {
            let texts: Texts<'_> = column.texts();
            BooleanBuffer::collect_bool(rows, |row| set.contains(texts.get(row)))
        }
    }
}
