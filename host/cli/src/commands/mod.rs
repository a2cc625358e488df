//! One file per command. Each has its arguments, with examples, and does one thing through the client.

pub mod apply;
pub mod check;
pub mod compile_plugin;
pub mod completions;
pub mod dead_letters;
pub mod definitions;
pub mod entity;
pub mod explain;
pub mod generate;
pub mod ingest;
pub mod keys;
pub mod migrate;
pub mod plugin;
pub(crate) mod progress;
pub mod rule;
pub mod show;
pub mod tail;

use std::io::Write as _;

use serde_json::Value;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs: one JSON document.
    Json,
}

/// Prints a result as JSON, or as the text that is made of it.
pub(crate) fn print(output: Output, value: &Value, text: impl FnOnce(&Value) -> String) {
    match output {
        Output::Json => say(&format!("{value:#}\n")),
        Output::Text => say(&text(value)),
    }
}

/// Writes to standard output. A reader that has seen enough, such as `head`, ends the command quietly.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        stdout_failed(&error);
    }
}

/// Ends the process: without a word if nobody reads any more.
pub(crate) fn stdout_failed(error: &std::io::Error) -> ! {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    eprintln!("error: cannot write to standard output: {error}");
    std::process::exit(1);
}

/// A table with aligned columns, a line a row.
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

/// A field of a JSON object as text: texts bare, anything else as JSON.
pub(crate) fn field(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The items of a listing.
pub(crate) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value["items"].as_array().into_iter().flatten()
}

/// A time in ms since 1970 as people read it, in UTC.
pub(crate) fn time(ms: &Value) -> String {
    let time = ms.as_i64().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(String::new, |time| format!("{time:.0}"))
}

/// What else a change does, a line each.
pub(crate) fn effects(answer: &Value) -> String {
    let effects = answer["effects"].as_array().into_iter().flatten();
    effects.map(|one| format!("  {} {}: {}\n", field(one, "kind"), field(one, "name"), field(one, "effect"))).collect()
}
