//! The arguments and results of kernels: a column of values or one constant, whose type the checker has fixed.
//!
//! Timestamps and durations are ints here (milliseconds); only the conversion to Arrow tells them apart.

use std::sync::Arc;

use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{DurationMillisecondType, Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, DurationMillisecondArray, Float64Array, Int64Array, StringArray,
    TimestampMillisecondArray, new_null_array,
};
use arrow_buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};

use super::lists::Lists;
pub(super) use super::loops::{NumberOperand, TextOperand};
use super::text_builder::{MAX_TEXT_BYTES, TextBuilder};
use crate::types::Type;

/// The rows that have a value; none means that all have one.
pub(super) type Nulls = Option<NullBuffer>;

/// One value for every row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Constant {
    Null,
    Bool(bool),
    /// An int, or the milliseconds of a timestamp or a duration.
    Int(i64),
    Double(f64),
    Text(Arc<str>),
}

/// A value for each row.
#[derive(Clone, Debug)]
pub(super) enum Column {
    Bools(BooleanBuffer, Nulls),
    /// Ints, timestamps and durations.
    Ints(ScalarBuffer<i64>, Nulls),
    Doubles(ScalarBuffer<f64>, Nulls),
    Texts(StringArray),
    /// Lists and maps.
    Lists(Lists),
    Constant(Constant),
}

/// A native number that a column can hold.
pub(super) trait Native: Copy + PartialOrd {
    fn numbers(column: &Column) -> NumberOperand<'_, Self>;
    fn into_column(values: Vec<Self>, nulls: Nulls) -> Column;
}

impl Native for i64 {
    fn numbers(column: &Column) -> NumberOperand<'_, Self> {
        match column {
            Column::Ints(values, _) => NumberOperand::All(values),
            Column::Constant(Constant::Int(value)) => NumberOperand::One(*value),
            _ => mistyped(),
        }
    }

    fn into_column(values: Vec<Self>, nulls: Nulls) -> Column {
        Column::Ints(values.into(), nulls)
    }
}

impl Native for f64 {
    fn numbers(column: &Column) -> NumberOperand<'_, Self> {
        match column {
            Column::Doubles(values, _) => NumberOperand::All(values),
            Column::Constant(Constant::Double(value)) => NumberOperand::One(*value),
            _ => mistyped(),
        }
    }

    fn into_column(values: Vec<Self>, nulls: Nulls) -> Column {
        Column::Doubles(values.into(), nulls)
    }
}

/// Called where a column has another type than its kernel takes. It cannot happen: the checker chooses kernels by the
/// types of their arguments, and `from_array` checks the arrays against those types.
pub(super) fn mistyped() -> ! {
    unreachable!("a kernel was given a column of a type that the checker did not promise")
}

impl Column {
    /// Converts an Arrow array of a type; none if the array is of another type.
    pub(super) fn from_array(array: &ArrayRef, ty: &Type) -> Option<Self> {
        let nulls = array.nulls().cloned();
        Some(match ty {
            Type::Bool => Self::Bools(array.as_boolean_opt()?.values().clone(), nulls),
            Type::Int => Self::Ints(array.as_primitive_opt::<Int64Type>()?.values().clone(), nulls),
            Type::Double => Self::Doubles(array.as_primitive_opt::<Float64Type>()?.values().clone(), nulls),
            Type::Text => Self::Texts(array.as_string_opt::<i32>()?.clone()),
            Type::Timestamp => {
                Self::Ints(array.as_primitive_opt::<TimestampMillisecondType>()?.values().clone(), nulls)
            }
            Type::Duration => Self::Ints(array.as_primitive_opt::<DurationMillisecondType>()?.values().clone(), nulls),
            Type::List(_) | Type::Map(_) if array.data_type() == &ty.arrow() => {
                Self::Lists(Lists::from_array(array.as_list_opt::<i32>()?))
            }
            Type::List(_) | Type::Map(_) | Type::Record(_) => return None,
        })
    }

