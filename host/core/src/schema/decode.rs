//! Many Avro records into Arrow columns, each record checked whole, none harming another.

use arrow_array::ArrayRef;

use super::columns::Columns;
use super::program::Program;
use super::{DecodeError, Field, FieldError, Schema};

/// Decodes records of one schema into the columns of one projection. Made once, used for many batches.
#[derive(Debug)]
pub struct Decoder {
    program: Program,
    columns: Columns,
}

/// A batch that was decoded.
#[derive(Debug)]
pub struct Decoded {
    /// The projected columns in the order asked for, one row per good record.
    pub columns: Vec<ArrayRef>,
    /// For each row the place of its record in the input, ascending.
    pub rows: Vec<usize>,
    /// The malformed records: place in the input, and what is wrong. Ascending.
    pub bad: Vec<(usize, DecodeError)>,
}

impl Decoder {
    /// Compiles a projection: dotted paths as in [`Schema::fields`], in any order; none is fine. A path that comes
    /// again is the same column again.
    ///
    /// # Errors
    /// When a path is not a column of the schema.
    pub fn new(schema: &Schema, projection: &[&str]) -> Result<Self, FieldError> {
        let program = Program::new(schema, projection)?;
        let columns = Columns::new(&program.fields);
        Ok(Self { program, columns })
    }

    /// The projected fields, in the order of the columns.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.program.projected()
    }

    /// Decodes bare Avro records. Every byte of every record is checked, also of fields that are not projected.
    ///
    /// The texts of one column may have 2 GiB together: with events of at most
    /// [`MAX_EVENT_BYTES`](super::MAX_EVENT_BYTES), any 2,047 fit. What does not fit is reported as
    /// [`BatchFull`](super::DecodeProblem::BatchFull), never dropped silently.
    pub fn decode<'a>(&mut self, records: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
        let records = records.into_iter();
        let mut rows = Vec::with_capacity(records.size_hint().0);
        let mut bad = Vec::new();
        for (index, record) in records.enumerate() {
            match self.program.run(record, &mut self.columns) {
                Ok(()) => rows.push(index),
                Err(error) => {
                    self.columns.truncate(rows.len());
                    bad.push((index, error));
                }
            }
        }
        let columns = self.columns.finish();
        Decoded { columns: self.program.places.iter().map(|place| columns[*place].clone()).collect(), rows, bad }
    }
}
