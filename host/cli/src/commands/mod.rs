//! The commands, one file each: its arguments, with examples, and its calls of the client.

pub mod apply;
pub mod check;
pub mod compile_plugin;
pub mod completions;
mod data_folder;
pub mod dead_letters;
pub mod definitions;
pub mod entity;
pub mod explain;
pub mod generate;
pub mod ingest;
mod interrupt;
pub mod keys;
pub mod migrate;
pub mod plugin;
pub(crate) mod progress;
pub mod rule;
pub(crate) mod sent;
pub mod show;
pub mod tail;

use std::io::Write as _;

use serde_json::Value;

use crate::failure;

/// The format of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs: one JSON document.
    Json,
}

/// Prints a result as JSON or as text.
pub(crate) fn print(output: Output, value: &Value, text: impl FnOnce(&Value) -> String) {
    match output {
        Output::Json => print_text(&format!("{value:#}\n")),
        Output::Text => print_text(&text(value)),
    }
}

/// Writes to standard output. If the reader, such as `head`, has closed the pipe, the process exits quietly.
pub(crate) fn print_text(text: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        exit_after_stdout_error(&error);
    }
}

/// Ends the process after a failed write, quietly if the reader has closed the pipe.
pub(crate) fn exit_after_stdout_error(error: &std::io::Error) -> ! {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    let error = anyhow::anyhow!("cannot write to standard output: {error}");
    failure::report_error(&error, failure::requested_output());
    std::process::exit(1);
}

/// A table with aligned columns, one line per row.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A field of a JSON object as text: a string without quotes, other values as JSON.
pub(crate) fn field(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A value as a cell of a table: lists and the names of an object joined by commas, nothing as `-`.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        Value::Object(fields) => fields.keys().cloned().collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// The items of a listing.
pub(crate) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value["items"].as_array().into_iter().flatten()
}

/// A time in ms since 1970 as readable text, in UTC.
pub(crate) fn time(ms: &Value) -> String {
    let time = ms.as_i64().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(String::new, |time| format!("{time:.0}"))
}

/// The effects of a change, one line each.
pub(crate) fn effects(answer: &Value) -> String {
    let effects = answer["effects"].as_array().into_iter().flatten();
    effects.map(|one| format!("  {} {}: {}\n", field(one, "kind"), field(one, "name"), field(one, "effect"))).collect()
}
