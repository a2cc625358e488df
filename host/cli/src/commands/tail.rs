//! `assay tail`: shows live verdicts.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::Value;

use super::{Output, print_text};
use crate::client::{Client, RequestError, with_query};
use crate::failure::{report_retry, report_warning};

/// Each connection is replaced after this time, because a dead peer may never close it.
const RENEW_INTERVAL: Duration = Duration::from_secs(300);
/// The longest pause between two tries.
const MAX_RECONNECT_WAIT: Duration = Duration::from_secs(10);

/// Show live verdicts.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay tail                                    every verdict of every rule
  assay tail --rule payment_risk --min 0.9
  assay tail --stream payments --tag block --output json | jq .key

Ctrl-C ends it. When the connection breaks it reconnects and continues. --output json prints one JSON document per line.")]
pub struct Args {
    /// Only verdicts of this rule.
    #[arg(long)]
    rule: Option<String>,
    /// Only verdicts on this stream.
    #[arg(long)]
    stream: Option<String>,
    /// Only verdicts with this tag.
    #[arg(long)]
    tag: Option<String>,
    /// Only verdicts with at least this score.
    #[arg(long, allow_negative_numbers = true)]
    min: Option<f64>,
}

/// Shows verdicts until the process is stopped.
///
/// # Errors
/// The server answers with an error.
pub fn run(args: &Args, client: &Client, output: Output) -> Result<()> {
    exit_at_ctrl_c()?;
    let mut last = String::new();
    let mut delay = Duration::from_millis(500);
    loop {
        match client.open(&path(args), &[("last-event-id", &last)], RENEW_INTERVAL) {
            Ok(body) => {
                let before = last.clone();
                show_events(body, &mut last, output)?;
                if last != before {
                    delay = Duration::from_millis(500);
                }
            }
            Err(error) if error.is_temporary() => report_retry(&error, delay, output),
            Err(error @ RequestError::Refused { .. }) if last.is_empty() => return Err(error.into()),
            Err(error) => bail!("the server ended the stream: {error}"),
        }
        std::thread::sleep(delay);
        delay = (delay * 2).min(MAX_RECONNECT_WAIT);
    }
}

fn path(args: &Args) -> String {
    let Args { rule, stream, tag, min } = args;
    let min = min.map(|min| min.to_string());
    let wanted = [("rule", rule.clone()), ("stream", stream.clone()), ("tag", tag.clone()), ("min", min)];
    with_query("/v1/verdicts/stream", &wanted)
}

/// Shows events until the connection ends. `last` is the id of the last shown event.
fn show_events(body: impl std::io::Read, last: &mut String, output: Output) -> Result<()> {
    let mut event = Event::default();
    for line in BufReader::new(body).lines() {
        // The caller reconnects.
        let Ok(line) = line else { return Ok(()) };
        if !line.is_empty() {
            event.add_line(&line);
            continue;
        }
        let Event { id, name, data } = std::mem::take(&mut event);
        if !data.is_empty() {
            show_event(&name, &data, output)?;
        }
        if let Some(id) = id {
            *last = id;
        }
    }
    Ok(())
}

/// An event that is being received, field by field.
#[derive(Debug, Default, PartialEq)]
struct Event {
    id: Option<String>,
    name: String,
    data: String,
}

impl Event {
    fn add_line(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.name),
            "data" => self.data.push_str(value),
            _ => {}
        }
    }
}

fn show_event(name: &str, data: &str, output: Output) -> Result<()> {
    let Ok(value) = serde_json::from_str::<Value>(data) else { bail!("the server sent malformed JSON: {data}") };
    match (name, output) {
        ("verdict", Output::Json) => print_text(&format!("{data}\n")),
        ("verdict", Output::Text) => print_text(&verdict_line(&value)),
        ("missed", _) => {
            let text = |name: &str| super::field(&value, name);
            let (count, stream, partition) = (text("batches"), text("stream"), text("partition"));
            let missed =
                format!("missed {count} batches of verdicts of {stream}/{partition}: the log has deleted them");
            report_warning("missed", &missed, output);
        }
        ("error", _) => {
            let code = super::field(&value, "type");
            let message = format!("the server ended the stream: {}", super::field(&value, "detail"));
            report_warning(code.strip_prefix("urn:assay:").unwrap_or("http"), &message, output);
        }
        _ => {}
    }
    Ok(())
}

/// A verdict as a line: time, entity, rule, score, tags, reasons, event.
fn verdict_line(verdict: &Value) -> String {
    let text = |name: &str| super::field(verdict, name);
    let time = verdict["time"].as_i64().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let time = time.map_or_else(|| "-".to_owned(), |time| format!("{time:.3}"));
    let score = verdict["score"].as_f64().map_or_else(|| "-".to_owned(), |score| format!("{score:.4}"));
    let names = |list: &str, field: &str| {
        let items = verdict[list].as_array().into_iter().flatten();
        items.filter_map(|item| if field.is_empty() { item.as_str() } else { item[field].as_str() }).collect::<Vec<_>>()
    };
    let tags = names("tags", "").join(",");
    let reasons = names("reasons", "code").join(",");
    let place = &verdict["place"];
    let event = match text("id") {
        id if id.is_empty() => format!("{}-{}", place["partition"], place["offset"]),
        id => id,
    };
    let shadow = if verdict["mode"] == "shadow" { " (shadow)" } else { "" };
    let details = [if tags.is_empty() { String::new() } else { format!("[{tags}]") }, reasons].join(" ");
    let line = format!("{time}  {:<16} {:<20} {score:>8}  {details}", text("key"), text("rule") + shadow);
    format!("{}  by {}/{event}\n", line.trim_end(), text("stream"))
}

/// Ends the process at Ctrl-C, between two lines, with exit code 0.
fn exit_at_ctrl_c() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            // While the lock is held nobody is in the middle of a line.
            let _out = std::io::stdout().lock();
            std::process::exit(0);
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_a_line() {
        let verdict = serde_json::json!({
            "stream": "payments", "place": {"partition": 3, "offset": 4711}, "id": "p2", "key": "card-1",
            "time": 1_767_225_601_000_i64, "rule": "card_velocity", "mode": "active", "score": 0.93,
            "tags": ["review"], "reasons": [{"code": "high-spend", "weight": 1.5}],
        });
        assert_eq!(
            verdict_line(&verdict),
            "2026-01-01T00:00:01.000Z  card-1           card_velocity          0.9300  [review] high-spend  by payments/p2\n"
        );
    }

    #[test]
    fn an_event_is_read_field_by_field() {
        let mut event = Event::default();
        for line in ["id: payments=1,2", "event: verdict", ": a comment", "data: {\"a\":1}", "retry:1000"] {
            event.add_line(line);
        }
        let expected = Event { id: Some("payments=1,2".into()), name: "verdict".into(), data: "{\"a\":1}".into() };
        assert_eq!(event, expected);
    }

    #[test]
    fn filters_stand_in_the_query() {
        let none = Args { rule: None, stream: None, tag: None, min: None };
        assert_eq!(path(&none), "/v1/verdicts/stream");
        let some = Args { rule: Some("a b".into()), min: Some(0.5), ..none };
        assert_eq!(path(&some), "/v1/verdicts/stream?rule=a%20b&min=0.5");
    }
}
