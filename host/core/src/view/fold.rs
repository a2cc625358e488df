//! The fold of a batch of events into windows: the hot path.

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::BooleanBuffer;

use super::columns::{Input, Output, Values};
use super::kernel::Kernel;
use super::layout::{Cell, Layout};
use super::texts::Texts;
use super::window::{Place, Window};
use super::windows::{Windows, free_texts, values_of};
use crate::types::Type;

/// How many rows' windows are read ahead, so that their cache misses overlap.
const AHEAD: usize = 64;

/// A batch of events, in the order in which they are folded.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The slot of each row's entity.
    pub slots: &'a [u32],
    /// Each row's event time in ms since 1970.
    pub times: &'a [i64],
    /// Which rows the view counts: those that are true. `None`: all.
    pub counted: Option<&'a BooleanArray>,
    /// The argument of each measure; `None` for `count()`.
    pub arguments: &'a [Option<ArrayRef>],
}

/// What a fold gives.
#[derive(Debug)]
pub struct Folded {
    /// For each measure, each row's value at the row's time, the row itself included if it was counted.
    pub columns: Vec<ArrayRef>,
    /// How many rows were not counted because their tile is not kept any more.
    pub late: u64,
}

/// A batch that does not fit the view: a mistake of the caller, not of a user. Nothing was folded.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// A column has another length than the batch.
    #[error("{what}: expected {expected}, found {found}")]
    Length {
        /// Which column.
        what: &'static str,
        /// Rows of the batch, or measures of the view.
        expected: usize,
        /// The column's rows, or how many columns came.
        found: usize,
    },
    /// An argument has another type than the view was compiled for.
    #[error("argument {measure}: expected {expected}, found {found}")]
    Type {
        /// The measure's place in the definition, from 0.
        measure: usize,
        /// The type that the view was compiled for.
        expected: String,
        /// The type that came.
        found: String,
    },
}

/// A measure of this batch.
struct Step<'a> {
    kernel: Kernel,
    at: usize,
    input: Input<'a>,
    output: Output,
}

impl<'a> Step<'a> {
    fn new(measure: &Cell, argument: Option<&'a ArrayRef>, rows: usize) -> Self {
        let input = Input::new(measure, argument);
        Self { kernel: measure.kernel, at: measure.at, input, output: Output::new(measure, rows) }
    }
}

impl Windows {
    /// Folds events into their windows, in order, and gives each row's values as of the row.
    ///
    /// # Errors
    /// When the columns do not fit the view.
    pub fn fold(&mut self, rows: &Rows<'_>) -> Result<Folded, FoldError> {
        check(rows, &self.layout)?;
        let len = rows.slots.len();
        self.grow(rows.slots.iter().max().map_or(0, |slot| *slot as usize + 1));
        let counted = rows.counted.map(|counted| match counted.nulls() {
            None => counted.values().clone(),
            Some(nulls) => counted.values() & nulls.inner(),
        });
        let measures = self.layout.measures.iter().zip(rows.arguments);
        let steps = measures.map(|(measure, argument)| Step::new(measure, argument.as_ref(), len)).collect();
        let mut batch = Batch { steps, counted, scratch: self.layout.identity.clone(), late: 0 };
        for from in (0..len).step_by(AHEAD) {
            let to = len.min(from + AHEAD);
            self.touch(&rows.slots[from..to], &rows.times[from..to]);
            for row in from..to {
                batch.fold(self, row, rows.slots[row], Layout::bounded(rows.times[row]));
            }
        }
        let columns = batch.steps.into_iter().map(|step| step.output.finish()).collect();
        Ok(Folded { columns, late: batch.late })
    }

    /// Reads what the fold of some rows will read, one row independent of the other: the processor waits for all of
    /// memory's answers at once, not for one after the other. What must be read to know the next address, or whether
    /// there is one, is read in a pass of its own.
    fn touch(&self, slots: &[u32], times: &[i64]) {
        let mut seen = 0;
        for slot in slots {
            seen ^= self.head(*slot)[0] ^ self.tiles[*slot as usize].touch_self();
        }
        for (slot, time) in slots.iter().zip(times) {
            if self.layout.has_tiles() && !self.layout.is_in(*time, self.window(*slot).newest_tile()) {
                seen ^= self.tiles[*slot as usize].touch_ends();
            }
        }
        std::hint::black_box(seen);
    }
}

/// What is the same for all rows of a batch.
struct Batch<'a> {
    steps: Vec<Step<'a>>,
    counted: Option<BooleanBuffer>,
    scratch: Vec<u64>,
    late: u64,
}

