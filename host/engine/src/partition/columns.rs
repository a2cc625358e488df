//! Arrow columns as plugins take them: slices of values, and bitmaps whose bits past the last row are zero.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, new_null_array};
use arrow_buffer::BooleanBuffer;
use assay_runtime::{Bools, Column, Floats, Ints, Kind, Texts};

use crate::plan::type_of;

/// One input of a batch: the Arrow column and the bitmaps made of it.
pub(super) struct InputColumn {
    kind: Kind,
    pub(super) array: ArrayRef,
    present: Vec<u8>,
    bits: Vec<u8>,
}

impl InputColumn {
    /// An input whose expression gave this column.
    pub(super) fn new(kind: Kind, array: ArrayRef) -> Self {
        let array = match (kind, array.as_primitive_opt::<Int64Type>()) {
            (Kind::Float, Some(ints)) => Arc::new(widen(ints)),
            _ => array,
        };
        let present = array.nulls().filter(|nulls| nulls.null_count() > 0).map(|nulls| bitmap(nulls.inner()));
        let bits = array.as_boolean_opt().map(|bools: &BooleanArray| bitmap(bools.values()));
        Self { kind, present: present.unwrap_or_default(), bits: bits.unwrap_or_default(), array }
    }

    /// An input that no row has.
    pub(super) fn missing(kind: Kind, rows: usize) -> Self {
        Self::new(kind, new_null_array(&type_of(kind).arrow(), rows))
    }

    /// As the plugin takes it.
    pub(super) fn as_column(&self) -> Column<'_> {
        let present = &self.present[..];
        match self.kind {
            Kind::Float => {
                Column::Floats(Floats { values: self.array.as_primitive::<Float64Type>().values(), present })
            }
            Kind::Int => Column::Ints(Ints { values: self.array.as_primitive::<Int64Type>().values(), present }),
            Kind::Boolean => Column::Bools(Bools { values: &self.bits, present }),
            Kind::Timestamp => {
                Column::Times(Ints { values: self.array.as_primitive::<TimestampMillisecondType>().values(), present })
            }
            Kind::Text => {
                let texts = self.array.as_string::<i32>();
                // Ends of texts are never negative: the same 32 bits, read without a sign.
                let ends = texts.offsets().inner().inner().typed_data::<u32>();
                Column::Texts(Texts { ends: &ends[1..], data: texts.values(), present })
            }
        }
    }
}

fn widen(ints: &Int64Array) -> Float64Array {
    ints.unary(|value| value as f64)
}

/// A bitmap of its own: least significant bit first, from the first row on, zero past the last.
fn bitmap(bits: &BooleanBuffer) -> Vec<u8> {
    let mut bytes = bits.sliced().as_slice()[..bits.len().div_ceil(8)].to_vec();
    if let (Some(last), used @ 1..) = (bytes.last_mut(), bits.len() % 8) {
        *last &= (1 << used) - 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitmaps_begin_at_the_first_row_and_end_with_zeros() {
        let bits = BooleanBuffer::from(vec![true; 21]).slice(3, 10);
        assert_eq!(bitmap(&bits), [0xff, 0b11]);
    }
}
