//! Errors: mistakes in an expression, with their place, and columns that do not fit a compiled expression.

use std::fmt;

use arrow_schema::DataType;

use crate::types::Type;

/// The most characters of a source line that an error shows.
const MAX_SHOWN_CHARS: usize = 120;

/// A mistake in an expression. Its display form has three lines: the place and the message, the source line, and a
/// marker under the mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ExprError {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// The mistake and, where it is known, the right way to write it.
    pub message: String,
    /// The number of marked characters; at least 1.
    pub width: usize,
    /// The line of the source.
    pub source_line: String,
}

impl ExprError {
    /// A mistake at `width` bytes of the source from the byte `start` on.
    pub(super) fn at(source: &str, start: usize, width: usize, message: impl Into<String>) -> Self {
        let start = source.floor_char_boundary(start);
        let end = source.floor_char_boundary(start.saturating_add(width));
        let line_start = source[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = source[line_start..].find('\n').map_or(source.len(), |length| line_start + length);
        let marked = source[start..end.clamp(start, line_end.max(start))].chars().count();
        Self {
            line: source[..start].matches('\n').count() + 1,
            column: source[line_start..start].chars().count() + 1,
            message: to_one_line(message.into()),
            width: marked.max(1),
            source_line: source[line_start..line_end].to_owned(),
        }
    }

    /// A mistake at a line and a character of it, both from 1.
    pub(super) fn at_place(source: &str, line: usize, column: usize, message: impl Into<String>) -> Self {
        let source_line = source.split('\n').nth(line.saturating_sub(1)).unwrap_or_default().to_owned();
        Self { line: line.max(1), column: column.max(1), message: to_one_line(message.into()), width: 1, source_line }
    }
}

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:{}: {}", self.line, self.column, self.message)?;
        let skipped = (self.column - 1).saturating_sub(MAX_SHOWN_CHARS / 2);
        // Control characters are replaced: a terminal would obey them, and a tab would move the marker.
        let shown: String = self.source_line.chars().skip(skipped).take(MAX_SHOWN_CHARS).map(replace_control).collect();
        writeln!(f, "  {}", shown.trim_end())?;
        let indent = self.column - 1 - skipped;
        let width = self.width.min(MAX_SHOWN_CHARS.saturating_sub(indent)).max(1);
        write!(f, "  {}{}", " ".repeat(indent), "^".repeat(width))
    }
}

/// Replaces control characters, because a message may quote the source and must stay in one line.
fn to_one_line(message: String) -> String {
    if message.chars().any(char::is_control) { message.chars().map(replace_control).collect() } else { message }
}

fn replace_control(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

/// A mistake of the caller: the columns are not those for which the expression was compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// The expression reads a slot that has no column.
    #[error("the expression reads column {slot}, but there are only {columns}")]
    NoColumn {
        /// The slot it reads.
        slot: usize,
        /// The number of columns there are.
        columns: usize,
    },
    /// A column does not have as many rows as the batch.
    #[error("column {slot} has {found} rows, expected {expected}")]
    Length {
        /// The slot of the column.
        slot: usize,
        /// The rows of the batch.
        expected: usize,
        /// The rows of the column.
        found: usize,
    },
    /// A column has another type than it was compiled for.
    #[error("column {slot} is {found}, expected {expected}")]
    Type {
        /// The slot of the column.
        slot: usize,
        /// The type it was compiled for.
        expected: Type,
        /// The Arrow type it has.
        found: DataType,
    },
    /// The expression of a filter is not of type bool.
    #[error("a filter is a bool expression, not {0}")]
    NotAFilter(Type),
}
