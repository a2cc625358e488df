//! `assay dead-letters`: events that a rule could not score.

use anyhow::Result;
use serde_json::Value;

use super::{Output, cell, items, print, table, time};
use crate::client::{Client, escape, with_query};

/// The columns of a list.
const HEADER: [&str; 8] = ["STREAM", "PLACE", "TIME", "ENTITY", "ID", "RULE", "CODE", "MESSAGE"];

/// List and show events that a rule could not score.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay dead-letters list
  assay dead-letters list --rule card_velocity --limit 10
  assay dead-letters show payments 3 4711")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List dead letters, the newest of each partition first.
    #[command(after_help = "\
Examples:
  assay dead-letters list
  assay dead-letters list --stream payments --rule card_velocity --limit 10")]
    List {
        /// Only letters of this stream.
        #[arg(long)]
        stream: Option<String>,
        /// Only letters of this rule.
        #[arg(long)]
        rule: Option<String>,
        /// The largest number of letters.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Show one event with its failures.
    #[command(after_help = "\
Examples:
  assay dead-letters show payments 3 4711")]
    Show {
        /// The stream.
        stream: String,
        /// The partition.
        partition: u32,
        /// The offset.
        offset: u64,
    },
}

/// Runs the subcommand.
///
/// # Errors
/// The server answers with an error.
pub fn run(args: &Args, client: &Client, output: Output) -> Result<()> {
    match &args.action {
        Action::List { stream, rule, limit } => {
            let limit = Some(limit.to_string());
            let wanted = [("limit", limit), ("stream", stream.clone()), ("rule", rule.clone())];
            let letters = client.get(&with_query("/v1/dead-letters", &wanted))?;
            print(output, &letters, |letters| {
                let mut rows = vec![HEADER.map(str::to_owned).to_vec()];
                rows.extend(items(letters).map(letter_row));
                table(&rows)
            });
        }
        Action::Show { stream, partition, offset } => {
            let letter = client.get(&format!("/v1/dead-letters/{}/{partition}/{offset}", escape(stream)))?;
            print(output, &letter, |letter| format!("{letter:#}\n"));
        }
    }
    Ok(())
}

/// A letter as a row. One of an event that could not be read has no time, entity, id and rule; one that a sink could not
/// store has the sink in place of the rule.
fn letter_row(letter: &Value) -> Vec<String> {
    let place = format!("{} {}", letter["place"]["partition"], letter["place"]["offset"]);
    let at = if letter["time"] == 0 { cell(&Value::Null) } else { time(&letter["time"]) };
    let source = if letter["rule"].is_null() { sink_name(letter) } else { cell(&letter["rule"]) };
    let [stream, key, id, code, message] = ["stream", "key", "id", "code", "message"].map(|name| cell(&letter[name]));
    vec![stream, place, at, key, id, source, code, message]
}

fn sink_name(letter: &Value) -> String {
    letter["sink"].as_str().map_or_else(|| cell(&Value::Null), |sink| format!("sink {sink}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_letter_is_a_row_with_what_is_known_of_its_event() {
        let scored = json!({"stream": "pay", "place": {"partition": 1, "offset": 7}, "time": 1_767_225_600_000_i64,
            "key": "card-1", "id": "p7", "rule": "big", "code": "plugin-trap", "message": "no"});
        let expected = ["pay", "1 7", "2026-01-01T00:00:00Z", "card-1", "p7", "big", "plugin-trap", "no"];
        assert_eq!(letter_row(&scored), expected);
        let unreadable = json!({"stream": "pay", "place": {"partition": 0, "offset": 8}, "time": 0, "rule": null,
            "code": "event-unreadable", "message": "cut"});
        assert_eq!(letter_row(&unreadable), ["pay", "0 8", "-", "-", "-", "-", "event-unreadable", "cut"]);
        let refused = json!({"stream": "pay", "place": {"partition": 0, "offset": 9}, "time": 1, "key": "c",
            "rule": null, "sink": "graph", "code": "store-refused", "message": "full"});
        assert_eq!(letter_row(&refused)[5], "sink graph");
    }
}
