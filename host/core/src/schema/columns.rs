//! Builders of Arrow columns: append values, truncate to a number of rows, finish.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, StringArray, StructArray, TimestampMillisecondArray,
};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;

use super::logical::uuid_text;
use super::program::Program;
use super::reader::AvroReader;
use super::walk::ValueSink;
use super::{DecodeProblem, Field};
use crate::types::Type;

/// The builders of a projection's columns. Between records all have the same length.
#[derive(Debug)]
pub(super) struct ColumnBuilders(Vec<ColumnBuilder>);

#[derive(Debug)]
struct ColumnBuilder {
    values: Values,
    /// It allocates nothing before the first null.
    nulls: NullBufferBuilder,
}

#[derive(Debug)]
enum Values {
    Boolean(BooleanBufferBuilder),
    Int(Vec<i64>),
    Timestamp(Vec<i64>),
    Double(Vec<f64>),
    Text(TextBuffer),
    List(ListBuilder),
}

/// The builder of lists. A map is a list of keys and values.
#[derive(Debug)]
struct ListBuilder {
    /// The end of each list, after a leading 0.
    offsets: Vec<i32>,
    /// The columns of the items' parts; items that are scalars have one.
    parts: ColumnBuilders,
    ty: Type,
}

#[derive(Debug)]
struct TextBuffer {
    /// The end of each text in `data`, after a leading 0.
    offsets: Vec<i32>,
    data: Vec<u8>,
}

impl ColumnBuilders {
    pub(super) fn new(fields: &[Field]) -> Self {
        Self(fields.iter().map(|field| ColumnBuilder::new(&field.kind)).collect())
    }

    /// Drops the values after the first `rows` rows, of a record that turned out to be malformed.
    #[cold]
    pub(super) fn truncate(&mut self, rows: usize) {
        self.0.iter_mut().for_each(|column| column.truncate(rows));
    }

    /// The finished columns, which own their memory. The new buffers have the same capacity, so that a batch of the
    /// same size does not grow them again.
    pub(super) fn finish(&mut self) -> Vec<ArrayRef> {
        self.0.iter_mut().map(ColumnBuilder::finish).collect()
    }
}

impl<'a> ValueSink<'a> for ColumnBuilders {
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
    fn text(&mut self, column: usize, value: &'a [u8]) -> Result<(), DecodeProblem> {
        let column = &mut self.0[column];
        if let Values::Text(texts) = &mut column.values {
            texts.push(value)?;
        }
        column.nulls.append_non_null();
        Ok(())
    }

    fn uuid(&mut self, column: usize, value: [u8; 16]) -> Result<(), DecodeProblem> {
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
            Values::List(lists) => lists.offsets.extend(lists.offsets.last().copied()),
        }
        column.nulls.append_null();
    }

    fn list(&mut self, column: usize, items: &'a Program, reader: &mut AvroReader<'a>) -> Result<(), DecodeProblem> {
        let column = &mut self.0[column];
        if let Values::List(lists) = &mut column.values {
            let mut end = lists.offsets.last().copied().unwrap_or_default();
            reader.blocks(|reader| {
                items.run_item(reader, &mut lists.parts)?;
                end = end.checked_add(1).ok_or(DecodeProblem::BatchFull)?;
                Ok(())
            })?;
            lists.offsets.push(end);
        }
        column.nulls.append_non_null();
        Ok(())
    }
}

impl ColumnBuilder {
    fn new(ty: &Type) -> Self {
        let values = match ty {
            Type::Bool => Values::Boolean(BooleanBufferBuilder::new(0)),
            Type::Int => Values::Int(Vec::new()),
            Type::Timestamp => Values::Timestamp(Vec::new()),
            Type::Double => Values::Double(Vec::new()),
            Type::Text => Values::Text(TextBuffer { offsets: vec![0], data: Vec::new() }),
            Type::List(_) | Type::Map(_) => Values::List(ListBuilder::new(ty)),
            Type::Duration | Type::Record(_) => unreachable!("no field of a schema has type {ty}"),
        };
        Self { values, nulls: NullBufferBuilder::new(0) }
    }

