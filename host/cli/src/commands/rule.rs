//! `assay rule`: list and show rules, see how they are doing, pause and resume them, pin their plugins, go back; test a
//! pack's cases.

mod text;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{Output, effects, field, items, print, table};
use crate::client::{Body, Client, ServerArgs, escape, with_query};
use crate::rule_test;
use text::{hint, revisions_text, scored_by, status_text};

/// List and show rules, see how they are doing, pause, resume and pin them, go back; test a pack's cases.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay rule list --stream payments --mode paused
  assay rule status card_velocity
  assay rule pause card_velocity
  assay rule revisions card_velocity
  assay rule rollback card_velocity --to 3
  assay rule pin card_velocity velocity@1.0.0
  assay rule test rules/payments --plugins target/plugins")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List rules.
    #[command(after_help = "\
Examples:
  assay rule list
  assay rule list --stream payments --mode paused
  assay rule list --plugin velocity")]
    List {
        /// Of this stream.
        #[arg(long)]
        stream: Option<String>,
        /// In this mode.
        #[arg(long, value_parser = ["active", "shadow", "paused"])]
        mode: Option<String>,
        /// That use this plugin.
        #[arg(long)]
        plugin: Option<String>,
    },
    /// Show a rule with its revision and author.
    #[command(after_help = "\
Examples:
  assay rule show card_velocity")]
    Show {
        /// The rule.
        name: String,
    },
    /// Show how a rule is doing: rate, failures, time per event, its last verdict.
    #[command(after_help = "\
Examples:
  assay rule status card_velocity")]
    Status {
        /// The rule.
        name: String,
    },
    /// List all revisions of a rule, also of a deleted one.
    #[command(after_help = "\
Examples:
  assay rule revisions card_velocity")]
    Revisions {
        /// The rule.
        name: String,
    },
    /// Go back to an earlier revision of a rule; it becomes a new one.
    #[command(after_help = "\
Examples:
  assay rule rollback card_velocity            to what it said before
  assay rule rollback card_velocity --to 3

The plugin's version goes back, too, and is pinned then: 'assay rule pin' lets the rule follow newer versions again. A rule
that is paused stays paused, and one that runs goes on running.")]
    Rollback {
        /// The rule.
        name: String,
        /// The revision; without it the newest before the current one that says something else, a pause aside.
        #[arg(long, value_name = "REVISION")]
        to: Option<u32>,
    },
    /// Let a rule use another version of its plugin.
    #[command(after_help = "\
Examples:
  assay rule pin card_velocity velocity@1.0.0     this version and no other
  assay rule pin card_velocity velocity@1         the newest 1.x, also of those that come later
  assay rule pin card_velocity velocity@1.1.0 --dry-run")]
    Pin {
        /// The rule.
        name: String,
        /// The version: NAME@1.2.0, NAME@1.2, NAME@1 or a digest.
        #[arg(value_name = "NAME@VERSION")]
        plugin: String,
        /// Check it and tell what it would do; change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Stop a rule; what it remembers is kept.
    #[command(after_help = "\
Examples:
  assay rule pause card_velocity")]
    Pause {
        /// The rule.
        name: String,
    },
    /// Let a paused rule run again.
    #[command(after_help = "\
Examples:
  assay rule resume card_velocity")]
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
                    let (revision, stream, mode) = (field(rule, "revision"), field(def, "stream"), field(def, "mode"));
                    vec![field(rule, "name"), revision, stream, scored_by(def), mode]
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
            print(output, &revisions, revisions_text);
            return Ok(ExitCode::SUCCESS);
        }
        Action::Pin { name, plugin, dry_run } => {
            let rule = pin(&name, &plugin, dry_run, &Client::new(server)?)?;
            print(output, &rule, |rule| format!("{}{}", effects(rule), hint(rule)));
            return Ok(ExitCode::SUCCESS);
        }
        Action::Rollback { name, to } => {
            let path = with_query(
                &format!("/v1/rules/{}/rollback", escape(&name)),
                &[("revision", to.map(|to| to.to_string()))],
            );
            let rule = Client::new(server)?.request("POST", &path, &Body::Empty)?;
            print(output, &rule, |rule| format!("{}{}", effects(rule), hint(rule)));
            return Ok(ExitCode::SUCCESS);
        }
        Action::Show { name } => ("GET", format!("/v1/rules/{}", escape(&name))),
        Action::Pause { name } => ("POST", format!("/v1/rules/{}/pause", escape(&name))),
        Action::Resume { name } => ("POST", format!("/v1/rules/{}/resume", escape(&name))),
    };
    let rule = Client::new(server)?.request(method, &path, &Body::Empty)?;
    print(output, &rule, |rule| format!("{rule:#}\n"));
    Ok(ExitCode::SUCCESS)
}

/// Changes the plugin of a rule, and nothing else of it.
fn pin(name: &str, plugin: &str, dry_run: bool, client: &Client) -> Result<Value> {
    let path = format!("/v1/rules/{}", escape(name));
    let rule = client.get(&path)?;
    let mut definition = rule["definition"].clone();
    ensure!(!definition["plugin"].is_null(), "the rule '{name}' has no plugin: an expression scores it");
    definition["plugin"] = json!(plugin);
    let path = with_query(&path, &[("dry_run", dry_run.then(|| "true".to_owned()))]);
    // Somebody may change the rule between our reading and writing: then that is told instead of undone.
    let tag = format!("\"{}\"", rule["revision"]);
    Ok(client.request_with("PUT", &path, &[("if-match", &tag)], &Body::Json(&definition))?)
}
