//! The command line: the commands and the global options.

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

use crate::client::{Client, ServerArgs};
use crate::commands::{self, Output};
use crate::serve;

/// Score and tag streams of events with sandboxed WebAssembly plugins.
#[derive(Debug, Parser)]
#[command(
    name = "assay",
    version,
    after_help = "\
First steps:
  assay serve                          start a server; it prints a key
  export ASSAY_KEY=...                 let the other commands use it
  assay apply rules/payments --plugins target/plugins
  assay generate payments --count 100000 --to-stream payments
  assay show scores payment_risk"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: ServerArgs,
    /// The format of results and errors.
    #[arg(
        id = "global-output",
        long = "output",
        global = true,
        value_enum,
        default_value = "text",
        value_name = "OUTPUT"
    )]
    output: Output,
    /// No progress bars, and no lines about progress.
    #[arg(id = "global-quiet", long = "quiet", short = 'q', global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Apply(commands::apply::Args),
    Generate(commands::generate::Args),
    Ingest(commands::ingest::Args),
    Stream(commands::definitions::StreamArgs),
    View(commands::definitions::ViewArgs),
    Plugin(commands::plugin::Args),
    Rule(commands::rule::Args),
    Show(commands::show::Args),
    Tail(commands::tail::Args),
    Entity(commands::entity::Args),
    Keys(commands::keys::Args),
    DeadLetters(commands::dead_letters::Args),
    Explain(commands::explain::Args),
    Migrate(commands::migrate::Args),
    Check(commands::check::Args),
    CompilePlugin(commands::compile_plugin::Args),
    Completions(commands::completions::Args),
}

impl Args {
    /// The format of results and errors.
    pub fn output(&self) -> Output {
        self.output
    }

    /// Runs the command.
    ///
    /// # Errors
    /// The command failed; the message has the remedy.
    pub fn run(self) -> Result<ExitCode> {
        let Self { command, server, output, quiet } = self;
        // Programs that read JSON do not need progress.
        let quiet = quiet || output == Output::Json;
        let client = || Client::new(&server);
        match command {
            Command::Serve(args) => serve::run(args)?,
            Command::Apply(args) => return commands::apply::run(&args, &client()?, output, quiet),
            Command::Generate(args) => commands::generate::run(&args, &server, output, quiet)?,
            Command::Ingest(args) => commands::ingest::run(&args, &client()?, output, quiet)?,
            Command::Stream(args) => commands::definitions::run_stream(&args, &client()?, output)?,
            Command::View(args) => commands::definitions::run_view(&args, &client()?, output)?,
            Command::Plugin(args) => commands::plugin::run(&args, &server, output, quiet)?,
            Command::Rule(args) => return commands::rule::run(args, &server, output),
            Command::Show(args) => commands::show::run(&args, &client()?, output)?,
            Command::Tail(args) => commands::tail::run(&args, &client()?, output)?,
            Command::Entity(args) => commands::entity::run(&args, &client()?, output)?,
            Command::Keys(args) => commands::keys::run(&args, &client()?, output)?,
            Command::DeadLetters(args) => commands::dead_letters::run(&args, &client()?, output)?,
            Command::Explain(args) => commands::explain::run(&args, output)?,
            Command::Migrate(args) => commands::migrate::run(&args, quiet)?,
            Command::Check(args) => return commands::check::run(&args, output, quiet),
            Command::CompilePlugin(args) => return Ok(commands::compile_plugin::run(&args)),
            Command::Completions(args) => commands::completions::run(&args, Self::command()),
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The id and the names of an argument.
    fn names(argument: &clap::Arg) -> Vec<String> {
        let long = argument.get_long().map(|long| format!("--{long}"));
        let short = argument.get_short().map(|short| format!("-{short}"));
        [Some(argument.get_id().to_string()), long, short].into_iter().flatten().collect()
    }

    fn check(command: &clap::Command, path: &str, taken: &BTreeSet<String>) {
        let mut globals = taken.clone();
        for argument in command.get_arguments() {
            for name in names(argument) {
                assert!(!taken.contains(&name), "{path}: '{name}' is an argument of its own and a global one");
            }
            if argument.is_global_set() {
                globals.extend(names(argument));
            }
        }
        for subcommand in command.get_subcommands() {
            check(subcommand, &format!("{path} {}", subcommand.get_name()), &globals);
        }
    }

    #[test]
    fn no_argument_of_a_command_is_a_global_one() {
        let command = Args::command();
        let globals: Vec<_> = command.get_arguments().filter(|argument| argument.is_global_set()).collect();
        assert!(globals.len() >= 5, "{globals:?}");
        for argument in globals {
            assert!(argument.get_id().as_str().starts_with("global-"), "{}", argument.get_id());
        }
        check(&command, "assay", &BTreeSet::new());
    }

    #[test]
    fn the_command_tree_is_valid() {
        Args::command().debug_assert();
    }
}
