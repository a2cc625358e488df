//! What the driver and ScyllaDB say, translated for the operator.

use std::fmt::Display;

use assay_engine::ports::StoreError;
use scylla::errors::{DbError, ExecutionError, NewSessionError, PrepareError, RequestAttemptError};

/// The store's name in errors.
pub(super) const STORE: &str = "ScyllaDB";

/// What was tried at which nodes, and what came back.
pub(super) fn failed(nodes: &str, doing: impl Display, error: &ExecutionError) -> StoreError {
    let message = format!("{doing} at {nodes}: {error}");
    match kind(error) {
        Kind::Refused => broken(message),
        Kind::TooFewCopies => unavailable(format!(
            "{message}; start the missing nodes, or give the keyspace fewer copies than there are nodes"
        )),
        Kind::NoAnswer => unavailable(format!("{message}; see whether the nodes run and can be reached")),
    }
}

/// No session came about.
pub(super) fn not_connected(nodes: &str, error: &NewSessionError) -> StoreError {
    unavailable(format!("connecting to {nodes}: {error}; see whether the nodes run, and address, user and password"))
}

pub(super) fn unavailable(message: String) -> StoreError {
    StoreError::Unavailable { store: STORE, message }
}

pub(super) fn broken(message: String) -> StoreError {
    StoreError::Broken { store: STORE, message }
}

/// An answer that has not the form that the statement gives it.
pub(super) fn damaged(doing: impl Display, error: impl Display) -> StoreError {
    broken(format!("{doing}: the rows that came back cannot be read: {error}"))
}

/// Whether the same change of the schema, made by another process at the same time, may be the reason.
pub(super) fn may_be_a_race(error: &ExecutionError) -> bool {
    let raced = |error: &DbError| !matches!(error, DbError::SyntaxError | DbError::Unauthorized);
    attempt(error).is_some_and(|attempt| matches!(attempt, RequestAttemptError::DbError(error, _) if raced(error)))
}

/// Whether fewer copies are up than the request needs.
pub(super) fn is_too_few_copies(error: &ExecutionError) -> bool {
    matches!(kind(error), Kind::TooFewCopies)
}

/// Whether the server does not understand such a request here.
pub(super) fn is_invalid(error: &ExecutionError) -> bool {
    matches!(attempt(error), Some(RequestAttemptError::DbError(DbError::Invalid | DbError::ConfigError, _)))
}

enum Kind {
    /// The request itself is at fault; trying again is in vain.
    Refused,
    /// Not as many copies of the row are up as the consistency asks for.
    TooFewCopies,
    /// No answer, or not in time.
    NoAnswer,
}

fn kind(error: &ExecutionError) -> Kind {
    if matches!(error, ExecutionError::BadQuery(_)) {
        return Kind::Refused;
    }
    match attempt(error) {
        Some(RequestAttemptError::DbError(error, _)) => match error {
            DbError::SyntaxError
            | DbError::Invalid
            | DbError::AlreadyExists { .. }
            | DbError::FunctionFailure { .. }
            | DbError::AuthenticationError
            | DbError::Unauthorized
            | DbError::ConfigError
            | DbError::ProtocolError => Kind::Refused,
            DbError::Unavailable { .. } => Kind::TooFewCopies,
            _ => Kind::NoAnswer,
        },
        Some(
            RequestAttemptError::SerializationError(_)
            | RequestAttemptError::CqlRequestSerialization(_)
            | RequestAttemptError::CqlResultParseError(_)
            | RequestAttemptError::UnexpectedResponse(_),
        ) => Kind::Refused,
        _ => Kind::NoAnswer,
    }
}

fn attempt(error: &ExecutionError) -> Option<&RequestAttemptError> {
    match error {
        ExecutionError::LastAttemptError(attempt)
        | ExecutionError::PrepareError(PrepareError::AllAttemptsFailed { first_attempt: attempt }) => Some(attempt),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn refused(error: DbError) -> ExecutionError {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, "said the server".to_owned()))
    }

    #[test]
    fn waiting_helps_against_silence_but_not_against_a_refusal() {
        let doing = "loading states of payments/3";
        let late = failed("a:1", doing, &ExecutionError::RequestTimeout(Duration::from_secs(10)));
        assert!(matches!(&late, StoreError::Unavailable { message, .. } if message.contains("a:1")), "{late}");
        let invalid = failed("a:1", doing, &refused(DbError::Invalid));
        assert!(matches!(&invalid, StoreError::Broken { message, .. } if message.contains("said the server")));
        assert!(matches!(failed("a:1", doing, &refused(DbError::Overloaded)), StoreError::Unavailable { .. }));
    }
}
