//! The command line: which command, and what holds for all of them.

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
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value = "text")]
    output: Output,
    /// No progress bars.
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Apply(commands::apply::Args),
    Generate(commands::generate::Args),
    Ingest(commands::ingest::Args),
    Plugin(commands::plugin::Args),
    Rule(commands::rule::Args),
    Show(commands::show::Args),
    Tail(commands::tail::Args),
    Entity(commands::entity::Args),
    Keys(commands::keys::Args),
    DeadLetters(commands::dead_letters::Args),
    Explain(commands::explain::Args),
    Migrate(commands::migrate::Args),
    CompilePlugin(commands::compile_plugin::Args),
    /// Print completions for a shell: assay completions bash > /etc/bash_completion.d/assay
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// What went wrong, and what to do.
    pub fn run(self) -> Result<ExitCode> {
        let Self { command, server, output, quiet } = self;
        let client = || Client::new(&server);
        match command {
            Command::Serve(args) => serve::run(args)?,
            Command::Apply(args) => return commands::apply::run(&args, &client()?, output),
            Command::Generate(args) => commands::generate::run(&args, &server, quiet)?,
            Command::Ingest(args) => {
                if !commands::ingest::run(&args, &client()?, output, quiet)? {
                    return Ok(ExitCode::FAILURE);
                }
            }
            Command::Plugin(args) => commands::plugin::run(&args, &server, output)?,
            Command::Rule(args) => return commands::rule::run(args, &server, output),
            Command::Show(args) => commands::show::run(&args, &client()?, output)?,
            Command::Tail(args) => commands::tail::run(&args, &client()?, output)?,
            Command::Entity(args) => commands::entity::run(&args, &client()?, output)?,
            Command::Keys(args) => commands::keys::run(&args, &client()?, output)?,
            Command::DeadLetters(args) => commands::dead_letters::run(&args, &client()?, output)?,
            Command::Explain(args) => commands::explain::run(&args, output)?,
            Command::Migrate(args) => commands::migrate::run(&args, quiet)?,
            Command::CompilePlugin(args) => return Ok(commands::compile_plugin::run(&args)),
            Command::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Self::command(), "assay", &mut script);
                commands::say(&String::from_utf8_lossy(&script));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