    /// Converts to the Arrow array of a type; constants are repeated for each row.
    pub(super) fn into_array(self, ty: &Type, rows: usize) -> ArrayRef {
        match self {
            Self::Constant(Constant::Null) => new_null_array(&ty.arrow(), rows),
            Self::Constant(constant) => constant.repeat(rows).into_array(ty, rows),
            Self::Bools(values, nulls) => Arc::new(BooleanArray::new(values, nulls)),
            Self::Ints(values, nulls) => match ty {
                Type::Timestamp => Arc::new(TimestampMillisecondArray::new(values, nulls)),
                Type::Duration => Arc::new(DurationMillisecondArray::new(values, nulls)),
                _ => Arc::new(Int64Array::new(values, nulls)),
            },
            Self::Doubles(values, nulls) => Arc::new(Float64Array::new(values, nulls)),
            Self::Texts(array) => Arc::new(array),
            Self::Lists(lists) => lists.into_array(ty),
        }
    }

    /// The rows that have a value; none means that all have one. A constant null has no buffer either: see `is_null`.
    pub(super) fn nulls(&self) -> Option<&NullBuffer> {
        match self {
            Self::Bools(_, nulls) | Self::Ints(_, nulls) | Self::Doubles(_, nulls) => nulls.as_ref(),
            Self::Texts(array) => array.nulls(),
            Self::Lists(lists) => lists.nulls.as_ref(),
            Self::Constant(_) => None,
        }
    }