    fn truncate(&mut self, rows: usize) {
        match &mut self.values {
            Values::Boolean(values) => values.truncate(rows),
            Values::Int(values) | Values::Timestamp(values) => values.truncate(rows),
            Values::Double(values) => values.truncate(rows),
            Values::Text(texts) => texts.truncate(rows),
            Values::List(lists) => lists.truncate(rows),
        }
        self.nulls.truncate(rows);
    }

    fn finish(&mut self) -> ArrayRef {
        let nulls = self.nulls.finish();
        match &mut self.values {
            Values::Boolean(values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Int(values) => Arc::new(Int64Array::new(take_values(values).into(), nulls)),
            Values::Timestamp(values) => Arc::new(TimestampMillisecondArray::new(take_values(values).into(), nulls)),
            Values::Double(values) => Arc::new(Float64Array::new(take_values(values).into(), nulls)),
            Values::Text(texts) => {
                let (offsets, data) = texts.finish();
                // Cannot panic: offsets start at 0 and ascend, and every text was checked to be UTF-8. The
                // constructor checks both again, for about 1 ns a text.
                Arc::new(StringArray::new(offsets, data, nulls))
            }
            Values::List(lists) => lists.finish(nulls),
        }
    }
}

impl ListBuilder {
    fn new(ty: &Type) -> Self {
        let parts = match ty {
            Type::Map(value) => vec![ColumnBuilder::new(&Type::Text), ColumnBuilder::new(value)],
            Type::List(item) => match &**item {
                Type::Record(parts) => parts.iter().map(|(_, ty)| ColumnBuilder::new(ty)).collect(),
                scalar => vec![ColumnBuilder::new(scalar)],
            },
            other => unreachable!("{other} is no list"),
        };
        Self { offsets: vec![0], parts: ColumnBuilders(parts), ty: ty.clone() }
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        // Offsets begin with a 0 and are never negative.
        self.parts.truncate(self.offsets.last().map_or(0, |end| *end as usize));
    }

    fn finish(&mut self, nulls: Option<NullBuffer>) -> ArrayRef {
        let offsets = take_values(&mut self.offsets);
        self.offsets.push(0);
        let mut parts = self.parts.finish();
        let DataType::List(field) = self.ty.arrow() else { unreachable!("a list is a list in Arrow too") };
        let items = match field.data_type() {
            // Cannot panic, nor can the list: the fields are those of the parts, which have as many rows as offsets say.
            DataType::Struct(fields) => Arc::new(StructArray::new(fields.clone(), parts, None)),
            _ => parts.swap_remove(0),
        };
        Arc::new(ListArray::new(field, OffsetBuffer::new(ScalarBuffer::from(offsets)), items, nulls))
    }
}

impl TextBuffer {
    #[inline]
    fn push(&mut self, value: &[u8]) -> Result<(), DecodeProblem> {
        let end = self.data.len() + value.len();
        let end = i32::try_from(end).map_err(|_| DecodeProblem::BatchFull)?;
        self.data.extend_from_slice(value);
        self.offsets.push(end);
        Ok(())
    }

    fn push_empty(&mut self) {
        self.offsets.extend(self.offsets.last().copied());
    }

    fn truncate(&mut self, rows: usize) {
        // There is one offset more than rows. A column that the malformed record has not reached has exactly that many.
        self.offsets.truncate(rows + 1);
        // Offsets begin with a 0 and are never negative.
        self.data.truncate(self.offsets.last().map_or(0, |end| *end as usize));
    }

    fn finish(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        let offsets = take_values(&mut self.offsets);
        self.offsets.push(0);
        (OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from_vec(take_values(&mut self.data)))
    }
}

/// Takes the values of a vector and leaves an empty one with capacity for as many.
fn take_values<T>(values: &mut Vec<T>) -> Vec<T> {
    let capacity = values.len();
    std::mem::replace(values, Vec::with_capacity(capacity))
}
