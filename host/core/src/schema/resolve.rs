//! Records of one schema turned into records of another, by Avro's rules of resolution.
//! See <https://avro.apache.org/docs/1.12.0/specification/#schema-resolution>.
//!
//! More lenient than the specification in this: names of records are compared only to choose among a union's
//! branches, a missing field may be null where its type allows it, and timestamps change their unit. Stricter in this:
//! a time is read as no other kind of time, and a decimal as no other with another scale or fewer digits.

mod gap;
mod plan;
mod run;
mod scalar;

use self::plan::{Fields, Plan, Planner};
use super::reader::Reader;
use super::walk::join_trail;
use super::{DecodeError, DecodeProblem as Problem, MAX_EVENT_BYTES, Schema};

/// Turns records of a writer's schema into records of a reader's.
#[derive(Debug)]
pub struct Resolver {
    plan: Plan,
    /// What is done with records that contain themselves.
    records: Vec<Fields>,
    reader: Schema,
    /// Keeps what the plans' nodes refer to.
    _writer: Schema,
}

/// Why records of one schema cannot be read as records of another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", if path.is_empty() { "the record" } else { path })]
pub struct Incompatible {
    /// The dotted path of the field; empty: the record itself.
    pub path: String,
    /// What does not fit.
    pub why: String,
}

impl Resolver {
    /// Compares two schemas; none: every record of the writer already is one of the reader.
    ///
    /// # Errors
    /// No record of the writer can be read, with the first reason.
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

    /// Appends a record of the writer to `out` as one of the reader. On an error `out` is as it was.
    ///
    /// # Errors
    /// The record is malformed, or has a value that the reader has no place for.
    pub fn resolve(&self, record: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let mut reader = Reader::new(record);
        let start = out.len();
        let result = match record.len() {
            length if length > MAX_EVENT_BYTES => Err(Problem::TooLarge(length)),
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
