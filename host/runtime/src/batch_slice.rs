//! A part of a batch. Values are borrowed; data that is relative to the first row (bitmaps, ends, entities) is rebuilt.

use std::collections::HashMap;
use std::ops::Range;

use crate::batch::{Batch, Bools, Column, Floats, Ints, Texts};
use crate::states::States;

/// The rebuilt data of a part of a batch, beside the values that it borrows.
#[derive(Debug)]
pub(crate) struct BatchSlice {
    rows: Range<usize>,
    columns: Vec<RebasedColumn>,
    /// Per row, the index of its entity within the part.
    row_entities: Vec<u32>,
    /// The part's entities, as indexes into the whole batch.
    entities: Vec<u32>,
    states: States,
}

/// The rebuilt data of a column.
#[derive(Debug, Default)]
struct RebasedColumn {
    present: Vec<u8>,
    bits: Vec<u8>,
    ends: Vec<u32>,
}

impl BatchSlice {
    /// Takes rows out of a batch. The state of an entity is the one in `states` if there is one, else the batch's.
    pub(crate) fn new(batch: &Batch<'_>, rows: Range<u32>, states: &[Option<Vec<u8>>]) -> Self {
        let rows = rows.start as usize..rows.end as usize;
        let columns = batch.columns.iter().map(|column| RebasedColumn::new(column, &rows)).collect();
        let mut part =
            Self { rows, columns, row_entities: Vec::new(), entities: Vec::new(), states: States::default() };
        if !batch.entities.is_empty() {
            part.rebase_entities(batch, states);
        }
        part
    }

    fn rebase_entities(&mut self, batch: &Batch<'_>, states: &[Option<Vec<u8>>]) {
        let mut indices = HashMap::new();
        for &entity in &batch.entities[self.rows.clone()] {
            let index = *indices.entry(entity).or_insert_with(|| {
                let index = entity as usize;
                self.states.push(states[index].as_deref().unwrap_or_else(|| batch.states.get(index)));
                self.entities.push(entity);
                // The part has no more entities than the batch, whose entities are u32 indexes.
                (self.entities.len() - 1) as u32
            });
            self.row_entities.push(index);
        }
    }

    /// The part's entities as indexes into the whole batch, in the order of the part's states.
    pub(crate) fn entities(&self) -> &[u32] {
        &self.entities
    }

    /// The part as a batch of its own.
    pub(crate) fn as_batch<'a>(&'a self, whole: &'a Batch<'_>) -> Batch<'a> {
        let columns = whole.columns.iter().zip(&self.columns);
        Batch {
            // A part has no more rows than the batch, whose number of rows is a u32.
            rows: self.rows.len() as u32,
            columns: columns.map(|(column, rebased)| rebased.as_column(column, &self.rows)).collect(),
            entities: &self.row_entities,
            states: self.states.as_blobs(),
        }
    }
}

impl RebasedColumn {
    fn new(column: &Column<'_>, rows: &Range<usize>) -> Self {
        let present = match column {
            Column::Floats(floats) => floats.present,
            Column::Ints(ints) | Column::Times(ints) => ints.present,
            Column::Bools(bools) => bools.present,
            Column::Texts(texts) => texts.present,
        };
        let mut rebased = Self { present: slice_bits(present, rows), ..Self::default() };
        match column {
            Column::Bools(bools) => rebased.bits = slice_bits(bools.values, rows),
            Column::Texts(texts) => {
                let (start, _) = text_range(texts, rows);
                rebased.ends = texts.ends[rows.clone()].iter().map(|end| end - start).collect();
            }
            Column::Floats(_) | Column::Ints(_) | Column::Times(_) => {}
        }
        rebased
    }

    fn as_column<'a>(&'a self, whole: &Column<'a>, rows: &Range<usize>) -> Column<'a> {
        let present = &self.present[..];
        match whole {
            Column::Floats(floats) => Column::Floats(Floats { values: &floats.values[rows.clone()], present }),
            Column::Ints(ints) => Column::Ints(Ints { values: &ints.values[rows.clone()], present }),
            Column::Times(times) => Column::Times(Ints { values: &times.values[rows.clone()], present }),
            Column::Bools(_) => Column::Bools(Bools { values: &self.bits, present }),
            Column::Texts(texts) => {
                let (start, end) = text_range(texts, rows);
                Column::Texts(Texts { ends: &self.ends, data: &texts.data[start as usize..end as usize], present })
            }
        }
    }
}

/// The begin and the end of the texts of some rows in a column's data.
fn text_range(texts: &Texts<'_>, rows: &Range<usize>) -> (u32, u32) {
    let end_before = |row: usize| if row == 0 { 0 } else { texts.ends[row - 1] };
    (end_before(rows.start), end_before(rows.end))
}

/// The bits of some rows as a bitmap of their own. An empty bitmap stays empty.
fn slice_bits(bits: &[u8], rows: &Range<usize>) -> Vec<u8> {
    if bits.is_empty() {
        return Vec::new();
    }
    let mut sliced = vec![0; rows.len().div_ceil(8)];
    for (to, from) in rows.clone().enumerate() {
        sliced[to / 8] |= ((bits[from / 8] >> (from % 8)) & 1) << (to % 8);
    }
    sliced
}
