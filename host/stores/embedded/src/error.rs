//! Errors of fjall and the disk as errors of the ports, with advice for the operator.

use std::fmt::Display;
use std::io::{self, ErrorKind};

use assay_core::wire::Corrupt;
use assay_engine::ports::StoreError;
use fjall::{Error, LsmError};

/// The store's name in errors.
pub(super) const STORE: &str = "the embedded store";

/// The error of a failed operation: `doing` names it.
pub(super) fn failed(doing: impl Display, error: &Error) -> StoreError {
    match error {
        Error::Io(error) | Error::Storage(LsmError::Io(error)) => io_failed(doing, error),
        Error::Poisoned => unavailable(format!(
            "{doing}: nothing is written since an earlier write to the disk failed; most often it is full. It goes on by \
             itself when the disk takes writes again"
        )),
        error => broken(format!("{doing}: {}", describe(error))),
    }
}

/// The error of a failed commit. After an error of the disk its outcome is unknown: a part of the journal may be written,
/// and the next start decides.
pub(super) fn commit_failed(doing: impl Display, error: &Error) -> StoreError {
    match failed(doing, error) {
        StoreError::Unavailable { store, message } if !matches!(error, Error::Poisoned) => {
            let message = format!(
                "{message}. Outcome unknown: it may be stored; look for it before you send it again, once /readyz says \
                 ready"
            );
            StoreError::Unavailable { store, message }
        }
        other => other,
    }
}

/// Returns whether fjall refuses all writes after this failure of a write.
pub(super) fn is_poisoning(error: &Error) -> bool {
    matches!(error, Error::Io(_) | Error::Storage(_) | Error::Poisoned)
}

/// The error of an operation that the operating system refused.
fn io_failed(doing: impl Display, error: &io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            unavailable(format!("{doing}: the disk is full ({error}); free some space, and it goes on by itself"))
        }
        _ => unavailable(format!("{doing}: {error}")),
    }
}

/// The text of fjall's error, without names of types where possible.
pub(super) fn describe(error: &Error) -> String {
    match error {
        Error::Io(error) | Error::Storage(LsmError::Io(error)) => error.to_string(),
        Error::Storage(LsmError::ChecksumMismatch { .. }) => "a checksum does not fit: the file is damaged".to_owned(),
        Error::Storage(error) => format!("a table cannot be read ({error:?})"),
        Error::JournalRecovery(error) => format!("the journal cannot be read ({error:?})"),
        Error::Poisoned => "an earlier write failed".to_owned(),
        Error::Locked => "another process has it open".to_owned(),
        error => format!("{error:?}"),
    }
}

pub(super) fn unavailable(message: String) -> StoreError {
    StoreError::Unavailable { store: STORE, message }
}

pub(super) fn broken(message: String) -> StoreError {
    StoreError::Broken { store: STORE, message }
}

/// The error of stored bytes that cannot be decoded; `what` names them.
pub(super) fn damaged(what: impl Display, error: &Corrupt) -> StoreError {
    broken(format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_comes_with_advice() {
        let full = Error::Io(io::Error::from(ErrorKind::StorageFull));
        let error = failed("appending to payments/3", &full);
        assert!(matches!(error, StoreError::Unavailable { .. }));
        let text = error.to_string();
        assert!(text.contains("appending to payments/3") && text.contains("free some space"), "{text}");
    }

    #[test]
    fn damage_is_permanent() {
        assert!(matches!(failed("reading", &Error::Unrecoverable), StoreError::Broken { .. }));
    }
}
