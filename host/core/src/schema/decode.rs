//! Decodes many Avro records to Arrow columns. Each record is checked completely, and a malformed record does not
//! affect others.

use arrow_array::ArrayRef;

use super::columns::ColumnBuilders;
use super::program::Program;
use super::{DecodeError, Field, FieldError, Schema};

/// Decodes records of one schema into the columns of one projection. It is made once and used for many batches.
#[derive(Debug)]
pub struct Decoder {
    program: Program,
    columns: ColumnBuilders,
}

/// A decoded batch.
#[derive(Debug)]
pub struct Decoded {
    /// The projected columns in the order of the projection, one row per good record.
    pub columns: Vec<ArrayRef>,
    /// For each row the index of its record in the input, ascending.
    pub rows: Vec<usize>,
    /// The malformed records, ascending: the index in the input and the error.
    pub bad: Vec<(usize, DecodeError)>,
}

impl Decoder {
    /// Compiles a projection: dotted paths as in [`Schema::fields`], in any order, maybe none. A path that occurs twice
    /// gives the same column twice.
    ///
    /// # Errors
    /// A path is not a column of the schema.
    pub fn new(schema: &Schema, projection: &[&str]) -> Result<Self, FieldError> {
        let program = Program::new(schema, projection)?;
        let columns = ColumnBuilders::new(&program.fields);
        Ok(Self { program, columns })
    }

    /// The projected fields, in the order of the columns.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.program.projected()
    }

    /// Decodes bare Avro records. Every byte of every record is checked, also those of fields that are not projected.
    ///
    /// The texts of one column may have 2 GiB together, so any 2,047 events of at most
    /// [`MAX_EVENT_BYTES`](super::MAX_EVENT_BYTES) fit. A record that does not fit is reported as
    /// [`BatchFull`](super::DecodeProblem::BatchFull).
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