    /// True for the constant null, which is missing in every row.
    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Constant(Constant::Null))
    }

    /// One bit a row: set if the row has a value.
    pub(super) fn present(&self, rows: usize) -> BooleanBuffer {
        match self.nulls() {
            Some(nulls) => nulls.inner().clone(),
            None if self.is_null() => BooleanBuffer::new_unset(rows),
            None => BooleanBuffer::new_set(rows),
        }
    }

    /// The same values, missing also where `more` has a null.
    pub(super) fn union_nulls(self, more: Option<&NullBuffer>) -> Self {
        if more.is_none() {
            return self;
        }
        match self {
            Self::Bools(values, nulls) => Self::Bools(values, NullBuffer::union(nulls.as_ref(), more)),
            Self::Ints(values, nulls) => Self::Ints(values, NullBuffer::union(nulls.as_ref(), more)),
            Self::Doubles(values, nulls) => Self::Doubles(values, NullBuffer::union(nulls.as_ref(), more)),
            Self::Texts(array) => Self::Texts(union_array_nulls(&array, more).as_string().clone()),
            Self::Lists(lists) => {
                let nulls = NullBuffer::union(lists.nulls.as_ref(), more);
                Self::Lists(Lists { nulls, ..lists })
            }
            constant @ Self::Constant(_) => constant,
        }
    }

    /// Bools as an Arrow array, constants repeated.
    pub(super) fn booleans(&self, rows: usize) -> BooleanArray {
        match self {
            Self::Bools(values, nulls) => BooleanArray::new(values.clone(), nulls.clone()),
            Self::Constant(Constant::Null) => BooleanArray::new_null(rows),
            Self::Constant(Constant::Bool(value)) => BooleanArray::new(repeated_bit(*value, rows), None),
            _ => mistyped(),
        }
    }

    /// The column as an argument of a loop over texts.
    pub(super) fn texts(&self) -> TextOperand<'_> {
        match self {
            Self::Texts(array) => TextOperand::All(array),
            Self::Constant(Constant::Text(text)) => TextOperand::One(text),
            _ => mistyped(),
        }
    }

    /// The value of the first row of a column that has one; none if it is a list, which is no constant.
    pub(super) fn first(&self) -> Option<Constant> {
        Some(match self {
            Self::Constant(constant) => constant.clone(),
            column if column.nulls().is_some_and(|nulls| nulls.is_null(0)) => Constant::Null,
            Self::Bools(values, _) => Constant::Bool(values.value(0)),
            Self::Ints(values, _) => Constant::Int(values[0]),
            Self::Doubles(values, _) => Constant::Double(values[0]),
            Self::Texts(array) => Constant::Text(array.value(0).into()),
            Self::Lists(_) => return None,
        })
    }

    /// The values of some rows, in the order of `rows`; a row may occur several times.
    pub(super) fn take(&self, rows: &[u32]) -> Self {
        let nulls = self
            .nulls()
            .map(|nulls| BooleanBuffer::collect_bool(rows.len(), |at| nulls.is_valid(rows[at] as usize)).into());
        match self {
            Self::Constant(constant) => Self::Constant(constant.clone()),
            Self::Bools(values, _) => {
                Self::Bools(BooleanBuffer::collect_bool(rows.len(), |at| values.value(rows[at] as usize)), nulls)
            }
            Self::Ints(values, _) => Self::Ints(rows.iter().map(|row| values[*row as usize]).collect(), nulls),
            Self::Doubles(values, _) => Self::Doubles(rows.iter().map(|row| values[*row as usize]).collect(), nulls),
            Self::Texts(array) => {
                let mut builder = TextBuilder::new(rows.len());
                for row in rows.iter().map(|row| *row as usize) {
                    if array.is_null(row) { builder.push_missing() } else { builder.push(array.value(row)) }
                }
                Self::Texts(builder.finish())
            }
            Self::Lists(lists) => Self::Lists(lists.take(rows, nulls)),
        }
    }

    /// The same values, but texts longer than `MAX_TEXT_BYTES` are missing.
    pub(super) fn without_long_texts(self) -> Self {
        match self {
            Self::Texts(array) if array.value_data().len() > MAX_TEXT_BYTES => {
                let fits =
                    BooleanBuffer::collect_bool(array.len(), |row| array.value_length(row) as usize <= MAX_TEXT_BYTES);
                let nulls = (fits.count_set_bits() < array.len()).then(|| NullBuffer::new(fits));
                Self::Texts(array).union_nulls(nulls.as_ref())
            }
            Self::Constant(Constant::Text(text)) if text.len() > MAX_TEXT_BYTES => Self::Constant(Constant::Null),
            other => other,
        }
    }
}

impl From<BooleanArray> for Column {
    fn from(array: BooleanArray) -> Self {
        let (values, nulls) = array.into_parts();
        Self::Bools(values, nulls)
    }
}

impl Constant {
    /// A column with this value in each row. A null stays a constant, because it has no type here.
    pub(super) fn repeat(&self, rows: usize) -> Column {
        match self {
            Self::Null => Column::Constant(Self::Null),
            Self::Bool(value) => Column::Bools(repeated_bit(*value, rows), None),
            Self::Int(value) => Column::Ints(vec![*value; rows].into(), None),
            Self::Double(value) => Column::Doubles(vec![*value; rows].into(), None),
            Self::Text(text) => {
                let mut builder = TextBuilder::new(rows);
                (0..rows).for_each(|_| builder.push(text));
                Column::Texts(builder.finish())
            }
        }
    }
}

/// The array, missing also where `more` has a null. The values are shared, not copied.
fn union_array_nulls(array: &dyn Array, more: Option<&NullBuffer>) -> ArrayRef {
    let absent = more.map(|more| BooleanArray::new(!more.inner(), None));
    match absent.map(|absent| arrow_select::nullif::nullif(array, &absent)) {
        Some(Ok(array)) => array,
        // It fails only for arrays of different lengths.
        _ => mistyped(),
    }
}

fn repeated_bit(value: bool, rows: usize) -> BooleanBuffer {
    let mut builder = BooleanBufferBuilder::new(rows);
    builder.append_n(rows, value);
    builder.finish()
}
