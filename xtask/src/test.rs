//! Runs the tests: those that need no other server, or those that do, against real ones.
//!
//! A test that needs servers is `#[ignore = "needs servers: cargo xtask test --servers"]` and finds them by the
//! variables that `cargo xtask servers env` prints.

use anyhow::{Context, Result};

use crate::run::cargo;
use crate::{plugins, servers};

/// What to test.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Bring up real servers and run the tests that need them, and only those. The servers stay up.
    #[arg(long)]
    servers: bool,
    /// End the servers afterwards, whatever came of the tests.
    #[arg(long, requires = "servers")]
    down: bool,
    /// Filters and options for the tests, behind `--`.
    #[arg(last = true)]
    filters: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if !args.servers {
        return test(&[], &[], &args.filters);
    }
    let tested = with_servers(args);
    if args.down {
        let ended = servers::down_all();
        // Why the tests failed matters more.
        tested.and(ended)
    } else {
        tested
    }
}

fn with_servers(args: &Args) -> Result<()> {
    let variables = servers::up_all().context("the tests need all servers")?;
    // Not the documentation's examples: to ignore one of those means something else.
    test(&["--tests"], &variables, &[&["--ignored".to_owned()], args.filters.as_slice()].concat())
}

fn test(targets: &[&str], variables: &[(&str, String)], filters: &[String]) -> Result<()> {
    let folder = plugins::build()?;
    // One run names every test that fails, not only those of the first target that has one.
    let mut command = cargo(&["test", "--release", "--workspace", "--no-fail-fast"]);
    command.args(targets).env("ASSAY_PLUGINS", folder).envs(variables.iter().map(|(name, value)| (name, value)));
    if !filters.is_empty() {
        command.arg("--").args(filters);
    }
    crate::run::run(&mut command)
}
