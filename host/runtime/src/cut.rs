//! A part of a batch: values are borrowed, and what counts from the first row (bitmaps, ends, entities) is made anew.

use std::collections::HashMap;
use std::ops::Range;

use crate::batch::{Batch, Bools, Column, Floats, Ints, Texts};
use crate::states::States;

/// What a part of a batch needs beside the values that it borrows.
#[derive(Debug)]
pub(crate) struct Part {
    rows: Range<usize>,
    columns: Vec<Renewed>,
    /// Per row, the index of its entity among the part's.
    row_entities: Vec<u32>,
    /// The part's entities, by their index in the whole batch.
    entities: Vec<u32>,
    states: States,
}

/// What of a column cannot be borrowed.
#[derive(Debug, Default)]
struct Renewed {
    present: Vec<u8>,
    bits: Vec<u8>,
    ends: Vec<u32>,
}

impl Part {
    /// Cuts rows out of a batch, with each entity's state: the one in `states` if there is one, else the batch's.
    pub(crate) fn cut(batch: &Batch<'_>, rows: Range<u32>, states: &[Option<Vec<u8>>]) -> Self {
        let rows = rows.start as usize..rows.end as usize;
        let columns = batch.columns.iter().map(|column| Renewed::of(column, &rows)).collect();
        let mut part =
            Self { rows, columns, row_entities: Vec::new(), entities: Vec::new(), states: States::default() };
        if !batch.entities.is_empty() {
            part.cut_entities(batch, states);
        }
        part
    }

    fn cut_entities(&mut self, batch: &Batch<'_>, states: &[Option<Vec<u8>>]) {
        let mut indices = HashMap::new();
        for &entity in &batch.entities[self.rows.clone()] {
            let index = *indices.entry(entity).or_insert_with(|| {
                let index = entity as usize;
                self.states.push(states[index].as_deref().unwrap_or_else(|| batch.states.get(index)));
                self.entities.push(entity);
                // Entities of a batch are counted by u32, and these are some of them.
                (self.entities.len() - 1) as u32
            });
            self.row_entities.push(index);
        }
    }

    /// The entities of the part, by their index in the whole batch, in the order of the part's states.
    pub(crate) fn entities(&self) -> &[u32] {
        &self.entities
    }

    /// The part as a batch of its own.
    pub(crate) fn batch<'a>(&'a self, whole: &'a Batch<'_>) -> Batch<'a> {
        let columns = whole.columns.iter().zip(&self.columns);
        Batch {
            // A part has no more rows than the batch, which counts them by u32.
            rows: self.rows.len() as u32,
            columns: columns.map(|(column, renewed)| renewed.column(column, &self.rows)).collect(),
            entities: &self.row_entities,
            states: self.states.as_blobs(),
        }
    }
}

impl Renewed {
    fn of(column: &Column<'_>, rows: &Range<usize>) -> Self {
        let present = match column {
            Column::Floats(floats) => floats.present,
            Column::Ints(ints) | Column::Times(ints) => ints.present,
            Column::Bools(bools) => bools.present,
            Column::Texts(texts) => texts.present,
        };
        let mut renewed = Self { present: cut_bits(present, rows), ..Self::default() };
        match column {
            Column::Bools(bools) => renewed.bits = cut_bits(bools.values, rows),
            Column::Texts(texts) => {
                let (start, _) = text_range(texts, rows);
                renewed.ends = texts.ends[rows.clone()].iter().map(|end| end - start).collect();
            }
            Column::Floats(_) | Column::Ints(_) | Column::Times(_) => {}
        }
        renewed
    }

    fn column<'a>(&'a self, whole: &Column<'a>, rows: &Range<usize>) -> Column<'a> {
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

/// Where the texts of some rows begin and end in a column's data.
fn text_range(texts: &Texts<'_>, rows: &Range<usize>) -> (u32, u32) {
    let end_before = |row: usize| if row == 0 { 0 } else { texts.ends[row - 1] };
    (end_before(rows.start), end_before(rows.end))
}

/// The bits of some rows, moved to the front; empty stays empty.
fn cut_bits(bits: &[u8], rows: &Range<usize>) -> Vec<u8> {
    if bits.is_empty() {
        return Vec::new();
    }
    let mut cut = vec![0; rows.len().div_ceil(8)];
    for (to, from) in rows.clone().enumerate() {
        cut[to / 8] |= ((bits[from / 8] >> (from % 8)) & 1) << (to % 8);
    }
    cut
}
