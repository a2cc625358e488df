//! The functions of CEL's extension for strings. Positions count code points; the result is missing for a position
//! outside of the text.

use std::borrow::Cow;

use crate::expr::column::{Column, Native};
use crate::expr::loops::split_nulls;
use crate::expr::text_builder::{MAX_TEXT_BYTES, TextBuilder};

fn map_texts<'a>(arguments: &'a [Column], rows: usize, f: impl Fn(&'a str, usize) -> Option<Cow<'a, str>>) -> Column {
    let texts = arguments[0].texts();
    let mut builder = TextBuilder::new(rows);
    for row in 0..rows {
        match f(texts.get(row), row) {
            Some(text) => builder.push(&text),
            None => builder.push_missing(),
        }
    }
    Column::Texts(builder.finish())
}

fn map_to_ints(arguments: &[Column], rows: usize, f: impl Fn(&str, &str, usize) -> Option<i64>) -> Column {
    let (texts, parts) = (arguments[0].texts(), arguments[1].texts());
    let found: Vec<Option<i64>> = (0..rows).map(|row| f(texts.get(row), parts.get(row), row)).collect();
    let (values, nulls) = split_nulls(&found);
    i64::into_column(values, nulls)
}

/// The byte at which a code point begins; the position after the last one is the end of the text.
fn byte_offset(text: &str, position: i64) -> Option<usize> {
    let position = usize::try_from(position).ok()?;
    let mut starts = text.char_indices().map(|(start, _)| start).chain([text.len()]);
    if text.is_ascii() { (position <= text.len()).then_some(position) } else { starts.nth(position) }
}

/// The position of the code point that begins at a byte.
fn char_position(text: &str, byte: usize) -> i64 {
    text[..byte].chars().count() as i64
}

pub(in crate::expr) fn trim(arguments: &[Column], rows: usize) -> Column {
    map_texts(arguments, rows, |text, _| Some(text.trim().into()))
}

pub(in crate::expr) fn reverse(arguments: &[Column], rows: usize) -> Column {
    map_texts(arguments, rows, |text, _| Some(text.chars().rev().collect::<String>().into()))
}

pub(in crate::expr) fn lower_ascii(arguments: &[Column], rows: usize) -> Column {
    map_texts(arguments, rows, |text, _| Some(text.to_ascii_lowercase().into()))
}

pub(in crate::expr) fn upper_ascii(arguments: &[Column], rows: usize) -> Column {
    map_texts(arguments, rows, |text, _| Some(text.to_ascii_uppercase().into()))
}

pub(in crate::expr) fn char_at(arguments: &[Column], rows: usize) -> Column {
    let positions = i64::numbers(&arguments[1]);
    map_texts(arguments, rows, |text, row| {
        let rest = &text[byte_offset(text, positions.at(row))?..];
        Some(rest[..rest.chars().next().map_or(0, char::len_utf8)].into())
    })
}

pub(in crate::expr) fn substring_from(arguments: &[Column], rows: usize) -> Column {
    let starts = i64::numbers(&arguments[1]);
    map_texts(arguments, rows, |text, row| Some(text[byte_offset(text, starts.at(row))?..].into()))
}

pub(in crate::expr) fn substring(arguments: &[Column], rows: usize) -> Column {
    let (starts, ends) = (i64::numbers(&arguments[1]), i64::numbers(&arguments[2]));
    map_texts(arguments, rows, |text, row| {
        let (start, end) = (byte_offset(text, starts.at(row))?, byte_offset(text, ends.at(row))?);
        text.get(start..end).map(Cow::from)
    })
}

pub(in crate::expr) fn index_of(arguments: &[Column], rows: usize) -> Column {
    map_to_ints(arguments, rows, |text, part, _| Some(text.find(part).map_or(-1, |byte| char_position(text, byte))))
}

pub(in crate::expr) fn index_of_from(arguments: &[Column], rows: usize) -> Column {
    let starts = i64::numbers(&arguments[2]);
    map_to_ints(arguments, rows, |text, part, row| {
        let start = byte_offset(text, starts.at(row))?;
        Some(text[start..].find(part).map_or(-1, |byte| char_position(text, start + byte)))
    })
}

pub(in crate::expr) fn last_index_of(arguments: &[Column], rows: usize) -> Column {
    map_to_ints(arguments, rows, |text, part, _| Some(text.rfind(part).map_or(-1, |byte| char_position(text, byte))))
}

/// The last match that begins at a position or before it.
pub(in crate::expr) fn last_index_of_from(arguments: &[Column], rows: usize) -> Column {
    let starts = i64::numbers(&arguments[2]);
    map_to_ints(arguments, rows, |text, part, row| {
        let start = byte_offset(text, starts.at(row))?;
        let end = text.floor_char_boundary(start + part.len());
        Some(match text[..end].rfind(part) {
            Some(byte) if byte <= start => char_position(text, byte),
            _ => -1,
        })
    })
}

pub(in crate::expr) fn replace(arguments: &[Column], rows: usize) -> Column {
    let (olds, news) = (arguments[1].texts(), arguments[2].texts());
    map_texts(arguments, rows, |text, row| replace_in(text, olds.get(row), news.get(row), -1))
}

/// Replaces at most as many times as the fourth argument says; a negative number is no limit.
pub(in crate::expr) fn replace_some(arguments: &[Column], rows: usize) -> Column {
    let (olds, news, limits) = (arguments[1].texts(), arguments[2].texts(), i64::numbers(&arguments[3]));
    map_texts(arguments, rows, |text, row| replace_in(text, olds.get(row), news.get(row), limits.at(row)))
}

/// None if the result would be longer than `MAX_TEXT_BYTES`. A negative limit is no limit.
fn replace_in<'a>(text: &'a str, old: &str, new: &str, limit: i64) -> Option<Cow<'a, str>> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let times = text.matches(old).take(limit).count();
    let length = (text.len() - times * old.len()).saturating_add(times.saturating_mul(new.len()));
    match times {
        0 => Some(text.into()),
        _ => (length <= MAX_TEXT_BYTES).then(|| text.replacen(old, new, times).into()),
    }
}
