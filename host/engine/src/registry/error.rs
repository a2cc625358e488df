//! The refusals of the registry. Their messages are for the operators of producers.

use super::{MAX_SUBJECT_BYTES, MAX_TOTAL_BYTES};
use crate::ports::StoreError;

/// A refusal of the registry.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No schema was registered under it.
    #[error("Subject '{0}' not found.")]
    UnknownSubject(String),
    /// The subject has no such version.
    #[error("Version {0} not found.")]
    UnknownVersion(u32),
    /// The subject does not have this schema.
    #[error("Schema not found")]
    UnknownSchema,
    /// A subject cannot be called so.
    #[error(
        "The specified subject {0:?} is not a valid subject: expected 1 to {MAX_SUBJECT_BYTES} bytes without control characters"
    )]
    InvalidSubject(String),
    /// It is no schema.
    #[error("Invalid schema: {0}")]
    Invalid(String),
    /// Events could not be read any more.
    #[error("The schema cannot be registered under subject '{subject}': {misfit}")]
    Incompatible {
        /// The subject.
        subject: String,
        /// The reader, the writer, and the field that does not fit.
        misfit: String,
    },
    /// There are too many schemas.
    #[error("all schemas together would have more than {MAX_TOTAL_BYTES} bytes, which is the most there may be")]
    Full,
    /// The catalog failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
