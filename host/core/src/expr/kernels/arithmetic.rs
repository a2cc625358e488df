//! Arithmetic. Ints that overflow or are divided by zero are missing; doubles follow IEEE 754.

use arrow_buffer::NullBuffer;

use crate::expr::column::{Column, Constant, Native};
use crate::expr::loops::{map, map2, map2_to_bits};

/// Maps ints with an operation that also reports a failure, such as an overflow, which makes the row missing.
///
/// Values and failures are separate loops without a branch per row, so that a column without a failure costs about as
/// much as wrapping arithmetic.
fn map_checked(arguments: &[Column], rows: usize, f: impl Fn(i64, i64) -> (i64, bool)) -> Column {
    let (a, b) = (i64::numbers(&arguments[0]), i64::numbers(&arguments[1]));
    let values = map2(a, b, rows, |a, b| f(a, b).0);
    let failures = map2_to_bits(a, b, rows, |a, b| f(a, b).1);
    let nulls = (failures.count_set_bits() > 0).then(|| NullBuffer::new(!&failures));
    i64::into_column(values, nulls)
}

pub(in crate::expr) fn add_ints(arguments: &[Column], rows: usize) -> Column {
    map_checked(arguments, rows, i64::overflowing_add)
}

pub(in crate::expr) fn subtract_ints(arguments: &[Column], rows: usize) -> Column {
    map_checked(arguments, rows, i64::overflowing_sub)
}

pub(in crate::expr) fn multiply_ints(arguments: &[Column], rows: usize) -> Column {
    map_checked(arguments, rows, i64::overflowing_mul)
}

pub(in crate::expr) fn divide_ints(arguments: &[Column], rows: usize) -> Column {
    map_checked(arguments, rows, |a, b| a.checked_div(b).map_or((0, true), |value| (value, false)))
}

pub(in crate::expr) fn remainder_ints(arguments: &[Column], rows: usize) -> Column {
    map_checked(arguments, rows, |a, b| a.checked_rem(b).map_or((0, true), |value| (value, false)))
}

pub(in crate::expr) fn negate_int(arguments: &[Column], rows: usize) -> Column {
    let zero = Column::Constant(Constant::Int(0));
    map_checked(&[zero, arguments[0].clone()], rows, i64::overflowing_sub)
}

pub(in crate::expr) fn abs_int(arguments: &[Column], rows: usize) -> Column {
    let unused = Column::Constant(Constant::Int(0));
    map_checked(&[arguments[0].clone(), unused], rows, |a, _| a.overflowing_abs())
}

fn map_doubles(arguments: &[Column], rows: usize, f: impl Fn(f64, f64) -> f64) -> Column {
    f64::into_column(map2(f64::numbers(&arguments[0]), f64::numbers(&arguments[1]), rows, f), None)
}

pub(in crate::expr) fn add_doubles(arguments: &[Column], rows: usize) -> Column {
    map_doubles(arguments, rows, |a, b| a + b)
}

pub(in crate::expr) fn subtract_doubles(arguments: &[Column], rows: usize) -> Column {
    map_doubles(arguments, rows, |a, b| a - b)
}

pub(in crate::expr) fn multiply_doubles(arguments: &[Column], rows: usize) -> Column {
    map_doubles(arguments, rows, |a, b| a * b)
}

pub(in crate::expr) fn divide_doubles(arguments: &[Column], rows: usize) -> Column {
    map_doubles(arguments, rows, |a, b| a / b)
}

/// The remainder with the sign of the dividend, as C's fmod.
pub(in crate::expr) fn remainder_doubles(arguments: &[Column], rows: usize) -> Column {
    map_doubles(arguments, rows, |a, b| a % b)
}

pub(in crate::expr) fn negate_double(arguments: &[Column], rows: usize) -> Column {
    f64::into_column(map(f64::numbers(&arguments[0]), rows, |a| -a), None)
}
