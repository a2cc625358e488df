//! Conversions. A value that has no counterpart in the other type is missing.

use arrow_buffer::BooleanBuffer;

use crate::expr::column::{Column, Native};
use crate::expr::loops::{map, split};
use crate::expr::text_builder::TextBuilder;

/// The argument as it is: `int(1)`, `string("a")`.
pub(in crate::expr) fn same(arguments: &[Column], _rows: usize) -> Column {
    arguments[0].clone()
}

pub(in crate::expr) fn int_to_double(arguments: &[Column], rows: usize) -> Column {
    f64::into_column(map(i64::of(&arguments[0]), rows, |value| value as f64), None)
}

/// Drops the fraction; NaN and what is beyond the range of an int are missing.
pub(in crate::expr) fn double_to_int(arguments: &[Column], rows: usize) -> Column {
    // Both ends are excluded, as CEL's own implementations do, although -2^63 would be an int.
    let end = -(i64::MIN as f64);
    let ints = map(f64::of(&arguments[0]), rows, |value| (-end < value && value < end).then_some(value as i64));
    let (values, nulls) = split(&ints);
    i64::into_column(values, nulls)
}

pub(in crate::expr) fn text_to_int(arguments: &[Column], rows: usize) -> Column {
    let texts = arguments[0].texts();
    let ints: Vec<Option<i64>> = (0..rows).map(|row| texts.get(row).parse().ok()).collect();
    let (values, nulls) = split(&ints);
    i64::into_column(values, nulls)
}

pub(in crate::expr) fn text_to_double(arguments: &[Column], rows: usize) -> Column {
    let texts = arguments[0].texts();
    let doubles: Vec<Option<f64>> = (0..rows).map(|row| texts.get(row).parse().ok()).collect();
    let (values, nulls) = split(&doubles);
    f64::into_column(values, nulls)
}

/// The words that CEL takes for bools.
pub(in crate::expr) fn text_to_bool(arguments: &[Column], rows: usize) -> Column {
    let texts = arguments[0].texts();
    let bools: Vec<Option<bool>> = (0..rows)
        .map(|row| match texts.get(row) {
            "1" | "t" | "true" | "TRUE" | "True" => Some(true),
            "0" | "f" | "false" | "FALSE" | "False" => Some(false),
            _ => None,
        })
        .collect();
    let (values, nulls) = split(&bools);
    Column::Bools(BooleanBuffer::from(values), nulls)
}

fn displayed<T: std::fmt::Display>(rows: usize, value: impl Fn(usize) -> T) -> Column {
    let mut builder = TextBuilder::new(rows);
    (0..rows).for_each(|row| builder.push_display(value(row)));
    Column::Texts(builder.finish())
}

pub(in crate::expr) fn bool_to_text(arguments: &[Column], rows: usize) -> Column {
    let bools = arguments[0].booleans(rows);
    displayed(rows, |row| bools.value(row))
}

pub(in crate::expr) fn int_to_text(arguments: &[Column], rows: usize) -> Column {
    let ints = map(i64::of(&arguments[0]), rows, |value| value);
    displayed(rows, |row| ints[row])
}

/// The shortest decimal that reads back as the same double.
pub(in crate::expr) fn double_to_text(arguments: &[Column], rows: usize) -> Column {
    let doubles = map(f64::of(&arguments[0]), rows, |value| value);
    displayed(rows, |row| doubles[row])
}
