//! Functions of lists and maps. A list has few items beside the rows of a batch: items are looked at one by one.

use arrow_array::cast::AsArray;
use arrow_array::types::{DurationMillisecondType, Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, StringArray};
use arrow_buffer::BooleanBuffer;

use super::math::Extreme;
use crate::expr::column::{Column, Constant, Native, mistyped};
use crate::expr::lists::{Lists, concatenated};
use crate::expr::loops::split as split_nulls;
use crate::expr::node::By;
use crate::expr::text_builder::TextBuilder;
use crate::types::Type;

fn lists(column: &Column) -> &Lists {
    match column {
        Column::Lists(lists) => lists,
        _ => mistyped(),
    }
}

/// The number of items.
pub(in crate::expr) fn size(arguments: &[Column], rows: usize) -> Column {
    let lists = lists(&arguments[0]);
    i64::into_column((0..rows).map(|row| lists.len(row) as i64).collect(), None)
}

/// One item of each row's list; missing where there is none.
pub(in crate::expr) fn pick(
    list: &Column,
    by: By,
    key: &Column,
    part: Option<usize>,
    ty: &Type,
    rows: usize,
) -> Column {
    if list.is_null() || key.is_null() {
        return Column::Constant(Constant::Null);
    }
    let lists = lists(list);
    let there = key.present(rows);
    match by {
        By::Index => {
            let indexes = i64::of(key);
            let place = |row: usize| {
                let index = usize::try_from(indexes.at(row)).ok().filter(|_| there.value(row))?;
                lists.places(row).nth(index)
            };
            lists.item_of(place, part, ty)
        }
        By::Key => {
            let (keys, names) = (keys(lists), key.texts());
            // As JSON does, the last of equal keys counts.
            let is = |row: usize, place: &u32| keys.value(*place as usize) == names.get(row);
            lists.item_of(|row| lists.places(row).rev().find(|place| there.value(row) && is(row, place)), part, ty)
        }
    }
}

/// The keys of maps.
fn keys(maps: &Lists) -> &StringArray {
    maps.items.as_struct().column(0).as_string()
}

/// Whether a map (second) has a key (first).
pub(in crate::expr) fn has_key(arguments: &[Column], rows: usize) -> Column {
    let (names, maps) = (arguments[0].texts(), lists(&arguments[1]));
    let keys = keys(maps);
    let has = |row: usize| maps.places(row).any(|place| keys.value(place as usize) == names.get(row));
    Column::Bools(BooleanBuffer::collect_bool(rows, has), None)
}

/// A value of a list or of a column; those of two columns of one type compare. NaN equals nothing.
#[derive(PartialEq)]
enum Value<'a> {
    Missing,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(&'a str),
}

