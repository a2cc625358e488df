//! Functions of texts. Positions and sizes count code points, as CEL does.

use arrow_array::StringArray;
use arrow_buffer::BooleanBuffer;
use regex::Regex;

use crate::expr::column::{Column, Native, TextOperand};
use crate::expr::text_builder::TextBuilder;

fn map_to_ints(arguments: &[Column], rows: usize, f: impl Fn(&str) -> i64) -> Column {
    let texts = arguments[0].texts();
    i64::into_column((0..rows).map(|row| f(texts.get(row))).collect(), None)
}

fn map_to_bools(arguments: &[Column], rows: usize, f: impl Fn(&str, &str) -> bool) -> Column {
    let (texts, others) = (arguments[0].texts(), arguments[1].texts());
    Column::Bools(BooleanBuffer::collect_bool(rows, |row| f(texts.get(row), others.get(row))), None)
}

/// The number of code points.
pub(in crate::expr) fn size(arguments: &[Column], rows: usize) -> Column {
    map_to_ints(arguments, rows, |text| text.chars().count() as i64)
}

/// XXH3 of the UTF-8 bytes, its 64 bits read as a signed int.
pub(in crate::expr) fn hash(arguments: &[Column], rows: usize) -> Column {
    map_to_ints(arguments, rows, |text| xxhash_rust::xxh3::xxh3_64(text.as_bytes()).cast_signed())
}

pub(in crate::expr) fn contains(arguments: &[Column], rows: usize) -> Column {
    map_to_bools(arguments, rows, |text, part| text.contains(part))
}

pub(in crate::expr) fn starts_with(arguments: &[Column], rows: usize) -> Column {
    map_to_bools(arguments, rows, |text, start| text.starts_with(start))
}

pub(in crate::expr) fn ends_with(arguments: &[Column], rows: usize) -> Column {
    map_to_bools(arguments, rows, |text, end| text.ends_with(end))
}

/// True if the pattern matches anywhere in the text.
pub(in crate::expr) fn matches(column: &Column, pattern: &Regex, rows: usize) -> BooleanBuffer {
    let texts = column.texts();
    BooleanBuffer::collect_bool(rows, |row| pattern.is_match(texts.get(row)))
}

pub(in crate::expr) fn concatenate(arguments: &[Column], rows: usize) -> Column {
    let (first, second) = (arguments[0].texts(), arguments[1].texts());
    let mut builder = TextBuilder::new(rows);
    for row in 0..rows {
        builder.push_joined(first.get(row), second.get(row));
    }
    Column::Texts(builder.finish())
}

pub(in crate::expr) fn lower(arguments: &[Column], rows: usize) -> Column {
    map_texts(arguments, rows, u8::to_ascii_lowercase, str::to_lowercase)
}

pub(in crate::expr) fn upper(arguments: &[Column], rows: usize) -> Column {
    map_texts(arguments, rows, u8::to_ascii_uppercase, str::to_uppercase)
}

/// Maps an ASCII column in one pass, without an allocation per text. Other columns are mapped text by text.
fn map_texts(arguments: &[Column], rows: usize, ascii: fn(&u8) -> u8, unicode: fn(&str) -> String) -> Column {
    let texts = arguments[0].texts();
    if let TextOperand::All(array) = texts
        && array.value_data().is_ascii()
    {
        let (offsets, bytes, nulls) = array.clone().into_parts();
        let bytes: Vec<u8> = bytes.iter().map(ascii).collect();
        return Column::Texts(StringArray::new(offsets, bytes.into(), nulls));
    }
    let mut builder = TextBuilder::new(rows);
    for row in 0..rows {
        builder.push(&unicode(texts.get(row)));
    }
    Column::Texts(builder.finish())
}
