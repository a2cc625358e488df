//! Conversions. A value that has no counterpart in the other type is missing.

use arrow_buffer::BooleanBuffer;

use crate::expr::column::{Column, Native};
use crate::expr::loops::{map, split_nulls};
use crate::expr::text_builder::TextBuilder;

/// The argument as it is: `int(1)`, `string("a")`.
pub(in crate::expr) fn same(arguments: &[Column], _rows: usize) -> Column {
    arguments[0].clone()
}

pub(in crate::expr) fn int_to_double(arguments: &[Column], rows: usize) -> Column {
    f64::into_column(map(i64::numbers(&arguments[0]), rows, |value| value as f64), None)
}

/// Drops the fraction. NaN and values outside of the range of an int are missing.
pub(in crate::expr) fn double_to_int(arguments: &[Column], rows: usize) -> Column {
    // Both ends are excluded, as in CEL's own implementations, although -2^63 would be an int.
    let end = -(i64::MIN as f64);
    let ints = map(f64::numbers(&arguments[0]), rows, |value| (-end < value && value < end).then_some(value as i64));
    let (values, nulls) = split_nulls(&ints);
    i64::into_column(values, nulls)
}

pub(in crate::expr) fn text_to_int(arguments: &[Column], rows: usize) -> Column {
    let texts = arguments[0].texts();
    let ints: Vec<Option<i64>> = (0..rows).map(|row| texts.get(row).parse().ok()).collect();
    let (values, nulls) = split_nulls(&ints);
    i64::into_column(values, nulls)
}

pub(in crate::expr) fn text_to_double(arguments: &[Column], rows: usize) -> Column {
    let texts = arguments[0].texts();
    let doubles: Vec<Option<f64>> = (0..rows).map(|row| parse_double(texts.get(row))).collect();
    let (values, nulls) = split_nulls(&doubles);
    f64::into_column(values, nulls)
}

/// Reads a decimal number, or the name of an infinity or of NaN. Digits outside of the range of a double are no number.
fn parse_double(text: &str) -> Option<f64> {
    let is_named = !text.bytes().any(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|value: &f64| is_named || value.is_finite())
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
    let (values, nulls) = split_nulls(&bools);
    Column::Bools(BooleanBuffer::from(values), nulls)
}

fn display_rows<T: std::fmt::Display>(rows: usize, value: impl Fn(usize) -> T) -> Column {
    let mut builder = TextBuilder::new(rows);
    (0..rows).for_each(|row| builder.push_display(value(row)));
    Column::Texts(builder.finish())
}

pub(in crate::expr) fn bool_to_text(arguments: &[Column], rows: usize) -> Column {
    let bools = arguments[0].booleans(rows);
    display_rows(rows, |row| bools.value(row))
}

pub(in crate::expr) fn int_to_text(arguments: &[Column], rows: usize) -> Column {
    let ints = map(i64::numbers(&arguments[0]), rows, |value| value);
    display_rows(rows, |row| ints[row])
}

/// From this absolute value on, doubles are written with an exponent: without one they have up to 309 digits.
const MIN_LARGE_WITH_EXPONENT: f64 = 1e21;
/// Below this absolute value, doubles are written with an exponent, too.
const MIN_SMALL_WITHOUT_EXPONENT: f64 = 1e-6;

/// The shortest decimal that reads back as the same double, of 24 characters at most.
pub(in crate::expr) fn double_to_text(arguments: &[Column], rows: usize) -> Column {
    let doubles = map(f64::numbers(&arguments[0]), rows, |value| value);
    display_rows(rows, |row| ShortestDecimal(doubles[row]))
}

struct ShortestDecimal(f64);

impl std::fmt::Display for ShortestDecimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = self.0.abs();
        if size.is_finite() && size != 0.0 && !(MIN_SMALL_WITHOUT_EXPONENT..MIN_LARGE_WITH_EXPONENT).contains(&size) {
            write!(f, "{:e}", self.0)
        } else {
            write!(f, "{}", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn doubles_have_the_shortest_text_and_texts_out_of_range_are_no_doubles() {
        for (value, text) in [
            (0.1 + 0.2, "0.30000000000000004"),
            (1.0, "1"),
            (-0.0, "-0"),
            (1e20, "100000000000000000000"),
            (1e21, "1e21"),
            (-1e300, "-1e300"),
            (5e-324, "5e-324"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (f64::MAX, "1.7976931348623157e308"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(ShortestDecimal(value).to_string(), text);
        }
        for (text, value) in [
            ("1e999", None),
            ("-1e400", None),
            ("723E095012", None),
            ("inf", Some(f64::INFINITY)),
            ("1e-999", Some(0.0)),
            ("1_000", None),
            (" 1", None),
            ("0x10", None),
        ] {
            assert_eq!(parse_double(text), value, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_double_is_read_back_from_its_text(value in any::<f64>().prop_filter("finite", |value| value.is_finite())) {
            let text = ShortestDecimal(value).to_string();
            prop_assert_eq!(parse_double(&text), Some(value));
            prop_assert!(text.len() <= 25, "{}", text);
        }
    }
}
