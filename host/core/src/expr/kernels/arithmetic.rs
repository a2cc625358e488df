//! Arithmetic. Ints that overflow or are divided by zero are missing; doubles follow IEEE 754.

use arrow_buffer::NullBuffer;

use crate::expr::column::{Column, Constant, Native};
use crate::expr::loops::{bits2, map, map2};

/// Loops over ints with an operation that also says whether its result is none.
///
/// Values and failures are separate loops: neither branches on a row, so that a column without a failure
/// costs about what wrapping would.
fn checked(arguments: &[Column], rows: usize, f: impl Fn(i64, i64) -> (i64, bool)) -> Column {
    let (a, b) = (i64::of(&arguments[0]), i64::of(&arguments[1]));
    let values = map2(a, b, rows, |a, b| f(a, b).0);
    let failures = bits2(a, b, rows, |a, b| f(a, b).1);
    let nulls = (failures.count_set_bits() > 0).then(|| NullBuffer::new(!&failures));
    i64::into_column(values, nulls)
}

pub(in crate::expr) fn add_ints(arguments: &[Column], rows: usize) -> Column {
    checked(arguments, rows, i64::overflowing_add)
}

pub(in crate::expr) fn subtract_ints(arguments: &[Column], rows: usize) -> Column {
    checked(arguments, rows, i64::overflowing_sub)
}

pub(in crate::expr) fn multiply_ints(arguments: &[Column], rows: usize) -> Column {
    checked(arguments, rows, i64::overflowing_mul)
}

pub(in crate::expr) fn divide_ints(arguments: &[Column], rows: usize) -> Column {
    checked(arguments, rows, |a, b| a.checked_div(b).map_or((0, true), |value| (value, false)))
}

pub(in crate::expr) fn remainder_ints(arguments: &[Column], rows: usize) -> Column {
    checked(arguments, rows, |a, b| a.checked_rem(b).map_or((0, true), |value| (value, false)))
}

pub(in crate::expr) fn negate_int(arguments: &[Column], rows: usize) -> Column {
    let zero = Column::Constant(Constant::Int(0));
    checked(&[zero, arguments[0].clone()], rows, i64::overflowing_sub)
}

pub(in crate::expr) fn abs_int(arguments: &[Column], rows: usize) -> Column {
    let unused = Column::Constant(Constant::Int(0));
    checked(&[arguments[0].clone(), unused], rows, |a, _| a.overflowing_abs())
}

fn doubles2(arguments: &[Column], rows: usize, f: impl Fn(f64, f64) -> f64) -> Column {
    f64::into_column(map2(f64::of(&arguments[0]), f64::of(&arguments[1]), rows, f), None)
}

pub(in crate::expr) fn add_doubles(arguments: &[Column], rows: usize) -> Column {
    doubles2(arguments, rows, |a, b| a + b)
}

pub(in crate::expr) fn subtract_doubles(arguments: &[Column], rows: usize) -> Column {
    doubles2(arguments, rows, |a, b| a - b)
}

pub(in crate::expr) fn multiply_doubles(arguments: &[Column], rows: usize) -> Column {
    doubles2(arguments, rows, |a, b| a * b)
}

pub(in crate::expr) fn divide_doubles(arguments: &[Column], rows: usize) -> Column {
    doubles2(arguments, rows, |a, b| a / b)
}

/// The remainder with the sign of the dividend, as C's fmod.
pub(in crate::expr) fn remainder_doubles(arguments: &[Column], rows: usize) -> Column {
    doubles2(arguments, rows, |a, b| a % b)
}

pub(in crate::expr) fn negate_double(arguments: &[Column], rows: usize) -> Column {
    f64::into_column(map(f64::of(&arguments[0]), rows, |a| -a), None)
}
