//! `assay rule`: lists, shows, pauses, resumes, rolls back and pins rules, shows their status; tests a pack's cases.

mod text;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use assay_core::rule::Mode;
use serde_json::{Value, json};

use super::{Output, effects, field, items, print, table};
use crate::client::{Body, Client, ServerArgs, escape, with_query};
use crate::rule_test;
use text::{hint, mode_text, revisions_text, scored_by, status_text};

/// List, show, pause, resume, roll back and pin rules; test a pack's cases.
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
        /// Only rules of this stream.
        #[arg(long)]
        stream: Option<String>,
        /// Only rules in this mode.
        #[arg(long, value_parser = Mode::NAMES)]
        mode: Option<String>,
        /// Only rules that use this plugin.
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
    /// Show the status of a rule: rate, failures, time per event, its last verdict.
    #[command(after_help = "\
Examples:
  assay rule status card_velocity")]
    Status {
        /// The rule.
        name: String,
    },
    /// List all revisions of a rule, even of a deleted one.
    #[command(after_help = "\
Examples:
  assay rule revisions card_velocity")]
    Revisions {
        /// The rule.
        name: String,
    },
    /// Restore an earlier revision of a rule, as a new one.
    #[command(after_help = "\
Examples:
  assay rule rollback card_velocity            the revision before
  assay rule rollback card_velocity --to 3

The rule gets the version of its plugin that the revision had. If the revision names a range, such as velocity@1, and the \
range means another version by now, the new revision names the version exactly (velocity@1.0.0), and the rule does not \
switch to newer ones: 'assay rule pin' lets it switch again. Otherwise the reference stays as the revision has it. A paused \
rule stays paused, and a running rule keeps running.")]
    Rollback {
        /// The rule.
        name: String,
        /// The revision; by default the newest earlier one with another content, pauses aside.
        #[arg(long, value_name = "REVISION")]
        to: Option<u32>,
    },
    /// Set the version of a rule's plugin.
    #[command(after_help = "\
Examples:
  assay rule pin card_velocity velocity@1.0.0     this version and no other
  assay rule pin card_velocity velocity@1         the newest 1.x, including later ones
  assay rule pin card_velocity velocity@1.1.0 --dry-run")]
    Pin {
        /// The rule.
        name: String,
        /// The version: NAME@1.2.0, NAME@1.2, NAME@1 or a digest.
        #[arg(value_name = "NAME@VERSION")]
        plugin: String,
        /// Check it and list its effects. Change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Pause a rule. Its state is kept.
    #[command(after_help = "\
Examples:
  assay rule pause card_velocity")]
    Pause {
        /// The rule.
        name: String,
    },
    /// Resume a paused rule.
    #[command(after_help = "\
Examples:
  assay rule resume card_velocity")]
    Resume {
        /// The rule.
        name: String,
    },
    /// Run a pack's cases offline.
    Test(rule_test::Args),
}

/// Runs the subcommand.
///
/// # Errors
/// The server answers with an error.
pub fn run(args: Args, server: &ServerArgs, output: Output) -> Result<ExitCode> {
    match args.action {
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
        }
        Action::Status { name } => {
            let status = Client::new(server)?.get(&format!("/v1/rules/{}/status", escape(&name)))?;
            print(output, &status, status_text);
        }
        Action::Revisions { name } => {
            let revisions = Client::new(server)?.get(&format!("/v1/rules/{}/revisions", escape(&name)))?;
            print(output, &revisions, revisions_text);
        }
        Action::Pin { name, plugin, dry_run } => {
            let rule = pin(&name, &plugin, dry_run, &Client::new(server)?)?;
            print(output, &rule, |rule| format!("{}{}", effects(rule), hint(rule)));
        }
        Action::Rollback { name, to } => {
            let path = with_query(
                &format!("/v1/rules/{}/rollback", escape(&name)),
                &[("revision", to.map(|to| to.to_string()))],
            );
            let rule = Client::new(server)?.request("POST", &path, &Body::Empty)?;
            print(output, &rule, |rule| format!("{}{}", effects(rule), hint(rule)));
        }
        Action::Show { name } => {
            let rule = Client::new(server)?.get(&format!("/v1/rules/{}", escape(&name)))?;
            print(output, &rule, |rule| format!("{rule:#}\n"));
        }
        Action::Pause { name } => set_mode(&name, "pause", &Client::new(server)?, output)?,
        Action::Resume { name } => set_mode(&name, "resume", &Client::new(server)?, output)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Pauses or resumes a rule.
fn set_mode(name: &str, action: &str, client: &Client, output: Output) -> Result<()> {
    let rule = client.request("POST", &format!("/v1/rules/{}/{action}", escape(name)), &Body::Empty)?;
    print(output, &rule, |rule| format!("{}{}", effects(rule), mode_text(rule)));
    Ok(())
}

/// Changes the plugin of a rule, and nothing else of it.
fn pin(name: &str, plugin: &str, dry_run: bool, client: &Client) -> Result<Value> {
    let path = format!("/v1/rules/{}", escape(name));
    let rule = client.get(&path)?;
    let mut definition = rule["definition"].clone();
    ensure!(!definition["plugin"].is_null(), "the rule '{name}' has no plugin: an expression scores it");
    definition["plugin"] = json!(plugin);
    let path = with_query(&path, &[("dry_run", dry_run.then(|| "true".to_owned()))]);
    // If the rule changes between this read and the write, the request fails instead of undoing that change.
    let tag = format!("\"{}\"", rule["revision"]);
    Ok(client.request_with("PUT", &path, &[("if-match", &tag)], &Body::Json(&definition))?)
}
