//! Reads fields of stored documents. People can edit these documents, so each field is checked, and an error names it.

use std::fmt::Display;

use ::mongodb::bson::{Bson, DateTime, Document};
use assay_engine::ports::StoreError;

use super::error::broken;

/// A document and its description for errors.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    what: &'a dyn Display,
    document: &'a Document,
}

impl<'a> Fields<'a> {
    /// Reads `document`; `what` describes it in errors.
    pub(super) fn new(what: &'a dyn Display, document: &'a Document) -> Self {
        Self { what, document }
    }

    /// An optional field. A field that is `null` counts as missing.
    pub(super) fn get(&self, name: &str) -> Option<&'a Bson> {
        self.document.get(name).filter(|value| **value != Bson::Null)
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Result<&'a str, StoreError> {
        self.get(name).and_then(Bson::as_str).ok_or_else(|| self.wrong_type(name, "a text"))
    }

    /// A whole number, 0 or more, of any numeric BSON type: shells and scripts choose the type freely.
    pub(super) fn number(&self, name: &str) -> Result<u64, StoreError> {
        let number = match self.get(name) {
            Some(Bson::Int32(number)) => u64::try_from(*number).ok(),
            Some(Bson::Int64(number)) => u64::try_from(*number).ok(),
            // Doubles represent whole numbers up to 2^53 exactly.
            Some(Bson::Double(number)) if number.fract() == 0.0 && (0.0..=9e15).contains(number) => {
                Some(*number as u64)
            }
            _ => None,
        };
        number.ok_or_else(|| self.wrong_type(name, "a whole number, 0 or more"))
    }

    /// A whole number that fits in 32 bits.
    pub(super) fn small_number(&self, name: &str) -> Result<u32, StoreError> {
        u32::try_from(self.number(name)?).map_err(|_| self.wrong_type(name, "a number below 2^32"))
    }

    /// A date, in ms since 1970.
    pub(super) fn date(&self, name: &str) -> Result<i64, StoreError> {
        let date = self.get(name).and_then(Bson::as_datetime).copied().map(DateTime::timestamp_millis);
        date.ok_or_else(|| self.wrong_type(name, "a date"))
    }

    /// A document.
    pub(super) fn document(&self, name: &str) -> Result<&'a Document, StoreError> {
        self.get(name).and_then(Bson::as_document).ok_or_else(|| self.wrong_type(name, "a document"))
    }

    /// A list.
    pub(super) fn list(&self, name: &str) -> Result<&'a [Bson], StoreError> {
        self.get(name).and_then(Bson::as_array).map(Vec::as_slice).ok_or_else(|| self.wrong_type(name, "a list"))
    }

    /// The error of a field that is missing or is not what was `expected`.
    pub(super) fn wrong_type(&self, name: &str, expected: &str) -> StoreError {
        let found = match self.get(name) {
            None => "is missing".to_owned(),
            Some(value) => format!("is of BSON's type {:?}", value.element_type()),
        };
        broken(format!("{}: the field '{name}' {found} and should be {expected}", self.what))
    }
}

/// A number as BSON's 64-bit integer.
///
/// # Errors
/// It is 2^63 or more. `what` names it in the error.
pub(super) fn int(what: &str, number: u64) -> Result<i64, StoreError> {
    i64::try_from(number)
        .map_err(|_| broken(format!("{what} {number} is too large for MongoDB: its integers end at 2^63")))
}
