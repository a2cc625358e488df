//! Compares items of lists with each other and with values of columns: `in`, and the equality of lists.

use arrow_array::cast::AsArray;
use arrow_array::types::{DurationMillisecondType, Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, StringArray};
use arrow_buffer::BooleanBuffer;
use foldhash::fast::FixedState;
use hashbrown::HashSet;

use super::list::lists;
use crate::expr::column::{Column, Constant, mistyped};

/// From this length on, a list that several rows in succession look into is put into a hash set.
const MIN_ITEMS_FOR_SET: usize = 16;

/// An item of a list or a value of a column, for comparison. NaN equals nothing.
#[derive(PartialEq)]
pub(super) enum ItemValue<'a> {
    Missing,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(&'a str),
}

impl<'a> ItemValue<'a> {
    /// The key in a hash set, equal exactly for equal values; none for NaN.
    fn key(&self) -> Option<(u8, u64, &'a str)> {
        Some(match self {
            Self::Missing => (0, 0, ""),
            Self::Bool(value) => (1, u64::from(*value), ""),
            Self::Int(value) => (2, value.cast_unsigned(), ""),
            Self::Double(value) if value.is_nan() => return None,
            // Adding 0.0 turns -0.0 into 0.0, which equals it.
            Self::Double(value) => (3, (value + 0.0).to_bits(), ""),
            Self::Text(text) => (4, 0, text),
        })
    }
}

/// The items of lists. The type is matched once, not per item.
pub(super) enum ListItems<'a> {
    Bools(&'a BooleanArray),
    Ints(&'a [i64], &'a ArrayRef),
    Doubles(&'a Float64Array),
    Texts(&'a StringArray),
}

impl<'a> ListItems<'a> {
    pub(super) fn from_array(items: &'a ArrayRef) -> Self {
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

    pub(super) fn at(&self, place: u32) -> ItemValue<'a> {
        let place = place as usize;
        match self {
            Self::Bools(array) if array.is_valid(place) => ItemValue::Bool(array.value(place)),
            Self::Ints(values, array) if array.is_valid(place) => ItemValue::Int(values[place]),
            Self::Doubles(array) if array.is_valid(place) => ItemValue::Double(array.value(place)),
            Self::Texts(array) if array.is_valid(place) => ItemValue::Text(array.value(place)),
            _ => ItemValue::Missing,
        }
    }
}

/// The value of a row of a column.
fn read_value<'a>(column: &'a Column, present: &BooleanBuffer, row: usize) -> ItemValue<'a> {
    if !present.value(row) {
        return ItemValue::Missing;
    }
    match column {
        Column::Bools(values, _) => ItemValue::Bool(values.value(row)),
        Column::Ints(values, _) => ItemValue::Int(values[row]),
        Column::Doubles(values, _) => ItemValue::Double(values[row]),
        Column::Texts(array) => ItemValue::Text(array.value(row)),
        Column::Constant(Constant::Bool(value)) => ItemValue::Bool(*value),
        Column::Constant(Constant::Int(value)) => ItemValue::Int(*value),
        Column::Constant(Constant::Double(value)) => ItemValue::Double(*value),
        Column::Constant(Constant::Text(value)) => ItemValue::Text(value),
        Column::Constant(Constant::Null) | Column::Lists(_) => ItemValue::Missing,
    }
}

/// True if a list (second) has a value (first). Value and items may be missing: a missing value equals a missing item.
/// The result is missing for a missing list.
pub(in crate::expr) fn contains(arguments: &[Column], rows: usize) -> Column {
    let [value, list] = arguments else { mistyped() };
    if list.is_null() {
        return Column::Constant(Constant::Null);
    }
    let lists = lists(list);
    let (items, present) = (ListItems::from_array(&lists.items), value.present(rows));
    // In the body of a macro one list is looked into for each item in turn: a long list becomes a set.
    let (mut set_range, mut set) = (None, HashSet::with_hasher(FixedState::default()));
    let has = |row: usize| {
        let wanted = read_value(value, &present, row);
        if lists.len(row) < MIN_ITEMS_FOR_SET || row == 0 || lists.ranges[row] != lists.ranges[row - 1] {
            return lists.places(row).any(|place| items.at(place) == wanted);
        }
        if set_range != Some(lists.ranges[row]) {
            set_range = Some(lists.ranges[row]);
            set = lists.places(row).filter_map(|place| items.at(place).key()).collect();
        }
        wanted.key().is_some_and(|key| set.contains(&key))
    };
    Column::Bools(BooleanBuffer::collect_bool(rows, has), lists.nulls.clone())
}

/// True if two lists have equal items. Two missing items are equal.
pub(in crate::expr) fn equal(arguments: &[Column], rows: usize) -> Column {
    let (a, b) = (lists(&arguments[0]), lists(&arguments[1]));
    let (left, right) = (ListItems::from_array(&a.items), ListItems::from_array(&b.items));
    let equal = |row: usize| {
        a.len(row) == b.len(row) && a.places(row).zip(b.places(row)).all(|(x, y)| left.at(x) == right.at(y))
    };
    Column::Bools(BooleanBuffer::collect_bool(rows, equal), None)
}

/// True if two lists differ.
pub(in crate::expr) fn differ(arguments: &[Column], rows: usize) -> Column {
    Column::Bools(!equal(arguments, rows).booleans(rows).values(), None)
}
