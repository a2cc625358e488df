//! Converts between Arrow arrays and the fold's words: arguments of measures, and results.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMillisecondArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, NullBufferBuilder, ScalarBuffer};

use super::layout::Accumulator;
use super::texts::TextArena;
use crate::types::Type;

/// The argument of a measure, row by row.
pub(super) struct ArgumentColumn<'a> {
    pub(super) values: ArgumentValues<'a>,
    /// The rows with a value that counts, neither null nor NaN. `None`: all.
    present: Option<NullBuffer>,
}

/// The values of an argument.
pub(super) enum ArgumentValues<'a> {
    /// Values are not read: only their presence counts.
    Uncounted,
    /// Integers, timestamps in ms, or bits of doubles.
    Words(&'a [u64]),
    Bools(&'a BooleanArray),
    Texts(&'a StringArray),
}

impl<'a> ArgumentColumn<'a> {
    /// The argument of a measure, whose type was checked.
    pub(super) fn new(measure: &Accumulator, argument: Option<&'a ArrayRef>) -> Self {
        let Some(array) = argument else {
            return Self { values: ArgumentValues::Uncounted, present: None };
        };
        let mut present = array.logical_nulls();
        let values = match measure.argument {
            Some(Type::Double) => {
                let doubles = array.as_primitive::<Float64Type>().values();
                present = without_nans(doubles, present);
                ArgumentValues::Words(doubles.inner().typed_data())
            }
            Some(Type::Int) => ArgumentValues::Words(array.as_primitive::<Int64Type>().values().inner().typed_data()),
            Some(Type::Timestamp) => {
                ArgumentValues::Words(array.as_primitive::<TimestampMillisecondType>().values().inner().typed_data())
            }
            Some(Type::Bool) => ArgumentValues::Bools(array.as_boolean()),
            Some(Type::Text) => ArgumentValues::Texts(array.as_string()),
            Some(Type::Duration | Type::List(_) | Type::Map(_) | Type::Record(_)) | None => ArgumentValues::Uncounted,
        };
        let values = if measure.kernel.reads_values() { values } else { ArgumentValues::Uncounted };
        Self { values, present }
    }

    /// True if a row has a value that counts.
    #[inline]
    pub(super) fn is_present(&self, row: usize) -> bool {
        self.present.as_ref().is_none_or(|present| present.is_valid(row))
    }
}

/// The rows that are present and not NaN.
fn without_nans(doubles: &[f64], present: Option<NullBuffer>) -> Option<NullBuffer> {
    // The loop has no early exit, so that the compiler vectorises it: NaNs are rare.
    if !doubles.iter().fold(false, |found, value| found | value.is_nan()) {
        return present;
    }
    let numbers = NullBuffer::new(BooleanBuffer::collect_bool(doubles.len(), |row| !doubles[row].is_nan()));
    NullBuffer::union(present.as_ref(), Some(&numbers))
}

/// The builder of a measure's results.
pub(super) struct ResultColumn {
    ty: Type,
    words: Vec<u64>,
    texts: StringBuilder,
    /// `None` if results of this measure are never missing.
    present: Option<NullBufferBuilder>,
}

impl ResultColumn {
    /// A builder with capacity for `rows` rows.
    pub(super) fn new(measure: &Accumulator, rows: usize) -> Self {
        let is_text = measure.result == Type::Text;
        Self {
            ty: measure.result.clone(),
            words: Vec::with_capacity(if is_text { 0 } else { rows }),
            texts: StringBuilder::with_capacity(if is_text { rows } else { 0 }, 0),
            present: measure.kernel.can_be_missing().then(|| NullBufferBuilder::new(rows)),
        }
    }

    /// Adds the result of the next row, as a kernel gives it.
    #[inline]
    pub(super) fn push(&mut self, result: Option<u64>, texts: &TextArena) {
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
