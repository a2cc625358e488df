//! Runs the tests: those that need no other server, or those that do, against real ones.
//!
//! A test that needs servers is `#[ignore = "needs servers: cargo xtask test --servers"]` and finds them by the
//! variables that `cargo xtask servers env` prints.

use anyhow::{Context, Result};

use crate::run::{cargo, root};
use crate::{plugins, servers};

/// The options of a test run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Start real servers and run only the tests that need them. The servers keep running.
    #[arg(long)]
    servers: bool,
    /// Stop the servers afterwards, even if tests fail.
    #[arg(long, requires = "servers")]
    down: bool,
    /// Longer runs of the tests that repeat something, such as those of faults: some minutes more.
    #[arg(long)]
    long: bool,
    /// Filters and options for the tests, after `--`.
    #[arg(last = true)]
    filters: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let long = args.long.then(|| ("ASSAY_TEST_LONG", "1".to_owned()));
    if !args.servers {
        return test(&[], long.as_slice(), &args.filters);
    }
    let tested = with_servers(args);
    if args.down {
        let ended = servers::down_all();
        // The failure of the tests takes precedence.
        tested.and(ended)
    } else {
        tested
    }
}

/// The crates of adapters to servers. All of their tests run in the suite with servers, and none without.
const SERVER_CRATES: [(&str, &str); 6] = [
    ("assay-dgraph", "host/stores/dgraph"),
    ("assay-http-client", "host/stores/http"),
    ("assay-influxdb", "host/stores/influxdb"),
    ("assay-kafka", "host/stores/kafka"),
    ("assay-mongodb", "host/stores/mongodb"),
    ("assay-scylladb", "host/stores/scylladb"),
];
/// The folders of the other tests that need servers.
const WHOLE: [&str; 2] = ["host/cli", "xtask"];

fn with_servers(args: &Args) -> Result<()> {
    let mut variables = servers::up_all().context("the tests need all servers")?;
    variables.extend(args.long.then(|| ("ASSAY_TEST_LONG", "1".to_owned())));
    // Both runs select the same packages: with others, dependencies have other features and are compiled again.
    let mut selected = vec!["--features", "servers", "--package", "assay-unified"];
    for package in SERVER_CRATES.iter().map(|(package, _)| *package).chain(["assay", "xtask"]) {
        selected.extend(["--package", package]);
    }
    let run = |targets: &[String], ignored: &str| {
        let targets = selected.iter().copied().chain(targets.iter().map(String::as_str)).collect::<Vec<_>>();
        test(&targets, &variables, &[&[ignored.to_owned()], args.filters.as_slice()].concat())
    };
    let mut adapters = vec!["--lib".to_owned()];
    adapters.extend(test_targets(SERVER_CRATES.iter().map(|(_, folder)| *folder))?);
    let adapters = run(&adapters, "--include-ignored");
    let whole = run(&test_targets(WHOLE)?, "--ignored");
    adapters.and(whole)
}

/// `--test NAME` for each file and each folder with a `main.rs` in the `tests` of these crates.
fn test_targets<'a>(folders: impl IntoIterator<Item = &'a str>) -> Result<Vec<String>> {
    let mut targets = Vec::new();
    for folder in folders {
        let tests = root().join(folder).join("tests");
        if !tests.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&tests).with_context(|| format!("cannot list {}", tests.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "rs") || path.join("main.rs").is_file() {
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                targets.extend(["--test".to_owned(), name]);
            }
        }
    }
    Ok(targets)
}

fn test(targets: &[&str], variables: &[(&str, String)], filters: &[String]) -> Result<()> {
    let folder = plugins::build()?;
    // A run names all failing tests, not only those of the first failing target.
    let mut command = cargo(&["test", "--release", "--no-fail-fast"]);
    command.args(targets).env("ASSAY_PLUGINS", folder).envs(variables.iter().map(|(name, value)| (name, value)));
    if !filters.is_empty() {
        command.arg("--").args(filters);
    }
    crate::run::run(&mut command)
}
