//! Folds a batch of events into windows. This is the hot path.

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::BooleanBuffer;

use super::aggregates::AggregateKernel;
use super::columns::{ArgumentColumn, ArgumentValues, ResultColumn};
use super::layout::{Accumulator, Layout};
use super::texts::TextArena;
use super::window::Window;
use super::window_mut::EventTile;
use super::windows::{Windows, free_texts, values_of};
use crate::types::Type;

/// The number of rows whose windows are prefetched together, so that their cache misses overlap.
const PREFETCH_ROWS: usize = 64;

/// The events of a batch, in the order of the fold.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The slot of each row's entity.
    pub slots: &'a [u32],
    /// Each row's event time in ms since 1970.
    pub times: &'a [i64],
    /// True for the rows that the view counts. `None`: all.
    pub counted: Option<&'a BooleanArray>,
    /// The argument of each measure; `None` for `count()`.
    pub arguments: &'a [Option<ArrayRef>],
}

/// The result of a fold.
#[derive(Debug)]
pub struct Folded {
    /// Per measure, the value at each row's time, which includes the row itself if it was counted.
    pub columns: Vec<ArrayRef>,
    /// The number of rows that were not counted because their tile is not kept any more.
    pub late: u64,
}

/// A batch that does not fit the view: a bug of the caller, not a mistake of a user. Nothing was folded.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// A column has another length than the batch.
    #[error("{what}: expected {expected}, found {found}")]
    Length {
        /// The column.
        what: &'static str,
        /// Rows of the batch, or measures of the view.
        expected: usize,
        /// The rows of the column, or the number of columns.
        found: usize,
    },
    /// An argument has another type than the view was compiled for.
    #[error("argument {measure}: expected {expected}, found {found}")]
    Type {
        /// The index of the measure in the definition.
        measure: usize,
        /// The type that the view was compiled for.
        expected: String,
        /// The type of the argument.
        found: String,
    },
}

/// The fold of one measure over a batch.
struct MeasureFold<'a> {
    kernel: AggregateKernel,
    at: usize,
    input: ArgumentColumn<'a>,
    output: ResultColumn,
}

impl<'a> MeasureFold<'a> {
    fn new(measure: &Accumulator, argument: Option<&'a ArrayRef>, rows: usize) -> Self {
        let input = ArgumentColumn::new(measure, argument);
        Self { kernel: measure.kernel, at: measure.at, input, output: ResultColumn::new(measure, rows) }
    }
}

impl Windows {
    /// Folds events into their windows, in order. Returns each row's values as of that row.
    ///
    /// # Errors
    /// The columns do not fit the view.
    pub fn fold(&mut self, rows: &Rows<'_>) -> Result<Folded, FoldError> {
        check_rows(rows, &self.layout)?;
        let len = rows.slots.len();
        self.grow(rows.slots.iter().max().map_or(0, |slot| *slot as usize + 1));
        let counted = rows.counted.map(|counted| match counted.nulls() {
            None => counted.values().clone(),
            Some(nulls) => counted.values() & nulls.inner(),
        });
        let measures = self.layout.measures.iter().zip(rows.arguments);
        let steps = measures.map(|(measure, argument)| MeasureFold::new(measure, argument.as_ref(), len)).collect();
        let mut batch = BatchFold { steps, counted, scratch: self.layout.identity.clone(), late: 0 };
        for from in (0..len).step_by(PREFETCH_ROWS) {
            let to = len.min(from + PREFETCH_ROWS);
            self.prefetch(&rows.slots[from..to], &rows.times[from..to]);
            for row in from..to {
                batch.fold_row(self, row, rows.slots[row], Layout::bounded(rows.times[row]));
            }
        }
        let columns = batch.steps.into_iter().map(|step| step.output.finish()).collect();
        Ok(Folded { columns, late: batch.late })
    }

    /// Reads the memory that the fold of some rows will read, so that their cache misses overlap: the loads of
    /// different rows are independent. Reads that need the result of an earlier read for their address are in a second
    /// pass.
    fn prefetch(&self, slots: &[u32], times: &[i64]) {
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

/// The state of the fold of one batch.
struct BatchFold<'a> {
    steps: Vec<MeasureFold<'a>>,
    counted: Option<BooleanBuffer>,
    scratch: Vec<u64>,
    late: u64,
}

impl BatchFold<'_> {
    /// Folds a row into its window and adds its results.
    #[inline]
    fn fold_row(&mut self, windows: &mut Windows, row: usize, slot: u32, time: i64) {
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
            match window.open_tile(time, dropped) {
                EventTile::Newest => {
                    if let Some(changes) = changes {
                        changes.note_newest(slot, newest, window.as_ref().newest_tile());
                    }
                    self.add_arguments(window.newest_mut(), row, time, texts);
                    return self.push_newest_values(window.as_ref(), texts);
                }
                EventTile::Older(tile) => {
                    if let Some(changes) = changes {
                        changes.note_older(slot, tile);
                    }
                    self.add_arguments(window.older_mut(tile), row, time, texts);
                    window.rebuild_running_merges(tile);
                    tile
                }
                EventTile::Late(tile) => {
                    self.late += 1;
                    tile
                }
            }
        } else {
            window.layout.tile_of(time, newest)
        };
        if tile == newest {
            self.push_newest_values(window.as_ref(), texts);
        } else {
            self.push_values_at(window.as_ref(), tile, texts);
        }
    }

    /// Adds a row's arguments to a tile's accumulators.
    #[inline]
    fn add_arguments(&self, cells: &mut [u64], row: usize, time: i64, texts: &mut TextArena) {
        for step in &self.steps {
            if !step.input.is_present(row) {
                continue;
            }
            let cell = &mut cells[step.at..];
            match &step.input.values {
                ArgumentValues::Uncounted => step.kernel.add(cell, 0, time),
                ArgumentValues::Words(words) => step.kernel.add(cell, words[row], time),
                ArgumentValues::Bools(bools) => step.kernel.add(cell, u64::from(bools.value(row)), time),
                ArgumentValues::Texts(values) => step.kernel.add_text(cell, values.value(row), time, texts),
            }
        }
    }

    /// Adds a row's results: the values at the newest tile.
    #[inline]
    fn push_newest_values(&mut self, window: Window<'_>, texts: &TextArena) {
        let parts = window.parts();
        for step in &mut self.steps {
            let [suffix, prefix, newest] = parts.map(|part| &part[step.at..]);
            step.output.push(step.kernel.result_of_three(suffix, prefix, newest), texts);
        }
    }

    /// Adds a row's results: the values at a tile.
    fn push_values_at(&mut self, window: Window<'_>, tile: i64, texts: &TextArena) {
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

/// Checks that the columns of a batch fit the view.
fn check_rows(rows: &Rows<'_>, layout: &Layout) -> Result<(), FoldError> {
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
