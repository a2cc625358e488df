//! Comparisons: of numbers (also ints with doubles, exactly), texts by code points, and bools (false < true).
//!
//! NaN is neither equal to, below nor above anything, and 0.0 equals -0.0: Arrow's own kernels order doubles
//! totally, which is not what CEL says.

use std::cmp::Ordering;

use arrow_array::StringArray;
use arrow_buffer::BooleanBuffer;

use crate::expr::column::{Column, Native, Texts};
use crate::expr::loops::bits2;

/// One of the six relations.
pub(in crate::expr) trait Relation {
    /// What it says of equals, and the opposite of all others, if it only tells these apart.
    const OF_EQUALS: Option<bool>;

    fn holds<A: PartialOrd<B>, B>(a: A, b: B) -> bool;
}

macro_rules! relations {
    ($($name:ident $operator:tt $of_equals:expr),*) => {$(
        pub(in crate::expr) struct $name;
        impl Relation for $name {
            const OF_EQUALS: Option<bool> = $of_equals;

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
    Column::Bools(bits2(T::of(&arguments[0]), T::of(&arguments[1]), rows, R::holds), None)
}

/// An int and a double.
pub(in crate::expr) fn int_with_double<R: Relation>(arguments: &[Column], rows: usize) -> Column {
    let bits = bits2(i64::of(&arguments[0]), f64::of(&arguments[1]), rows, |a, b| R::holds(Exact(a), b));
    Column::Bools(bits, None)
}

/// A double and an int.
pub(in crate::expr) fn double_with_int<R: Relation>(arguments: &[Column], rows: usize) -> Column {
    let bits = bits2(f64::of(&arguments[0]), i64::of(&arguments[1]), rows, |a, b| R::holds(a, Exact(b)));
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
    let bits = match (a, b, R::OF_EQUALS) {
        (Texts::All(array), Texts::One(text), Some(of_equals)) => equals(array, text.as_bytes(), rows, of_equals),
        _ => BooleanBuffer::collect_bool(rows, |row| R::holds(a.get(row).as_bytes(), b.get(row).as_bytes())),
    };
    Column::Bools(bits, None)
}

/// By far the commonest comparison: a column with a constant. Short constants are compared byte by byte,
/// which ends early and calls nothing (1.7 ns a row; 2.3 ns by memcmp).
fn equals(array: &StringArray, text: &[u8], rows: usize, of_equals: bool) -> BooleanBuffer {
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
        equal == of_equals
    })
}

/// An int that is compared with a double without rounding either.
struct Exact(i64);

impl Exact {
    fn order(&self, double: f64) -> Option<Ordering> {
        // 2^63; every double from -2^63 to below it is an i64 after dropping its fraction.
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

impl PartialEq<f64> for Exact {
    fn eq(&self, double: &f64) -> bool {
        self.order(*double) == Some(Ordering::Equal)
    }
}

impl PartialOrd<f64> for Exact {
    fn partial_cmp(&self, double: &f64) -> Option<Ordering> {
        self.order(*double)
    }
}

impl PartialEq<Exact> for f64 {
    fn eq(&self, int: &Exact) -> bool {
        int == self
    }
}

impl PartialOrd<Exact> for f64 {
    fn partial_cmp(&self, int: &Exact) -> Option<Ordering> {
        int.order(*self).map(Ordering::reverse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ints_and_doubles_compare_without_rounding() {
        let big = (1_i64 << 53) + 1;
        assert!(Exact(big) > (1_i64 << 53) as f64);
        assert!(Exact(1) < 1.5 && Exact(-1) > -1.5 && Exact(-2) < -1.5);
        assert!(Exact(0) == -0.0 && 3.0 == Exact(3));
        assert!(Exact(i64::MAX) < 9.3e18 && Exact(i64::MIN) > -9.3e18);
        assert!(Exact(i64::MAX) < i64::MAX as f64 && Exact(i64::MIN) == i64::MIN as f64);
        assert!(Exact(0).order(f64::NAN).is_none());
        assert!(Exact(5) < f64::INFINITY && f64::NEG_INFINITY < Exact(5));
    }
}
