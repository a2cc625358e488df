//! Why a request failed, in words for the operator.

use std::error::Error;
use std::time::Duration;

use assay_core::shorten::shorten;
use assay_engine::ports::StoreError;
use serde::Deserialize;

use super::STORE;

/// The most bytes of a server's words in an error.
const MAX_MESSAGE_BYTES: usize = 600;

/// Why a request failed.
pub(super) enum Failure {
    /// The server does not take it.
    Refused {
        /// The status, below 500 and not 429.
        status: u16,
        /// The server's words.
        message: String,
    },
    /// There is no answer, or none of InfluxDB.
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// An error that may pass by itself.
pub(super) fn unavailable(message: String) -> StoreError {
    StoreError::Unavailable { store: STORE, message }
}

/// An error that will not.
pub(super) fn broken(message: String) -> StoreError {
    StoreError::Broken { store: STORE, message }
}

/// The server's words in the body of an answer: the message of InfluxDB's JSON, or the body itself.
pub(super) fn message_of(body: &str) -> String {
    #[derive(Deserialize)]
    struct Problem {
        message: String,
    }
    match serde_json::from_str::<Problem>(body) {
        Ok(problem) => shorten(problem.message.trim(), MAX_MESSAGE_BYTES).into_owned(),
        Err(_) => shorten(body.trim(), MAX_MESSAGE_BYTES).into_owned(),
    }
}

/// Why there is no answer.
pub(super) fn describe_no_answer(error: &reqwest::Error, timeout: Duration) -> String {
    if error.is_timeout() {
        return format!("no answer within {timeout:?}");
    }
    // The causes above the root only say that a request failed, and repeat its address.
    let mut root: &dyn Error = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    if error.is_connect() { format!("{root}; is {STORE} running there?") } else { root.to_string() }
}

/// Advice for a status that has nothing to do with the points.
pub(super) fn advice_for(status: u16) -> &'static str {
    match status {
        300..=399 => "; the address redirects: give the one that it leads to",
        401 => "; is the token right?",
        403 => "; give the token the rights to read and write the bucket",
        404 => "; are the organization and the bucket there? `influx bucket create` makes a bucket",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_found_in_a_body() {
        assert_eq!(message_of("{\"code\":\"invalid\",\"message\":\" bad \"}"), "bad");
        assert_eq!(message_of(" busy\n"), "busy");
        let long = message_of(&format!("{} dropped=3", "x".repeat(10_000)));
        assert!(long.len() <= MAX_MESSAGE_BYTES && long.ends_with(" dropped=3"), "{long}");
    }
}
