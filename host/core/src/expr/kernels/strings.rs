//! The functions of CEL's extension for strings. Positions count code points; one that is not there gives no value.

use std::borrow::Cow;

use crate::expr::column::{Column, Native};
use crate::expr::loops::split;
use crate::expr::text_builder::{LONGEST_TEXT, TextBuilder};

fn texts<'a>(arguments: &'a [Column], rows: usize, f: impl Fn(&'a str, usize) -> Option<Cow<'a, str>>) -> Column {
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

fn ints(arguments: &[Column], rows: usize, f: impl Fn(&str, &str, usize) -> Option<i64>) -> Column {
    let (texts, parts) = (arguments[0].texts(), arguments[1].texts());
    let found: Vec<Option<i64>> = (0..rows).map(|row| f(texts.get(row), parts.get(row), row)).collect();
    let (values, nulls) = split(&found);
    i64::into_column(values, nulls)
}

/// The byte at which a code point begins; that behind the last is the text's end.
fn byte_of(text: &str, position: i64) -> Option<usize> {
    let position = usize::try_from(position).ok()?;
    let mut starts = text.char_indices().map(|(start, _)| start).chain([text.len()]);
    if text.is_ascii() { (position <= text.len()).then_some(position) } else { starts.nth(position) }
}

/// The position of the code point that begins at a byte.
fn position_of(text: &str, byte: usize) -> i64 {
    text[..byte].chars().count() as i64
}

pub(in crate::expr) fn trim(arguments: &[Column], rows: usize) -> Column {
    texts(arguments, rows, |text, _| Some(text.trim().into()))
}

pub(in crate::expr) fn reverse(arguments: &[Column], rows: usize) -> Column {
    texts(arguments, rows, |text, _| Some(text.chars().rev().collect::<String>().into()))
}

pub(in crate::expr) fn lower_ascii(arguments: &[Column], rows: usize) -> Column {
    texts(arguments, rows, |text, _| Some(text.to_ascii_lowercase().into()))
}

pub(in crate::expr) fn upper_ascii(arguments: &[Column], rows: usize) -> Column {
    texts(arguments, rows, |text, _| Some(text.to_ascii_uppercase().into()))
}

pub(in crate::expr) fn char_at(arguments: &[Column], rows: usize) -> Column {
    let positions = i64::of(&arguments[1]);
    texts(arguments, rows, |text, row| {
        let behind = &text[byte_of(text, positions.at(row))?..];
        Some(behind[..behind.chars().next().map_or(0, char::len_utf8)].into())
    })
}

pub(in crate::expr) fn substring_from(arguments: &[Column], rows: usize) -> Column {
    let starts = i64::of(&arguments[1]);
    texts(arguments, rows, |text, row| Some(text[byte_of(text, starts.at(row))?..].into()))
}

pub(in crate::expr) fn substring(arguments: &[Column], rows: usize) -> Column {
    let (starts, ends) = (i64::of(&arguments[1]), i64::of(&arguments[2]));
    texts(arguments, rows, |text, row| {
        let (start, end) = (byte_of(text, starts.at(row))?, byte_of(text, ends.at(row))?);
        text.get(start..end).map(Cow::from)
    })
}

pub(in crate::expr) fn index_of(arguments: &[Column], rows: usize) -> Column {
    ints(arguments, rows, |text, part, _| Some(text.find(part).map_or(-1, |byte| position_of(text, byte))))
}

pub(in crate::expr) fn index_of_from(arguments: &[Column], rows: usize) -> Column {
    let starts = i64::of(&arguments[2]);
    ints(arguments, rows, |text, part, row| {
        let start = byte_of(text, starts.at(row))?;
        Some(text[start..].find(part).map_or(-1, |byte| position_of(text, start + byte)))
    })
}

pub(in crate::expr) fn last_index_of(arguments: &[Column], rows: usize) -> Column {
    ints(arguments, rows, |text, part, _| Some(text.rfind(part).map_or(-1, |byte| position_of(text, byte))))
}

/// The last match that begins at a position or before it.
pub(in crate::expr) fn last_index_of_from(arguments: &[Column], rows: usize) -> Column {
    let starts = i64::of(&arguments[2]);
    ints(arguments, rows, |text, part, row| {
        let start = byte_of(text, starts.at(row))?;
        let end = text.floor_char_boundary(start + part.len());
        Some(match text[..end].rfind(part) {
            Some(byte) if byte <= start => position_of(text, byte),
            _ => -1,
        })
    })
}

pub(in crate::expr) fn replace(arguments: &[Column], rows: usize) -> Column {
    let (olds, news) = (arguments[1].texts(), arguments[2].texts());
    texts(arguments, rows, |text, row| replaced(text, olds.get(row), news.get(row), -1))
}

/// At most so many times (fourth); a negative number is no limit.
pub(in crate::expr) fn replace_some(arguments: &[Column], rows: usize) -> Column {
    let (olds, news, most) = (arguments[1].texts(), arguments[2].texts(), i64::of(&arguments[3]));
    texts(arguments, rows, |text, row| replaced(text, olds.get(row), news.get(row), most.at(row)))
}

/// None if the text becomes longer than `LONGEST_TEXT`.
fn replaced<'a>(text: &'a str, old: &str, new: &str, most: i64) -> Option<Cow<'a, str>> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let times = text.matches(old).take(most).count();
    let length = (text.len() - times * old.len()).saturating_add(times.saturating_mul(new.len()));
    match times {
        0 => Some(text.into()),
        _ => (length <= LONGEST_TEXT).then(|| text.replacen(old, new, times).into()),
    }
}
