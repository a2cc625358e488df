//! Converts records of one schema to records of another, by Avro's rules of resolution. See
//! <https://avro.apache.org/docs/1.12.0/specification/#schema-resolution>.
//!
//! It is more lenient than the specification: names of records are compared only to choose among a union's branches, a
//! missing field may be null where its type allows it, and timestamps may change their unit. It is stricter: a time
//! cannot be read as another kind of time, nor a decimal as one with another scale or fewer digits.

mod gap;
mod plan;
mod run;
mod scalar;

use self::plan::{FieldPlans, Plan, Planner};
use super::reader::AvroReader;
use super::walk::join_trail;
use super::{DecodeError, DecodeProblem, MAX_EVENT_BYTES, Schema};

/// Converts records of a writer's schema to records of a reader's schema.
#[derive(Debug)]
pub struct Resolver {
    plan: Plan,
    /// The plans of recursive records.
    records: Vec<FieldPlans>,
    reader: Schema,
    /// Keeps the recursive records alive to which the plans' nodes refer.
    _writer: Schema,
}

/// The reason why records of one schema cannot be read as records of another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", if path.is_empty() { "the record" } else { path })]
pub struct Incompatible {
    /// The dotted path of the field; empty: the record itself.
    pub path: String,
    /// The mismatch.
    pub why: String,
}

impl Resolver {
    /// Compares two schemas; none if every record of the writer already is a record of the reader.
    ///
    /// # Errors
    /// No record of the writer can be read; the error has the first reason.
    pub fn new(writer: &Schema, reader: &Schema) -> Result<Option<Self>, Incompatible> {
        if writer == reader {
            return Ok(None);
        }
        let mut planner = Planner::default();
        let plan = planner.plan(writer.root(), reader.root()).map_err(|mut error| {
            error.trail.reverse();
            Incompatible { path: error.trail.join("."), why: error.why }
        })?;
        if matches!(plan, Plan::Copy(_)) {
            return Ok(None);
        }
        Ok(Some(Self { plan, records: planner.records, reader: reader.clone(), _writer: writer.clone() }))
    }

    /// Appends a record of the writer to `out` as a record of the reader. On an error `out` is unchanged.
    ///
    /// # Errors
    /// The record is malformed, or has a value that the reader's schema cannot represent.
    pub fn resolve(&self, record: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let mut reader = AvroReader::new(record);
        let start = out.len();
        let result = match record.len() {
            length if length > MAX_EVENT_BYTES => Err(DecodeProblem::TooLarge(length)),
            _ => self.plan.run(&self.records, &mut reader, out).and_then(|()| reader.end()),
        };
        match result {
            Ok(()) => {
                self.reader.canonicalize(&mut out[start..]);
                Ok(())
            }
            Err(problem) => {
                out.truncate(start);
                Err(DecodeError { path: join_trail(&reader.trail), position: reader.position(), problem })
            }
        }
    }
}

#[cfg(test)]
mod tests;
