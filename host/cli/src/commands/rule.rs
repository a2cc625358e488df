//! `assay rule`: list, show, pause and resume rules; test a pack's cases.

use std::process::ExitCode;

use anyhow::Result;

use super::{Output, field, items, print, table};
use crate::client::{Body, Client, ServerArgs, escape};
use crate::rule_test;

/// List, show, pause and resume rules; test a pack's cases.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay rule list
  assay rule pause card_velocity
  assay rule test rules/payments --plugins target/plugins")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List all rules.
    List,
    /// Show a rule with its revision and author.
    Show {
        /// The rule.
        name: String,
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
        Action::List => {
            let rules = Client::new(server)?.get("/v1/rules")?;
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
        Action::Show { name } => ("GET", format!("/v1/rules/{}", escape(&name))),
        Action::Pause { name } => ("POST", format!("/v1/rules/{}/pause", escape(&name))),
        Action::Resume { name } => ("POST", format!("/v1/rules/{}/resume", escape(&name))),
    };
    let rule = Client::new(server)?.request(method, &path, &Body::Empty)?;
    print(output, &rule, |rule| format!("{rule:#}\n"));
    Ok(ExitCode::SUCCESS)
}
