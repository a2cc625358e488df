//! Arrow arrays as the fold sees them: arguments as words that come in, results as words that go out.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMillisecondArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, NullBufferBuilder, ScalarBuffer};

use super::kernel::Kernel;
use super::layout::Cell;
use super::texts::Texts;
use crate::types::Type;

/// A measure's argument, row by row.
pub(super) struct Input<'a> {
    pub(super) values: Values<'a>,
    /// Which rows have a value that counts: neither null nor NaN. `None`: all.
    present: Option<NullBuffer>,
}

/// The values of an argument.
pub(super) enum Values<'a> {
    /// Only that there is a value matters.
    Uncounted,
    /// Integers, timestamps in ms, or bits of doubles.
    Words(&'a [u64]),
    Bools(&'a BooleanArray),
    Texts(&'a StringArray),
}

impl<'a> Input<'a> {
    /// The argument of a measure, whose type was checked.
    pub(super) fn new(measure: &Cell, argument: Option<&'a ArrayRef>) -> Self {
        let Some(array) = argument else {
            return Self { values: Values::Uncounted, present: None };
        };
        let mut present = array.logical_nulls();
        let values = match measure.argument {
            Some(Type::Double) => {
                let doubles = array.as_primitive::<Float64Type>().values();
                present = without_nans(doubles, present);
                Values::Words(doubles.inner().typed_data())
            }
            Some(Type::Int) => Values::Words(array.as_primitive::<Int64Type>().values().inner().typed_data()),
            Some(Type::Timestamp) => {
                Values::Words(array.as_primitive::<TimestampMillisecondType>().values().inner().typed_data())
            }
            Some(Type::Bool) => Values::Bools(array.as_boolean()),
            Some(Type::Text) => Values::Texts(array.as_string()),
            Some(Type::Duration | Type::List(_) | Type::Map(_) | Type::Record(_)) | None => Values::Uncounted,
        };
        let values = if measure.kernel == Kernel::Count { Values::Uncounted } else { values };
        Self { values, present }
    }

    /// Whether a row has a value that counts.
    #[inline]
    pub(super) fn is_present(&self, row: usize) -> bool {
        self.present.as_ref().is_none_or(|present| present.is_valid(row))
    }
}

/// The rows that are present and not NaN.
fn without_nans(doubles: &[f64], present: Option<NullBuffer>) -> Option<NullBuffer> {
    // No early exit, so that it is vectorised: NaNs are rare.
    if !doubles.iter().fold(false, |found, value| found | value.is_nan()) {
        return present;
    }
    let numbers = NullBuffer::new(BooleanBuffer::collect_bool(doubles.len(), |row| !doubles[row].is_nan()));
    NullBuffer::union(present.as_ref(), Some(&numbers))
}

/// A measure's results, in the making.
pub(super) struct Output {
    ty: Type,
    words: Vec<u64>,
    texts: StringBuilder,
    /// `None`: results of this measure are never missing.
    present: Option<NullBufferBuilder>,
}

impl Output {
    /// Room for some rows.
    pub(super) fn new(measure: &Cell, rows: usize) -> Self {
        let is_text = measure.result == Type::Text;
        Self {
            ty: measure.result.clone(),
            words: Vec::with_capacity(if is_text { 0 } else { rows }),
            texts: StringBuilder::with_capacity(if is_text { rows } else { 0 }, 0),
            present: measure.kernel.can_be_missing().then(|| NullBufferBuilder::new(rows)),
        }
    }

    /// Adds what a kernel gave for the next row.
    #[inline]
    pub(super) fn push(&mut self, result: Option<u64>, texts: &Texts) {
        if self.ty == Type::Text {
            let room = &mut [0; 8];
            return self.texts.append_option(result.map(|word| texts.get(word, room)));
        }
        if let Some(present) = &mut self.present {
            present.append(result.is_some());
        }
        self.words.push(result.unwrap_or_default());
    }

    /// The column.
    pub(super) fn finish(mut self) -> ArrayRef {
        let rows = self.words.len();
        let nulls = self.present.as_mut().and_then(NullBufferBuilder::finish);
        match self.ty {
            Type::Text => return Arc::new(self.texts.finish()),
            Type::Bool => {
                let bits = BooleanBuffer::collect_bool(rows, |row| self.words[row] != 0);
                return Arc::new(BooleanArray::new(bits, nulls));
            }
            _ => {}
        }
        let buffer = Buffer::from_vec(self.words);
        match self.ty {
            Type::Double => Arc::new(Float64Array::new(ScalarBuffer::new(buffer, 0, rows), nulls)),
            Type::Timestamp => Arc::new(TimestampMillisecondArray::new(ScalarBuffer::new(buffer, 0, rows), nulls)),
            _ => Arc::new(Int64Array::new(ScalarBuffer::new(buffer, 0, rows), nulls)),
        }
    }
}
