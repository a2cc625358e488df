//! Arrow columns under construction: append, cut back, finish.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMillisecondArray};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};

use super::logical::uuid_text;
use super::walk::Sink;
use super::{DecodeProblem as Problem, Field};
use crate::types::Type;

/// The columns of a projection. All have the same length between records.
#[derive(Debug)]
pub(super) struct Columns(Vec<Column>);

#[derive(Debug)]
struct Column {
    values: Values,
    /// Costs no memory until the first null.
    nulls: NullBufferBuilder,
}

#[derive(Debug)]
enum Values {
    Boolean(BooleanBufferBuilder),
    Int(Vec<i64>),
    Timestamp(Vec<i64>),
    Double(Vec<f64>),
    Text(Texts),
}

#[derive(Debug)]
struct Texts {
    /// Where each text ends, with a 0 in front.
    offsets: Vec<i32>,
    data: Vec<u8>,
}

impl Columns {
    pub(super) fn new(fields: &[Field]) -> Self {
        Self(fields.iter().map(Column::new).collect())
    }

    /// Drops what was appended after the first `rows` rows.
    #[cold]
    pub(super) fn truncate(&mut self, rows: usize) {
        self.0.iter_mut().for_each(|column| column.truncate(rows));
    }

    /// The finished columns. Their memory is theirs; new columns start empty with the same capacity, so that
    /// a batch like the last one does not grow its buffers again.
    pub(super) fn finish(&mut self) -> Vec<ArrayRef> {
        self.0.iter_mut().map(Column::finish).collect()
    }
}

impl<'a> Sink<'a> for Columns {
    #[inline]
    fn boolean(&mut self, column: usize, value: bool) {
        let column = &mut self.0[column];
        if let Values::Boolean(values) = &mut column.values {
            values.append(value);
        }
        column.nulls.append_non_null();
    }

    #[inline]
    fn int(&mut self, column: usize, value: i64) {
        let column = &mut self.0[column];
        if let Values::Int(values) = &mut column.values {
            values.push(value);
        }
        column.nulls.append_non_null();
    }

    #[inline]
    fn timestamp(&mut self, column: usize, millis: i64) {
        let column = &mut self.0[column];
        if let Values::Timestamp(values) = &mut column.values {
            values.push(millis);
        }
        column.nulls.append_non_null();
    }

    #[inline]
    fn double(&mut self, column: usize, value: f64) {
        let column = &mut self.0[column];
        if let Values::Double(values) = &mut column.values {
            values.push(value);
        }
        column.nulls.append_non_null();
    }

    #[inline]
    fn text(&mut self, column: usize, value: &'a [u8]) -> Result<(), Problem> {
        let column = &mut self.0[column];
        if let Values::Text(texts) = &mut column.values {
            texts.push(value)?;
        }
        column.nulls.append_non_null();
        Ok(())
    }

    fn uuid(&mut self, column: usize, value: [u8; 16]) -> Result<(), Problem> {
        let column = &mut self.0[column];
        if let Values::Text(texts) = &mut column.values {
            texts.push(uuid_text(&value).as_bytes())?;
        }
        column.nulls.append_non_null();
        Ok(())
    }

    #[inline]
    fn null(&mut self, column: usize) {
        let column = &mut self.0[column];
        match &mut column.values {
            Values::Boolean(values) => values.append(false),
            Values::Int(values) | Values::Timestamp(values) => values.push(0),
            Values::Double(values) => values.push(0.0),
            Values::Text(texts) => texts.push_empty(),
        }
        column.nulls.append_null();
    }
}

impl Column {
    fn new(field: &Field) -> Self {
        let values = match field.kind {
            Type::Bool => Values::Boolean(BooleanBufferBuilder::new(0)),
            Type::Int => Values::Int(Vec::new()),
            Type::Timestamp => Values::Timestamp(Vec::new()),
            Type::Double => Values::Double(Vec::new()),
            Type::Text => Values::Text(Texts { offsets: vec![0], data: Vec::new() }),
            Type::Duration | Type::List(_) => {
                unreachable!("no field of a schema has type {}", field.kind)
            }
        };
        Self { values, nulls: NullBufferBuilder::new(0) }
    }

    fn truncate(&mut self, rows: usize) {
        match &mut self.values {
            Values::Boolean(values) => values.truncate(rows),
            Values::Int(values) | Values::Timestamp(values) => values.truncate(rows),
            Values::Double(values) => values.truncate(rows),
            Values::Text(texts) => texts.truncate(rows),
        }
        self.nulls.truncate(rows);
    }

    fn finish(&mut self) -> ArrayRef {
        let nulls = self.nulls.finish();
        match &mut self.values {
            Values::Boolean(values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Int(values) => Arc::new(Int64Array::new(take(values).into(), nulls)),
            Values::Timestamp(values) => Arc::new(TimestampMillisecondArray::new(take(values).into(), nulls)),
            Values::Double(values) => Arc::new(Float64Array::new(take(values).into(), nulls)),
            Values::Text(texts) => {
                let (offsets, data) = texts.finish();
                // Cannot panic: offsets start at 0 and ascend, and every text was checked to be UTF-8. The
                // constructor checks both again, for about 1 ns a text.
                Arc::new(StringArray::new(offsets, data, nulls))
            }
        }
    }
}

impl Texts {
    #[inline]
    fn push(&mut self, value: &[u8]) -> Result<(), Problem> {
        let end = self.data.len() + value.len();
        let end = i32::try_from(end).map_err(|_| Problem::BatchFull)?;
        self.data.extend_from_slice(value);
        self.offsets.push(end);
        Ok(())
    }

    fn push_empty(&mut self) {
        self.offsets.extend(self.offsets.last().copied());
    }

    fn truncate(&mut self, rows: usize) {
        // One offset more than rows, always: a column that has not come to this row has exactly that many.
        self.offsets.truncate(rows + 1);
        // Offsets begin with a 0 and are never negative.
        self.data.truncate(self.offsets.last().map_or(0, |end| *end as usize));
    }

    fn finish(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        let offsets = take(&mut self.offsets);
        self.offsets.push(0);
        (OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from_vec(take(&mut self.data)))
    }
}

/// The vector's content; the vector itself stays behind, empty, with as much capacity.
fn take<T>(values: &mut Vec<T>) -> Vec<T> {
    let capacity = values.len();
    std::mem::replace(values, Vec::with_capacity(capacity))
}
