//! Comparisons: of numbers (also ints with doubles, exactly), texts by code points, and bools (false < true).
//!
//! NaN is neither equal to, below nor above anything, and 0.0 equals -0.0. Arrow's own kernels are not used, because
//! they order doubles totally, and CEL does not.

use std::cmp::Ordering;

use arrow_array::StringArray;
use arrow_buffer::BooleanBuffer;

use crate::expr::column::{Column, Native, TextOperand};
use crate::expr::loops::map2_to_bits;

/// One of the six relations.
pub(in crate::expr) trait Relation {
    /// For `==` and `!=`: the result for equal values; all others give the opposite. None for an order.
    const ON_EQUALS: Option<bool>;

    fn holds<A: PartialOrd<B>, B>(a: A, b: B) -> bool;
}

macro_rules! relations {
    ($($name:ident $operator:tt $on_equals:expr),*) => {$(
        pub(in crate::expr) struct $name;
        impl Relation for $name {
            const ON_EQUALS: Option<bool> = $on_equals;

            fn holds<A: PartialOrd<B>, B>(a: A, b: B) -> bool {
                a $operator b
            }
        }
    )*};
}
relations!(
    Equal == Some(true),
    NotEqual != Some(false),
    Less < None,
    LessOrEqual <= None,
    Greater > None,
    GreaterOrEqual >= None
);

/// Two columns of ints (or times), or two of doubles.
pub(in crate::expr) fn numbers<R: Relation, T: Native>(arguments: &[Column], rows: usize) -> Column {
    Column::Bools(map2_to_bits(T::numbers(&arguments[0]), T::numbers(&arguments[1]), rows, R::holds), None)
}

/// An int and a double.
pub(in crate::expr) fn int_with_double<R: Relation>(arguments: &[Column], rows: usize) -> Column {
    let bits =
        map2_to_bits(i64::numbers(&arguments[0]), f64::numbers(&arguments[1]), rows, |a, b| R::holds(ExactInt(a), b));
    Column::Bools(bits, None)
}

/// A double and an int.
pub(in crate::expr) fn double_with_int<R: Relation>(arguments: &[Column], rows: usize) -> Column {
    let bits =
        map2_to_bits(f64::numbers(&arguments[0]), i64::numbers(&arguments[1]), rows, |a, b| R::holds(a, ExactInt(b)));
    Column::Bools(bits, None)
}

/// Two bools.
pub(in crate::expr) fn bools<R: Relation>(arguments: &[Column], rows: usize) -> Column {
    let (a, b) = (arguments[0].booleans(rows), arguments[1].booleans(rows));
    let (a, b) = (a.values(), b.values());
    Column::Bools(BooleanBuffer::collect_bool(rows, |row| R::holds(a.value(row), b.value(row))), None)
}

/// Two texts.
pub(in crate::expr) fn texts<R: Relation>(arguments: &[Column], rows: usize) -> Column {
    let (a, b) = (arguments[0].texts(), arguments[1].texts());
    let bits = match (a, b, R::ON_EQUALS) {
        (TextOperand::All(array), TextOperand::One(text), Some(on_equals)) => {
            match_constant(array, text.as_bytes(), rows, on_equals)
        }
        _ => BooleanBuffer::collect_bool(rows, |row| R::holds(a.get(row).as_bytes(), b.get(row).as_bytes())),
    };
    Column::Bools(bits, None)
}

/// Compares a column with a constant, by far the most common comparison. Short constants are compared byte by byte,
/// which ends early and needs no call (1.7 ns a row; 2.3 ns with memcmp).
fn match_constant(array: &StringArray, text: &[u8], rows: usize, on_equals: bool) -> BooleanBuffer {
    let (offsets, bytes) = (array.value_offsets(), array.value_data());
    let mut start = offsets[0] as usize;
    BooleanBuffer::collect_bool(rows, |row| {
        let end = offsets[row + 1] as usize;
        let value = &bytes[start..end];
        start = end;
        let equal = if text.len() <= 8 {
            value.len() == text.len() && value.iter().zip(text).all(|(a, b)| a == b)
        } else {
            value == text
        };
        equal == on_equals
    })
}

/// An int that is compared with a double, and neither is rounded.
struct ExactInt(i64);

impl ExactInt {
    fn order(&self, double: f64) -> Option<Ordering> {
        // 2^63. Each double in -2^63..2^63 is an i64 after its fraction is dropped.
        const END: f64 = 9_223_372_036_854_775_808.0;
        if double.is_nan() {
            None
        } else if double >= END {
            Some(Ordering::Less)
        } else if double < -END {
            Some(Ordering::Greater)
        } else {
            let whole = double.trunc();
            let fraction = || 0.0_f64.partial_cmp(&(double - whole));
            match self.0.cmp(&(whole as i64)) {
                Ordering::Equal => fraction(),
                order => Some(order),
            }
        }
    }
}

impl PartialEq<f64> for ExactInt {
    fn eq(&self, double: &f64) -> bool {
        self.order(*double) == Some(Ordering::Equal)
    }
}

impl PartialOrd<f64> for ExactInt {
    fn partial_cmp(&self, double: &f64) -> Option<Ordering> {
        self.order(*double)
    }
}

impl PartialEq<ExactInt> for f64 {
    fn eq(&self, int: &ExactInt) -> bool {
        int == self
    }
}

impl PartialOrd<ExactInt> for f64 {
    fn partial_cmp(&self, int: &ExactInt) -> Option<Ordering> {
        int.order(*self).map(Ordering::reverse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ints_and_doubles_compare_without_rounding() {
        let big = (1_i64 << 53) + 1;
        assert!(ExactInt(big) > (1_i64 << 53) as f64);
        assert!(ExactInt(1) < 1.5 && ExactInt(-1) > -1.5 && ExactInt(-2) < -1.5);
        assert!(ExactInt(0) == -0.0 && 3.0 == ExactInt(3));
        assert!(ExactInt(i64::MAX) < 9.3e18 && ExactInt(i64::MIN) > -9.3e18);
        assert!(ExactInt(i64::MAX) < i64::MAX as f64 && ExactInt(i64::MIN) == i64::MIN as f64);
        assert!(ExactInt(0).order(f64::NAN).is_none());
        assert!(ExactInt(5) < f64::INFINITY && f64::NEG_INFINITY < ExactInt(5));
    }
}
