//! `assay rule`: list and show rules, see how they are doing, pause and resume them, go back; test a pack's cases.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::Value;

use super::{Output, field, items, print, table, time};
use crate::client::{Body, Client, ServerArgs, escape, with_query};
use crate::rule_test;

/// List and show rules, see how they are doing, pause and resume them, go back; test a pack's cases.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay rule list --stream payments --mode paused
  assay rule status card_velocity
  assay rule pause card_velocity
  assay rule revisions card_velocity
  assay rule rollback card_velocity --to 3
  assay rule test rules/payments --plugins target/plugins")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List rules.
    List {
        /// Of this stream.
        #[arg(long)]
        stream: Option<String>,
        /// In this mode: active, shadow or paused.
        #[arg(long)]
        mode: Option<String>,
        /// That use this plugin.
        #[arg(long)]
        plugin: Option<String>,
    },
    /// Show a rule with its revision and author.
    Show {
        /// The rule.
        name: String,
    },
    /// Show how a rule is doing: rate, failures, time per event, its last verdict.
    Status {
        /// The rule.
        name: String,
    },
    /// List all revisions of a rule, also of a deleted one.
    Revisions {
        /// The rule.
        name: String,
    },
    /// Go back to an earlier revision of a rule; it becomes a new one.
    Rollback {
        /// The rule.
        name: String,
        /// The revision; without it the newest before the current one that says something else.
        #[arg(long, value_name = "REVISION")]
        to: Option<u32>,
    },
    /// Stop a rule; what it remembers is kept.
    Pause {
        /// The rule.
        name: String,
    },
    /// Let a paused rule run again.
    Resume {
        /// The rule.
        name: String,
    },
    /// Run a pack's cases offline: events in, expected verdicts out.
    Test(rule_test::Args),
}

/// Does what was asked.
///
/// # Errors
/// The server says no.
pub fn run(args: Args, server: &ServerArgs, output: Output) -> Result<ExitCode> {
    let (method, path) = match args.action {
        Action::Test(args) => return rule_test::run(&args, output),
        Action::List { stream, mode, plugin } => {
            let wanted = [("stream", stream), ("mode", mode), ("plugin", plugin)];
            let rules = Client::new(server)?.get(&with_query("/v1/rules", &wanted))?;
            print(output, &rules, |rules| {
                let mut rows = vec![["RULE", "REVISION", "STREAM", "SCORED BY", "MODE"].map(str::to_owned).to_vec()];
                rows.extend(items(rules).map(|rule| {
                    let def = &rule["definition"];
                    let by = if def["plugin"].is_null() { "expression".to_owned() } else { field(def, "plugin") };
                    vec![field(rule, "name"), field(rule, "revision"), field(def, "stream"), by, field(def, "mode")]
                }));
                table(&rows)
            });
            return Ok(ExitCode::SUCCESS);
        }
        Action::Status { name } => {
            let status = Client::new(server)?.get(&format!("/v1/rules/{}/status", escape(&name)))?;
            print(output, &status, status_text);
            return Ok(ExitCode::SUCCESS);
        }
        Action::Revisions { name } => {
            let revisions = Client::new(server)?.get(&format!("/v1/rules/{}/revisions", escape(&name)))?;
            print(output, &revisions, |revisions| {
                let mut rows = vec![["REVISION", "AT", "BY", "MODE"].map(str::to_owned).to_vec()];
                rows.extend(items(revisions).map(|one| {
                    let deleted = one["definition"].is_null();
                    let mode = if deleted { "deleted".to_owned() } else { field(&one["definition"], "mode") };
                    vec![field(one, "revision"), time(&one["at"]), field(one, "author"), mode]
                }));
                table(&rows)
            });
            return Ok(ExitCode::SUCCESS);
        }
        Action::Rollback { name, to } => {
            let revision = to.map(|to| to.to_string());
            ("POST", with_query(&format!("/v1/rules/{}/rollback", escape(&name)), &[("revision", revision)]))
        }
        Action::Show { name } => ("GET", format!("/v1/rules/{}", escape(&name))),
        Action::Pause { name } => ("POST", format!("/v1/rules/{}/pause", escape(&name))),
        Action::Resume { name } => ("POST", format!("/v1/rules/{}/resume", escape(&name))),
    };
    let rule = Client::new(server)?.request(method, &path, &Body::Empty)?;
    print(output, &rule, |rule| format!("{rule:#}\n"));
    Ok(ExitCode::SUCCESS)
}

/// A status for people.
fn status_text(status: &Value) -> String {
    let (minute, start, breaker) = (&status["last_minute"], &status["since_start"], &status["breaker"]);
    let plugin = if status["plugin"].is_null() { "an expression".to_owned() } else { field(status, "plugin") };
    let per_event = minute["ns_per_event"].as_u64().map_or_else(|| "-".to_owned(), |ns| format!("{ns} ns per event"));
    let mut rows = vec![
        row(
            "rule",
            format!("{}, revision {}, {}", field(status, "rule"), field(status, "revision"), field(status, "mode")),
        ),
        row("scored by", plugin),
        row(
            "last minute",
            format!(
                "{} events, {:.1} per second, {} failed, {per_event}",
                field(minute, "judged"),
                minute["per_second"].as_f64().unwrap_or_default(),
                field(minute, "failed")
            ),
        ),
        row("since start", format!("{} events, {} failed", field(start, "judged"), field(start, "failed"))),
    ];
    if let Some(last) = status["last_verdict"].as_object() {
        let score = last["score"].as_f64().map_or_else(|| "no score".to_owned(), |score| format!("score {score}"));
        let place = &last["place"];
        let at = time(&last["at"]);
        rows.push(row("last verdict", format!("{score}, event {}-{}, {at}", place["partition"], place["offset"])));
    }
    if let Some(last) = status["last_failure"].as_object() {
        let said =
            format!("{}: {}", last["code"].as_str().unwrap_or_default(), last["message"].as_str().unwrap_or_default());
        rows.push(row("last failure", format!("{said}, {}", time(&last["at"]))));
    }
    let since = if breaker["since"].is_null() { String::new() } else { format!(" since {}", time(&breaker["since"])) };
    let advice = if breaker["state"] == "open" { "; mend its plugin, then: assay rule resume" } else { "" };
    rows.push(row("breaker", format!("{}{since}{advice}", field(breaker, "state"))));
    table(&rows)
}

fn row(name: &str, value: String) -> Vec<String> {
    vec![name.to_owned(), value]
}
