//! `in` with a list of constants: a hash set that is built once, so that a long list costs no more than a short one.

use std::sync::Arc;

use arrow_buffer::BooleanBuffer;
use foldhash::fast::FixedState;
use hashbrown::HashSet;

use crate::expr::column::{Column, Constant, Native, NumberOperand, TextOperand, mistyped};
use crate::expr::loops::map2_to_bits;

/// Constants of one type, with or without null.
#[derive(Clone, Debug)]
pub(in crate::expr) struct Members {
    set: MemberSet,
    has_null: bool,
}

#[derive(Clone, Debug)]
enum MemberSet {
    /// Only nulls, or nothing.
    Empty,
    Bools([bool; 2]),
    Ints(HashSet<i64, FixedState>),
    /// The bits of doubles, with 0.0 for both zeros. NaN is left out, because it equals nothing.
    Doubles(HashSet<u64, FixedState>),
    Texts(HashSet<Arc<str>, FixedState>),
}

impl Members {
    /// Collects constants, all of the same type or null.
    pub(in crate::expr) fn new(constants: &[Constant]) -> Self {
        let mut members = Self { set: MemberSet::Empty, has_null: false };
        for constant in constants {
            members.add(constant);
        }
        members
    }

    fn add(&mut self, constant: &Constant) {
        if matches!(constant, Constant::Null) {
            self.has_null = true;
            return;
        }
        if matches!(self.set, MemberSet::Empty) {
            self.set = match constant {
                Constant::Bool(_) => MemberSet::Bools([false; 2]),
                Constant::Int(_) => MemberSet::Ints(HashSet::default()),
                Constant::Double(_) => MemberSet::Doubles(HashSet::default()),
                Constant::Text(_) | Constant::Null => MemberSet::Texts(HashSet::default()),
            };
        }
        match (&mut self.set, constant) {
            (MemberSet::Bools(set), Constant::Bool(value)) => set[usize::from(*value)] = true,
            (MemberSet::Ints(set), Constant::Int(value)) => drop(set.insert(*value)),
            (MemberSet::Doubles(_), Constant::Double(value)) if value.is_nan() => {}
            (MemberSet::Doubles(set), Constant::Double(value)) => drop(set.insert(canonical_bits(*value))),
            (MemberSet::Texts(set), Constant::Text(text)) => drop(set.insert(text.clone())),
            _ => mistyped(),
        }
    }
}

/// The bits of a double where -0.0 has become 0.0.
fn canonical_bits(value: f64) -> u64 {
    (value + 0.0).to_bits()
}

/// The rows whose value is one of the members; a missing value is one if null is.
pub(in crate::expr) fn contains(members: &Members, column: &Column, rows: usize) -> BooleanBuffer {
    let there = column.present(rows);
    let found = if column.is_null() { BooleanBuffer::new_unset(rows) } else { find_in_set(&members.set, column, rows) };
    let found = &found & &there;
    if members.has_null { &found | &!&there } else { found }
}

fn find_in_set(set: &MemberSet, column: &Column, rows: usize) -> BooleanBuffer {
    match set {
        MemberSet::Empty => BooleanBuffer::new_unset(rows),
        MemberSet::Bools(set) => {
            let values = column.booleans(rows);
            BooleanBuffer::collect_bool(rows, |row| set[usize::from(values.value(row))])
        }
        MemberSet::Ints(set) => {
            map2_to_bits(i64::numbers(column), NumberOperand::One(()), rows, |value, ()| set.contains(&value))
        }
        MemberSet::Doubles(set) => {
            // NaN's bits are never in the set.
            map2_to_bits(f64::numbers(column), NumberOperand::One(()), rows, |value, ()| {
                set.contains(&canonical_bits(value))
            })
        }
        MemberSet::Texts(set) => {
            let texts: TextOperand<'_> = column.texts();
            BooleanBuffer::collect_bool(rows, |row| set.contains(texts.get(row)))
        }
    }
}
