//! Functions of lists and maps. Membership and equality of lists are in `items`.

use arrow_array::cast::AsArray;
use arrow_array::{Array, Float64Array, StringArray};
use arrow_buffer::BooleanBuffer;

use super::items::{ItemValue, ListItems};
use super::math::Extreme;
use crate::expr::column::{Column, Constant, Native, mistyped};
use crate::expr::comprehension::MAX_ITEMS_PER_EVENT;
use crate::expr::lists::{Lists, concatenate_arrays};
use crate::expr::loops::split_nulls;
use crate::expr::node::PickBy;
use crate::expr::text_builder::TextBuilder;
use crate::types::Type;

/// The most items in a column that a kernel makes; a list that does not fit is missing.
const MAX_COLUMN_ITEMS: usize = 1 << 26;

pub(super) fn lists(column: &Column) -> &Lists {
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
    by: PickBy,
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
        PickBy::Index => {
            let indexes = i64::numbers(key);
            let place = |row: usize| {
                let index = usize::try_from(indexes.at(row)).ok().filter(|_| there.value(row))?;
                lists.places(row).nth(index)
            };
            lists.pick_items(place, part, ty)
        }
        PickBy::Key => {
            let (keys, names) = (keys(lists), key.texts());
            // As in JSON, the last of equal keys counts.
            let is = |row: usize, place: &u32| keys.value(*place as usize) == names.get(row);
            lists.pick_items(|row| lists.places(row).rev().find(|place| there.value(row) && is(row, place)), part, ty)
        }
    }
}

/// The keys of maps.
fn keys(maps: &Lists) -> &StringArray {
    maps.items.as_struct().column(0).as_string()
}

/// True if a map (second) has a key (first).
pub(in crate::expr) fn has_key(arguments: &[Column], rows: usize) -> Column {
    let (names, maps) = (arguments[0].texts(), lists(&arguments[1]));
    let keys = keys(maps);
    let has = |row: usize| maps.places(row).any(|place| keys.value(place as usize) == names.get(row));
    Column::Bools(BooleanBuffer::collect_bool(rows, has), None)
}

/// The items of the first list, then those of the second.
pub(in crate::expr) fn concatenate(arguments: &[Column], rows: usize) -> Column {
    let (a, b) = (lists(&arguments[0]), lists(&arguments[1]));
    let offset = a.items.len() as u32;
    let items = concatenate_arrays(&[a.items.clone(), b.items.clone()], a.items.data_type());
    let (mut order, mut ranges) = (Vec::new(), Vec::with_capacity(rows));
    let mut fits = vec![true; rows];
    for (row, fits) in fits.iter_mut().enumerate() {
        let start = order.len() as u32;
        *fits = order.len() + a.len(row) + b.len(row) <= MAX_COLUMN_ITEMS;
        if *fits {
            order.extend(a.places(row).chain(b.places(row).map(|place| offset + place)));
        }
        ranges.push((start, order.len() as u32));
    }
    let joined = Lists { ranges, nulls: None, order: Some(order.into()), items };
    Column::Lists(if fits.contains(&false) { joined.keep_rows_where(Some(fits.into())) } else { joined })
}

/// The sum of the items, without those that are missing; missing if it overflows.
pub(in crate::expr) fn sum_ints(arguments: &[Column], rows: usize) -> Column {
    let lists = lists(&arguments[0]);
    let items = ListItems::from_array(&lists.items);
    let sum = |row: usize| {
        lists.places(row).try_fold(0_i64, |sum, place| match items.at(place) {
            ItemValue::Int(value) => sum.checked_add(value),
            _ => Some(sum),
        })
    };
    let (values, nulls) = split_nulls(&(0..rows).map(sum).collect::<Vec<_>>());
    i64::into_column(values, nulls)
}

/// The sum of the items, without those that are missing, added in their order.
pub(in crate::expr) fn sum_doubles(arguments: &[Column], rows: usize) -> Column {
    let lists = lists(&arguments[0]);
    let items: &Float64Array = lists.items.as_primitive();
    let there = |place: u32| items.is_valid(place as usize).then(|| items.value(place as usize));
    let sum = |row: usize| lists.places(row).filter_map(there).fold(0.0, |sum, value| sum + value);
    f64::into_column((0..rows).map(sum).collect(), None)
}

/// The smallest item, without those that are missing; missing if there is none.
pub(in crate::expr) fn min<T: Extreme + Default>(arguments: &[Column], rows: usize) -> Column {
    find_extreme(arguments, rows, T::smaller)
}

/// The largest item, without those that are missing; missing if there is none.
pub(in crate::expr) fn max<T: Extreme + Default>(arguments: &[Column], rows: usize) -> Column {
    find_extreme(arguments, rows, T::larger)
}

fn find_extreme<T: Extreme + Default>(arguments: &[Column], rows: usize, better: fn(T, T) -> T) -> Column {
    let lists = lists(&arguments[0]);
    let items = match ListItems::from_array(&lists.items) {
        ListItems::Ints(values, array) => Column::Ints(values.to_vec().into(), array.nulls().cloned()),
        ListItems::Doubles(array) => Column::Doubles(array.values().clone(), array.nulls().cloned()),
        _ => mistyped(),
    };
    let (values, present) = (T::numbers(&items), items.present(lists.items.len()));
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

/// The parts of a text (first) between separators (second), at most as many as the third says; missing if they are more
/// than `MAX_ITEMS_PER_EVENT`.
pub(in crate::expr) fn split(arguments: &[Column], rows: usize) -> Column {
    let (texts, separators, limits) = (arguments[0].texts(), arguments[1].texts(), i64::numbers(&arguments[2]));
    let mut parts = TextBuilder::new(rows);
    let mut ranges = Vec::with_capacity(rows);
    let mut fits = vec![true; rows];
    let mut end = 0;
    for (row, fits) in fits.iter_mut().enumerate() {
        let start = end;
        // A missing row holds an arbitrary text; its parts are never read.
        for part in split_text(texts.get(row), separators.get(row), limits.at(row)) {
            if end - start == MAX_ITEMS_PER_EVENT as u32 || end == MAX_COLUMN_ITEMS as u32 {
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
    Column::Lists(if fits.contains(&false) { lists.keep_rows_where(Some(fits.into())) } else { lists })
}

/// As CEL's `split`: a negative limit is no limit, and an empty separator splits between all characters.
fn split_text<'a>(text: &'a str, separator: &'a str, limit: i64) -> Box<dyn Iterator<Item = &'a str> + 'a> {
    let max_parts = usize::try_from(limit).unwrap_or(usize::MAX);
    if max_parts == 0 {
        Box::new(std::iter::empty())
    } else if !separator.is_empty() {
        Box::new(text.splitn(max_parts, separator))
    } else {
        let starts = text.char_indices().map(|(start, _)| start);
        let part_at = move |start: usize, index: usize| match text[start..].chars().next() {
            Some(first) if index + 1 < max_parts => &text[start..start + first.len_utf8()],
            _ => &text[start..],
        };
        Box::new(starts.take(max_parts).enumerate().map(move |(index, start)| part_at(start, index)))
    }
}
