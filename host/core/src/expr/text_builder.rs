//! Builds a column of texts within Arrow's limit of 2 GiB. A text that does not fit is missing; nothing panics.

use arrow_array::StringArray;
use arrow_array::builder::StringBuilder;

/// The longest text that an expression makes, in bytes; a longer one is missing.
pub(super) const MAX_TEXT_BYTES: usize = 64 * 1024;

/// The longest display form of a number or a time, in bytes: a double has up to 309 digits and a sign.
const MAX_DISPLAY_BYTES: usize = 400;

/// Appends texts row by row.
pub(super) struct TextBuilder(StringBuilder);

impl TextBuilder {
    /// A builder with capacity for the offsets of `rows` rows.
    pub(super) fn new(rows: usize) -> Self {
        Self(StringBuilder::with_capacity(rows, 0))
    }

    /// Appends a text, or a null if the column is full.
    pub(super) fn push(&mut self, text: &str) {
        if self.fits(text.len()) {
            self.0.append_value(text);
        } else {
            self.0.append_null();
        }
    }

    /// Appends the two texts as one, or a null if that is longer than `MAX_TEXT_BYTES`.
    pub(super) fn push_joined(&mut self, first: &str, second: &str) {
        let length = first.len() + second.len();
        if length > MAX_TEXT_BYTES || !self.fits(length) {
            return self.0.append_null();
        }
        // `write_str` adds to the current row, which `append_value` ends; it never fails.
        use std::fmt::Write as _;
        let _ = self.0.write_str(first);
        self.0.append_value(second);
    }

    /// Appends some texts with a separator between them as one text, or a null if that is longer than `MAX_TEXT_BYTES`.
    pub(super) fn push_all(&mut self, texts: &[&str], separator: &str) {
        let separators = texts.len().saturating_sub(1).saturating_mul(separator.len());
        let length = texts.iter().map(|text| text.len()).sum::<usize>().saturating_add(separators);
        if length > MAX_TEXT_BYTES || !self.fits(length) {
            return self.0.append_null();
        }
        self.0.append_value(texts.join(separator));
    }

    /// Appends a value's display form.
    pub(super) fn push_display(&mut self, value: impl std::fmt::Display) {
        if !self.fits(MAX_DISPLAY_BYTES) {
            return self.0.append_null();
        }
        use std::fmt::Write as _;
        // Writing to the builder never fails.
        let _ = write!(self.0, "{value}");
        self.0.append_value("");
    }

    /// Appends a missing text.
    pub(super) fn push_missing(&mut self) {
        self.0.append_null();
    }

    /// The column.
    pub(super) fn finish(mut self) -> StringArray {
        self.0.finish()
    }

    fn fits(&self, more: usize) -> bool {
        self.0.values_slice().len() + more <= i32::MAX as usize
    }
}
