//! Items of lists beside each other and beside values of columns: `in`, and whether lists are equal.

use arrow_array::cast::AsArray;
use arrow_array::types::{DurationMillisecondType, Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, StringArray};
use arrow_buffer::BooleanBuffer;
use foldhash::fast::FixedState;
use hashbrown::HashSet;

use super::list::lists;
use crate::expr::column::{Column, Constant, mistyped};

/// From how many items on a list that is asked again is worth a set.
const LONG: usize = 16;

/// A value of a list or of a column; those of two columns of one type compare. NaN equals nothing.
#[derive(PartialEq)]
pub(super) enum Value<'a> {
    Missing,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(&'a str),
}

impl<'a> Value<'a> {
    /// What is the same for equal values alone; none for NaN.
    fn key(&self) -> Option<(u8, u64, &'a str)> {
        Some(match self {
            Self::Missing => (0, 0, ""),
            Self::Bool(value) => (1, u64::from(*value), ""),
            Self::Int(value) => (2, value.cast_unsigned(), ""),
            Self::Double(value) if value.is_nan() => return None,
            // Of the two zeros the positive.
            Self::Double(value) => (3, (value + 0.0).to_bits(), ""),
            Self::Text(text) => (4, 0, text),
        })
    }
}

/// The items of lists, their type found once.
pub(super) enum Items<'a> {
    Bools(&'a BooleanArray),
    Ints(&'a [i64], &'a ArrayRef),
    Doubles(&'a Float64Array),
    Texts(&'a StringArray),
}

impl<'a> Items<'a> {
    pub(super) fn of(items: &'a ArrayRef) -> Self {
        if let Some(ints) = items.as_primitive_opt::<Int64Type>() {
            Self::Ints(ints.values(), items)
        } else if let Some(doubles) = items.as_primitive_opt::<Float64Type>() {
            Self::Doubles(doubles)
        } else if let Some(texts) = items.as_string_opt::<i32>() {
            Self::Texts(texts)
        } else if let Some(times) = items.as_primitive_opt::<TimestampMillisecondType>() {
            Self::Ints(times.values(), items)
        } else if let Some(spans) = items.as_primitive_opt::<DurationMillisecondType>() {
            Self::Ints(spans.values(), items)
        } else if let Some(bools) = items.as_boolean_opt() {
            Self::Bools(bools)
        } else {
            mistyped()
        }
    }

    pub(super) fn at(&self, place: u32) -> Value<'a> {
        let place = place as usize;
        match self {
            Self::Bools(array) if array.is_valid(place) => Value::Bool(array.value(place)),
            Self::Ints(values, array) if array.is_valid(place) => Value::Int(values[place]),
            Self::Doubles(array) if array.is_valid(place) => Value::Double(array.value(place)),
            Self::Texts(array) if array.is_valid(place) => Value::Text(array.value(place)),
            _ => Value::Missing,
        }
    }
}

/// The value of a row of a column.
fn value_of<'a>(column: &'a Column, present: &BooleanBuffer, row: usize) -> Value<'a> {
    if !present.value(row) {
        return Value::Missing;
    }
    match column {
        Column::Bools(values, _) => Value::Bool(values.value(row)),
        Column::Ints(values, _) => Value::Int(values[row]),
        Column::Doubles(values, _) => Value::Double(values[row]),
        Column::Texts(array) => Value::Text(array.value(row)),
        Column::Constant(Constant::Bool(value)) => Value::Bool(*value),
        Column::Constant(Constant::Int(value)) => Value::Int(*value),
        Column::Constant(Constant::Double(value)) => Value::Double(*value),
        Column::Constant(Constant::Text(value)) => Value::Text(value),
        Column::Constant(Constant::Null) | Column::Lists(_) => Value::Missing,
    }
}

/// Whether a list (second) has a value (first), which may be missing, as items may be; missing for a missing list.
pub(in crate::expr) fn contains(arguments: &[Column], rows: usize) -> Column {
    let [value, list] = arguments else { mistyped() };
    if list.is_null() {
        return Column::Constant(Constant::Null);
    }
    let lists = lists(list);
    let (items, present) = (Items::of(&lists.items), value.present(rows));
    // In a macro one list is asked for all items, one after the other: a long one becomes a set.
    let (mut of, mut set) = (None, HashSet::with_hasher(FixedState::default()));
    let has = |row: usize| {
        let wanted = value_of(value, &present, row);
        if lists.len(row) < LONG || row == 0 || lists.ranges[row] != lists.ranges[row - 1] {
            return lists.places(row).any(|place| items.at(place) == wanted);
        }
        if of != Some(lists.ranges[row]) {
            of = Some(lists.ranges[row]);
            set = lists.places(row).filter_map(|place| items.at(place).key()).collect();
        }
        wanted.key().is_some_and(|key| set.contains(&key))
    };
    Column::Bools(BooleanBuffer::collect_bool(rows, has), lists.nulls.clone())
}

/// Whether two lists have equal items, where two missing ones are equal.
pub(in crate::expr) fn equal(arguments: &[Column], rows: usize) -> Column {
    let (a, b) = (lists(&arguments[0]), lists(&arguments[1]));
    let (left, right) = (Items::of(&a.items), Items::of(&b.items));
    let equal = |row: usize| {
        a.len(row) == b.len(row) && a.places(row).zip(b.places(row)).all(|(x, y)| left.at(x) == right.at(y))
    };
    Column::Bools(BooleanBuffer::collect_bool(rows, equal), None)
}

/// Whether two lists differ.
pub(in crate::expr) fn differ(arguments: &[Column], rows: usize) -> Column {
    Column::Bools(!equal(arguments, rows).booleans(rows).values(), None)
}
