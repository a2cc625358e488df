//! The code of a failure as a log or a store has it. Another version of Assay may have written it, with a code that this
//! one does not know; it is kept as it is written.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::failure_code::FailureCode;

/// A code that was read. It is made from the code's text or from a [`FailureCode`]; its JSON is the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum RecordedFailureCode {
    /// A code of this version.
    Known(FailureCode),
    /// The text of a code of another version.
    Other(String),
}

impl RecordedFailureCode {
    /// The code as it is written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(code) => code.as_str(),
            Self::Other(text) => text,
        }
    }
}

impl From<FailureCode> for RecordedFailureCode {
    fn from(code: FailureCode) -> Self {
        Self::Known(code)
    }
}

impl From<&str> for RecordedFailureCode {
    fn from(text: &str) -> Self {
        FailureCode::from_text(text).map_or_else(|| Self::Other(text.to_owned()), Self::Known)
    }
}

impl From<String> for RecordedFailureCode {
    fn from(text: String) -> Self {
        FailureCode::from_text(&text).map_or(Self::Other(text), Self::Known)
    }
}

impl From<RecordedFailureCode> for String {
    fn from(code: RecordedFailureCode) -> Self {
        match code {
            RecordedFailureCode::Known(code) => code.as_str().to_owned(),
            RecordedFailureCode::Other(text) => text,
        }
    }
}

impl PartialEq<FailureCode> for RecordedFailureCode {
    fn eq(&self, other: &FailureCode) -> bool {
        matches!(self, Self::Known(code) if code == other)
    }
}

impl fmt::Display for RecordedFailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_read_back_and_an_unknown_one_survives() {
        for row in FailureCode::EXPLANATIONS {
            let code = RecordedFailureCode::from(row.text);
            assert_eq!(code, RecordedFailureCode::Known(row.code));
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{}\"", row.text));
        }
        let newer: RecordedFailureCode = serde_json::from_str("\"rule-of-next-year\"").unwrap();
        assert_eq!(newer, RecordedFailureCode::Other("rule-of-next-year".to_owned()));
        assert_eq!(serde_json::to_string(&newer).unwrap(), "\"rule-of-next-year\"");
    }
}