impl Batch<'_> {
    /// Folds a row.
    #[inline]
    fn fold(&mut self, windows: &mut Windows, row: usize, slot: u32, time: i64) {
        let (mut window, texts, mut changes) = windows.window_mut(slot);
        let is_counted = self.counted.as_ref().is_none_or(|counted| counted.value(row));
        let newest = window.as_ref().newest_tile();
        let tile = if is_counted {
            let layout = window.layout;
            let dropped = |tile: i64, cells: &[u64]| {
                if let Some(changes) = changes.as_mut().filter(|changes| changes.has(slot, tile, newest)) {
                    changes.note_dropped(slot, tile, values_of(layout, cells, texts));
                }
                free_texts(layout, cells, texts);
            };
            match window.make_place(time, dropped) {
                Place::Newest => {
                    if let Some(changes) = changes {
                        changes.note_newest(slot, newest, window.as_ref().newest_tile());
                    }
                    self.add(window.newest_mut(), row, time, texts);
                    return self.give_newest(window.as_ref(), texts);
                }
                Place::Older(tile) => {
                    if let Some(changes) = changes {
                        changes.note_older(slot, tile);
                    }
                    self.add(window.older_mut(tile), row, time, texts);
                    window.settle(tile);
                    tile
                }
                Place::Late(tile) => {
                    self.late += 1;
                    tile
                }
            }
        } else {
            window.layout.tile_of(time, newest)
        };
        if tile == newest {
            self.give_newest(window.as_ref(), texts);
        } else {
            self.give_at(window.as_ref(), tile, texts);
        }
    }

    /// Adds a row's arguments to a tile's accumulators.
    #[inline]
    fn add(&self, cells: &mut [u64], row: usize, time: i64, texts: &mut Texts) {
        for step in &self.steps {
            if !step.input.is_present(row) {
                continue;
            }
            let cell = &mut cells[step.at..];
            match &step.input.values {
                Values::Uncounted => step.kernel.add(cell, 0, time),
                Values::Words(words) => step.kernel.add(cell, words[row], time),
                Values::Bools(bools) => step.kernel.add(cell, u64::from(bools.value(row)), time),
                Values::Texts(values) => keep_text(step.kernel, cell, values.value(row), time, texts),
            }
        }
    }

    /// Gives a row's results: the values at the newest tile.
    #[inline]
    fn give_newest(&mut self, window: Window<'_>, texts: &Texts) {
        let parts = window.parts();
        for step in &mut self.steps {
            let [suffix, prefix, newest] = parts.map(|part| &part[step.at..]);
            step.output.push(step.kernel.result_of_three(suffix, prefix, newest), texts);
        }
    }

    /// Gives a row's results: the values at some tile.
    fn give_at(&mut self, window: Window<'_>, tile: i64, texts: &Texts) {
        if window.newest_time().is_some() {
            window.merge_at(tile, &mut self.scratch);
        } else {
            self.scratch.copy_from_slice(&window.layout.identity);
        }
        for step in &mut self.steps {
            step.output.push(step.kernel.result(&self.scratch[step.at..]), texts);
        }
    }
}

/// Keeps a text in an accumulator if it is the newest there, instead of the one before.
fn keep_text(kernel: Kernel, cell: &mut [u64], text: &str, time: i64, texts: &mut Texts) {
    match kernel.result(cell) {
        None => kernel.add(cell, texts.insert(text), time),
        Some(_) if time < cell[0] as i64 => {}
        Some(before) => {
            texts.remove(before);
            kernel.add(cell, texts.insert(text), time);
        }
    }
}

/// Checks that the columns of a batch fit the view.
fn check(rows: &Rows<'_>, layout: &Layout) -> Result<(), FoldError> {
    let len = rows.slots.len();
    let same = |what, found, expected| {
        if found == expected { Ok(()) } else { Err(FoldError::Length { what, expected, found }) }
    };
    same("times", rows.times.len(), len)?;
    same("counted", rows.counted.map_or(len, |counted| counted.len()), len)?;
    same("arguments", rows.arguments.len(), layout.measures.len())?;
    for (place, (measure, argument)) in layout.measures.iter().zip(rows.arguments).enumerate() {
        let expected = measure.argument.as_ref().map(Type::arrow);
        let found = argument.as_ref().map(|array| array.data_type().clone());
        if expected != found {
            let name = |ty: Option<arrow_schema::DataType>| ty.map_or("nothing".to_owned(), |ty| ty.to_string());
            return Err(FoldError::Type { measure: place, expected: name(expected), found: name(found) });
        }
        same("argument", argument.as_ref().map_or(len, |array| array.len()), len)?;
    }
    Ok(())
}