/// The items of lists, their type found once.
enum Items<'a> {
    Bools(&'a BooleanArray),
    Ints(&'a [i64], &'a ArrayRef),
    Doubles(&'a Float64Array),
    Texts(&'a StringArray),
}

impl<'a> Items<'a> {
    fn of(items: &'a ArrayRef) -> Self {
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

    fn at(&self, place: u32) -> Value<'a> {
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
    let has = |row: usize| {
        let wanted = value_of(value, &present, row);
        lists.places(row).any(|place| items.at(place) == wanted)
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

/// The items of the first list, then those of the second.
pub(in crate::expr) fn concatenate(arguments: &[Column], rows: usize) -> Column {
    let (a, b) = (lists(&arguments[0]), lists(&arguments[1]));
    let behind = a.items.len() as u32;
    let items = concatenated(&[a.items.clone(), b.items.clone()], a.items.data_type());
    let (mut order, mut ranges) = (Vec::new(), Vec::with_capacity(rows));
    for row in 0..rows {
        let start = order.len() as u32;
        order.extend(a.places(row).chain(b.places(row).map(|place| behind + place)));
        ranges.push((start, order.len() as u32));
    }
    Column::Lists(Lists { ranges, nulls: None, order: Some(order.into()), items })
}

/// The sum of the items that are there; missing if it overflows.
pub(in crate::expr) fn sum_ints(arguments: &[Column], rows: usize) -> Column {
    let lists = lists(&arguments[0]);
    let items = Items::of(&lists.items);
    let sum = |row: usize| {
        lists.places(row).try_fold(0_i64, |sum, place| match items.at(place) {
            Value::Int(value) => sum.checked_add(value),
            _ => Some(sum),
        })
    };
    let (values, nulls) = split_nulls(&(0..rows).map(sum).collect::<Vec<_>>());
    i64::into_column(values, nulls)
}

/// The sum of the items that are there, added in their order.
pub(in crate::expr) fn sum_doubles(arguments: &[Column], rows: usize) -> Column {
    let lists = lists(&arguments[0]);
    let items: &Float64Array = lists.items.as_primitive();
    let there = |place: u32| items.is_valid(place as usize).then(|| items.value(place as usize));
    let sum = |row: usize| lists.places(row).filter_map(there).fold(0.0, |sum, value| sum + value);
    f64::into_column((0..rows).map(sum).collect(), None)
}

/// The smallest item that is there; missing if there is none.
pub(in crate::expr) fn min<T: Extreme + Default>(arguments: &[Column], rows: usize) -> Column {
    extreme(arguments, rows, T::smaller)
}

/// The largest item that is there; missing if there is none.
pub(in crate::expr) fn max<T: Extreme + Default>(arguments: &[Column], rows: usize) -> Column {
    extreme(arguments, rows, T::larger)
}

fn extreme<T: Extreme + Default>(arguments: &[Column], rows: usize, better: fn(T, T) -> T) -> Column {
    let lists = lists(&arguments[0]);
    let items = match Items::of(&lists.items) {
        Items::Ints(values, array) => Column::Ints(values.to_vec().into(), array.nulls().cloned()),
        Items::Doubles(array) => Column::Doubles(array.values().clone(), array.nulls().cloned()),
        _ => mistyped(),
    };
    let (values, present) = (T::of(&items), items.present(lists.items.len()));
    let best = |row: usize| {
        let there = lists.places(row).map(|place| place as usize).filter(|place| present.value(*place));
        there.map(|place| values.at(place)).reduce(better)
    };
    let (values, nulls) = split_nulls(&(0..rows).map(best).collect::<Vec<_>>());
    T::into_column(values, nulls)
}

/// The texts of a list, joined with a separator; missing if one of them is.
pub(in crate::expr) fn join(arguments: &[Column], rows: usize) -> Column {
    let (lists, separators) = (lists(&arguments[0]), arguments[1].texts());
    let texts: &StringArray = lists.items.as_string();
    let mut builder = TextBuilder::new(rows);
    for row in 0..rows {
        let parts: Option<Vec<&str>> = lists
            .places(row)
            .map(|place| texts.is_valid(place as usize).then(|| texts.value(place as usize)))
            .collect();
        match parts {
            Some(parts) => builder.push_all(&parts, separators.get(row)),
            None => builder.push_missing(),
        }
    }
    Column::Texts(builder.finish())
}

/// The parts of a text between separators, at most so many (third); missing if there are too many of them.
pub(in crate::expr) fn split(arguments: &[Column], rows: usize) -> Column {
    let (texts, separators, limits) = (arguments[0].texts(), arguments[1].texts(), i64::of(&arguments[2]));
    let mut parts = TextBuilder::new(rows);
    let mut ranges = Vec::with_capacity(rows);
    let mut fits = vec![true; rows];
    let mut end = 0;
    for (row, fits) in fits.iter_mut().enumerate() {
        let start = end;
        // A missing row has any text; its parts are not looked at.
        for part in parts_of(texts.get(row), separators.get(row), limits.at(row)) {
            if end - start == crate::expr::each::MOST_ITEMS as u32 {
                *fits = false;
                break;
            }
            parts.push(part);
            end += 1;
        }
        ranges.push((start, end));
    }
    let items = std::sync::Arc::new(parts.finish());
    let lists = Lists { ranges, nulls: None, order: None, items };
    Column::Lists(if fits.contains(&false) { lists.missing_where_not(Some(fits.into())) } else { lists })
}

/// As CEL's: a negative limit is none, and no separator cuts between all characters.
fn parts_of<'a>(text: &'a str, separator: &'a str, limit: i64) -> Box<dyn Iterator<Item = &'a str> + 'a> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    if most == 0 {
        Box::new(std::iter::empty())
    } else if !separator.is_empty() {
        Box::new(text.splitn(most, separator))
    } else {
        let starts = text.char_indices().map(|(start, _)| start);
        let cut = move |start: usize, index: usize| match text[start..].chars().next() {
            Some(first) if index + 1 < most => &text[start..start + first.len_utf8()],
            _ => &text[start..],
        };
        Box::new(starts.take(most).enumerate().map(move |(index, start)| cut(start, index)))
    }
}
