//! The trait that `#[derive(Input)]` implements: the inputs of a plugin and the reading of rows.

use crate::bindings::{Column, Kind};

/// The values that a plugin scores, one field per input. `#[derive(Input)]` implements it.
pub trait Input: 'static {
    /// The inputs in the order of the fields, which is the order of a batch's columns.
    const INPUTS: &'static [InputSpec];
    /// The struct itself, with the batch's lifetime.
    type Row<'a>;
    /// The columns of a batch, checked.
    type Columns<'a>: Copy;

    /// Checks the columns of a batch, so that `read` cannot fail.
    ///
    /// # Errors
    /// Names the input and says what is wrong with its column.
    fn open(columns: &[Column], rows: usize) -> Result<Self::Columns<'_>, String>;

    /// A row of the batch.
    fn read(columns: Self::Columns<'_>, row: usize) -> Self::Row<'_>;
}

/// An input as the manifest shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputSpec {
    /// The field's name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// False for an `Option`.
    pub required: bool,
    /// The field's doc comment.
    pub doc: &'static str,
}

/// Opens one column. `#[derive(Input)]` calls it per field.
///
/// # Errors
/// Names the input and says what is wrong with its column.
#[doc(hidden)]
pub fn open_field<'a, F: crate::Field<'a>>(
    columns: &'a [Column],
    index: usize,
    name: &str,
    rows: usize,
) -> Result<F::Column, String> {
    let column = columns
        .get(index)
        .ok_or_else(|| format!("input `{name}` is column {index}, but the batch has {} columns", columns.len()))?;
    F::open(column, rows).map_err(|why| format!("input `{name}`: {why}"))
}
