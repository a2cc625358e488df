//! Runs all tests that need no other server.

use anyhow::Result;

use crate::plugins;
use crate::run::cargo;

/// What to test.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Filters and options for the tests, behind `--`.
    #[arg(last = true)]
    filters: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let folder = plugins::build()?;
    let mut command = cargo(&["test", "--release", "--workspace"]);
    command.env("ASSAY_PLUGINS", folder);
    if !args.filters.is_empty() {
        command.arg("--").args(&args.filters);
    }
    crate::run::run(&mut command)
}
