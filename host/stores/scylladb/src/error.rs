//! Translates errors of the driver and of ScyllaDB into errors of the store, with advice for the operator.

use std::fmt::Display;

use assay_engine::ports::StoreError;
use scylla::errors::{DbError, ExecutionError, NewSessionError, PrepareError, RequestAttemptError};

/// The store's name in errors.
pub(super) const STORE: &str = "ScyllaDB";

/// Translates an error of a request. `doing` says what was tried at the nodes.
pub(super) fn to_store_error(nodes: &str, doing: impl Display, error: &ExecutionError) -> StoreError {
    let message = format!("{doing} at {nodes}: {error}");
    match classify(error) {
        FailureKind::Refused => broken(message),
        FailureKind::TooFewReplicas => unavailable(format!(
            "{message}; start the missing nodes, or give the keyspace fewer copies than there are nodes"
        )),
        FailureKind::NoResponse => unavailable(format!("{message}; see whether the nodes run and can be reached")),
    }
}

/// Translates an error of opening a session.
pub(super) fn connect_error(nodes: &str, error: &NewSessionError) -> StoreError {
    unavailable(format!("connecting to {nodes}: {error}; see whether the nodes run, and address, user and password"))
}

pub(super) fn unavailable(message: String) -> StoreError {
    StoreError::Unavailable { store: STORE, message }
}

pub(super) fn broken(message: String) -> StoreError {
    StoreError::Broken { store: STORE, message }
}

/// The error of a response whose rows do not have the types of the statement.
pub(super) fn damaged(doing: impl Display, error: impl Display) -> StoreError {
    broken(format!("{doing}: the rows that came back cannot be read: {error}"))
}

/// Returns whether the same schema change by another process at the same time may have caused the error.
pub(super) fn may_be_schema_race(error: &ExecutionError) -> bool {
    let may_race = |error: &DbError| !matches!(error, DbError::SyntaxError | DbError::Unauthorized);
    last_attempt(error)
        .is_some_and(|attempt| matches!(attempt, RequestAttemptError::DbError(error, _) if may_race(error)))
}

/// Returns whether fewer replicas are up than the request needs.
pub(super) fn has_too_few_replicas(error: &ExecutionError) -> bool {
    matches!(classify(error), FailureKind::TooFewReplicas)
}

/// Returns whether the server does not support the request on this table.
pub(super) fn is_invalid(error: &ExecutionError) -> bool {
    matches!(last_attempt(error), Some(RequestAttemptError::DbError(DbError::Invalid | DbError::ConfigError, _)))
}

enum FailureKind {
    /// The server refuses the request: a retry cannot succeed.
    Refused,
    /// Fewer replicas of the row are up than the consistency level requires.
    TooFewReplicas,
    /// There was no response, or not in time.
    NoResponse,
}

fn classify(error: &ExecutionError) -> FailureKind {
    if matches!(error, ExecutionError::BadQuery(_)) {
        return FailureKind::Refused;
    }
    match last_attempt(error) {
        Some(RequestAttemptError::DbError(error, _)) => match error {
            DbError::SyntaxError
            | DbError::Invalid
            | DbError::AlreadyExists { .. }
            | DbError::FunctionFailure { .. }
            | DbError::AuthenticationError
            | DbError::Unauthorized
            | DbError::ConfigError
            | DbError::ProtocolError => FailureKind::Refused,
            DbError::Unavailable { .. } => FailureKind::TooFewReplicas,
            _ => FailureKind::NoResponse,
        },
        Some(
            RequestAttemptError::SerializationError(_)
            | RequestAttemptError::CqlRequestSerialization(_)
            | RequestAttemptError::CqlResultParseError(_)
            | RequestAttemptError::UnexpectedResponse(_),
        ) => FailureKind::Refused,
        _ => FailureKind::NoResponse,
    }
}

fn last_attempt(error: &ExecutionError) -> Option<&RequestAttemptError> {
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
    fn timeouts_are_unavailable_and_refusals_are_broken() {
        let doing = "loading states of payments/3";
        let timeout = to_store_error("a:1", doing, &ExecutionError::RequestTimeout(Duration::from_secs(10)));
        assert!(matches!(&timeout, StoreError::Unavailable { message, .. } if message.contains("a:1")), "{timeout}");
        let invalid = to_store_error("a:1", doing, &refused(DbError::Invalid));
        assert!(matches!(&invalid, StoreError::Broken { message, .. } if message.contains("said the server")));
        assert!(matches!(to_store_error("a:1", doing, &refused(DbError::Overloaded)), StoreError::Unavailable { .. }));
    }
}
