//! Extracts single fields of one record, without columns: the key, the time and the id of an event at ingest.

use std::borrow::Cow;

use super::logical::uuid_text;
use super::program::Program;
use super::reader::AvroReader;
use super::walk::ValueSink;
use super::{DecodeError, DecodeProblem, Field, FieldError, Schema};
use crate::types::Type;

/// Extracts the values of a few fields from records of one schema.
#[derive(Debug)]
pub struct Extractor {
    program: Program,
}

/// A value of one field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar<'a> {
    /// No value: the field or a record around it is null.
    Null,
    /// A boolean.
    Bool(bool),
    /// An int or a long.
    Int(i64),
    /// A float or a double.
    Double(f64),
    /// A string, or an enum's symbol.
    Text(&'a str),
    /// A UUID that is a fixed of 16 bytes.
    Uuid([u8; 16]),
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
}

impl<'a> Scalar<'a> {
    /// The canonical text of a value that can be a key or an id: a text unchanged, an integer in decimal digits, a UUID
    /// in its usual form. None for other types.
    pub fn key(&self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Int(value) => Some(Cow::Owned(value.to_string())),
            Self::Uuid(bytes) => Some(Cow::Owned(uuid_text(bytes))),
            Self::Null | Self::Bool(_) | Self::Double(_) | Self::Timestamp(_) => None,
        }
    }

    /// The milliseconds of a timestamp.
    pub fn millis(&self) -> Option<i64> {
        match self {
            Self::Timestamp(millis) => Some(*millis),
            _ => None,
        }
    }
}

impl Extractor {
    /// Compiles a list of paths. A path may occur twice.
    ///
    /// # Errors
    /// A path is not a column of the schema, or its column has lists or maps.
    pub fn new(schema: &Schema, paths: &[&str]) -> Result<Self, FieldError> {
        let program = Program::new(schema, paths)?;
        let found = |kind: &Type| match kind {
            Type::List(_) => Some("an array"),
            Type::Map(_) => Some("a map"),
            _ => None,
        };
        match program.fields.iter().find_map(|field| Some((&field.path, found(&field.kind)?))) {
            Some((path, found)) => Err(FieldError::NotColumn { path: path.clone(), found }),
            None => Ok(Self { program }),
        }
    }

    /// The extracted fields, in the order of the paths.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.program.projected()
    }

    /// Checks the whole record and fills `values` with its values, in the order of the paths.
    ///
    /// # Errors
    /// The record is malformed. `values` then has no meaning.
    ///
    /// # Panics
    /// If `values` is shorter than the list of paths.
    #[inline]
    pub fn extract<'a>(&'a self, record: &'a [u8], values: &mut [Scalar<'a>]) -> Result<(), DecodeError> {
        let places = &self.program.places;
        assert!(values.len() >= places.len(), "a place for each path");
        self.program.run(record, &mut Scalars(values))?;
        if places.len() > self.program.fields.len() {
            // From the last to the first, because each value is read from a place at or before its own.
            for (index, place) in places.iter().enumerate().rev() {
                values[index] = values[*place];
            }
        }
        Ok(())
    }
}

struct Scalars<'a, 'v>(&'v mut [Scalar<'a>]);

impl<'a> ValueSink<'a> for Scalars<'a, '_> {
    fn boolean(&mut self, column: usize, value: bool) {
        self.0[column] = Scalar::Bool(value);
    }

    fn int(&mut self, column: usize, value: i64) {
        self.0[column] = Scalar::Int(value);
    }

    fn timestamp(&mut self, column: usize, millis: i64) {
        self.0[column] = Scalar::Timestamp(millis);
    }

    fn double(&mut self, column: usize, value: f64) {
        self.0[column] = Scalar::Double(value);
    }

    fn text(&mut self, column: usize, value: &'a [u8]) -> Result<(), DecodeProblem> {
        self.0[column] = Scalar::Text(std::str::from_utf8(value).map_err(|_| DecodeProblem::NotUtf8)?);
        Ok(())
    }

    fn uuid(&mut self, column: usize, value: [u8; 16]) -> Result<(), DecodeProblem> {
        self.0[column] = Scalar::Uuid(value);
        Ok(())
    }

    fn null(&mut self, column: usize) {
        self.0[column] = Scalar::Null;
    }

    fn list(&mut self, _: usize, _: &'a Program, _: &mut AvroReader<'a>) -> Result<(), DecodeProblem> {
        unreachable!("the extractor takes no lists")
    }
}
