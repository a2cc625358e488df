//! Columns of lists: each row has a range of items. Rows, filters and loops share the items without copying them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, UInt32Array, new_empty_array};
use arrow_buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use arrow_schema::DataType;

use super::column::{Column, Constant, Nulls, mistyped};
use super::text_builder::TextBuilder;
use crate::types::Type;

/// A list for each row. A map is a list of entries with a key and a value.
#[derive(Clone, Debug)]
pub(super) struct Lists {
    /// Per row: the begin and the end of its items, as indexes into `order`, or into `items` where that is none.
    pub(super) ranges: Vec<(u32, u32)>,
    pub(super) nulls: Nulls,
    /// The places of the items, in the order of the ranges; none: the items in their own order.
    pub(super) order: Option<Arc<[u32]>>,
    pub(super) items: ArrayRef,
}

impl Lists {
    pub(super) fn from_array(array: &ListArray) -> Self {
        let offsets = array.value_offsets().windows(2);
        // Offsets are never negative.
        let ranges = offsets.map(|pair| (pair[0] as u32, pair[1] as u32)).collect();
        Self { ranges, nulls: array.nulls().cloned(), order: None, items: array.values().clone() }
    }

    /// The number of a row's items; 0 if it is missing.
    pub(super) fn len(&self, row: usize) -> usize {
        let (start, end) = self.ranges[row];
        if self.is_null(row) { 0 } else { (end - start) as usize }
    }

    pub(super) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// The places of a row's items.
    pub(super) fn places(&self, row: usize) -> impl DoubleEndedIterator<Item = u32> + '_ {
        let start = self.ranges[row].0;
        (start..start + self.len(row) as u32).map(|index| self.place(index))
    }

    /// The place of the item at an index of the ranges.
    fn place(&self, index: u32) -> u32 {
        self.order.as_ref().map_or(index, |order| order[index as usize])
    }

    pub(super) fn take(&self, rows: &[u32], nulls: Nulls) -> Self {
        let ranges = rows.iter().map(|row| self.ranges[*row as usize]).collect();
        Self { ranges, nulls, order: self.order.clone(), items: self.items.clone() }
    }

    /// The same lists, missing also where a row's bit is not set. None changes nothing.
    pub(super) fn keep_rows_where(self, there: Option<BooleanBuffer>) -> Self {
        let there = there.map(NullBuffer::new);
        Self { nulls: NullBuffer::union(self.nulls.as_ref(), there.as_ref()), ..self }
    }

    pub(super) fn into_array(self, ty: &Type) -> ArrayRef {
        let rows = self.ranges.len();
        let places: UInt32Array = (0..rows).flat_map(|row| self.places(row)).collect();
        let lengths = (0..rows).map(|row| self.len(row));
        let DataType::List(field) = ty.arrow() else { mistyped() };
        match arrow_select::take::take(&self.items, &places, None) {
            Ok(items) => {
                let offsets = OffsetBuffer::from_lengths(lengths);
                Arc::new(ListArray::new(field, offsets, items, self.nulls))
            }
            // It fails only for places that are not there.
            Err(_) => mistyped(),
        }
    }

    /// The items at some places, or a part of each, as a column of a type.
    pub(super) fn items_at(&self, places: &[u32], part: Option<usize>, ty: &Type) -> Column {
        let items = match part {
            Some(part) => self.items.as_struct().column(part),
            None => &self.items,
        };
        let run = places.first().copied().unwrap_or_default() as usize;
        let is_run = places.iter().enumerate().all(|(index, place)| *place as usize == run + index);
        let taken = if is_run {
            Column::from_array(&items.slice(run, places.len()), ty)
        } else {
            Column::from_array(items, ty).map(|column| column.take(places))
        };
        match taken {
            Some(column) => column.without_long_texts(),
            // `Column::from_array` has checked the items' type.
            None => mistyped(),
        }
    }

    /// One item of each row, or a part of it; missing where `place` gives none.
    pub(super) fn pick_items(&self, place: impl Fn(usize) -> Option<u32>, part: Option<usize>, ty: &Type) -> Column {
        let places: Vec<Option<u32>> = (0..self.ranges.len()).map(place).collect();
        if self.items.is_empty() {
            return Column::Constant(Constant::Null);
        }
        let found = BooleanBuffer::collect_bool(places.len(), |row| places[row].is_some());
        let places: Vec<u32> = places.into_iter().map(Option::unwrap_or_default).collect();
        self.items_at(&places, part, ty).union_nulls(Some(&found.into()))
    }

    /// Lists whose items are the values of several columns: the list of a row has one item of each column.
    pub(super) fn from_columns(columns: Vec<Column>, ty: &Type, rows: usize) -> Self {
        let count = columns.len();
        let constants = columns.iter().all(|column| matches!(column, Column::Constant(_)));
        let each = if constants { 1 } else { rows };
        let arrays: Vec<ArrayRef> = columns.into_iter().map(|column| column.into_array(ty, each)).collect();
        let items = concatenate_arrays(&arrays, &ty.arrow());
        if constants {
            return Self { ranges: vec![(0, count as u32); rows], nulls: None, order: None, items };
        }
        let order = (0..rows).flat_map(|row| (0..count).map(move |item| (item * rows + row) as u32)).collect();
        let ranges = (0..rows).map(|row| ((row * count) as u32, ((row + 1) * count) as u32)).collect();
        Self { ranges, nulls: None, order: Some(order), items }
    }
}

/// The items of several arrays of a type, array after array. Texts that do not fit in 2 GiB are missing.
pub(super) fn concatenate_arrays(arrays: &[ArrayRef], ty: &DataType) -> ArrayRef {
    if *ty == DataType::Utf8 {
        let mut builder = TextBuilder::new(arrays.iter().map(Array::len).sum());
        for text in arrays.iter().flat_map(|array| array.as_string::<i32>()) {
            match text {
                Some(text) => builder.push(text),
                None => builder.push_missing(),
            }
        }
        return Arc::new(builder.finish());
    }
    let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
    if arrays.is_empty() {
        return new_empty_array(ty);
    }
    // It fails only for arrays of different types, and for texts beyond 2 GiB.
    arrow_select::concat::concat(&arrays).unwrap_or_else(|_| mistyped())
}
