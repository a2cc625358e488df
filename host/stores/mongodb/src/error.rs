//! Errors of the driver and the server as errors of the port.

use std::fmt::Display;

use ::mongodb::error::{Error, ErrorKind, WriteFailure};
use assay_engine::ports::StoreError;

/// The store's name in errors.
const STORE: &str = "MongoDB";
/// The server's code for a write that would duplicate a unique key.
pub(super) const DUPLICATE_KEY: i32 = 11000;
/// The server's codes for failures that pass: no primary, a shutdown, a timeout, a full disk.
const TRANSIENT_CODES: [i32; 21] =
    [6, 7, 24, 43, 46, 50, 64, 89, 91, 112, 133, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436, 14031];

/// The error of the port: the operation `doing`, the server, and the driver's message.
pub(super) fn failed(doing: impl Display, server: &str, error: &Error) -> StoreError {
    let message = format!("{doing} on {server}: {}", describe(error));
    if is_transient(error) { unavailable(message) } else { broken(message) }
}

/// Returns whether a write failed because it would duplicate a unique key.
pub(super) fn is_duplicate(error: &Error) -> bool {
    code(error) == Some(DUPLICATE_KEY)
}

/// Returns whether a code of the server means a failure that passes by itself.
pub(super) fn is_transient_code(code: i32) -> bool {
    TRANSIENT_CODES.contains(&code)
}

pub(super) fn unavailable(message: String) -> StoreError {
    StoreError::Unavailable { store: STORE, message }
}

pub(super) fn broken(message: String) -> StoreError {
    StoreError::Broken { store: STORE, message }
}

fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(error) => Some(error.code),
        ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
        _ => None,
    }
}

fn is_transient(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Io(_)
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::DnsResolve { .. }
        | ErrorKind::Write(WriteFailure::WriteConcernError(_)) => true,
        _ => code(error).is_some_and(is_transient_code),
    }
}

fn describe(error: &Error) -> String {
    match &*error.kind {
        ErrorKind::Command(error) => format!("{} (code {})", error.message, error.code),
        ErrorKind::Write(WriteFailure::WriteError(error)) => format!("{} (code {})", error.message, error.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => {
            format!("written, but a majority of the servers did not confirm it: {}", error.message)
        }
        kind => kind.to_string(),
    }
}
