//! `cargo xtask`: the development tasks, one file each. A task's report fits on one screen.

mod bench;
mod demo;
mod plugins;
mod run;
mod servers;
mod simulate;
mod test;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Assay's development tasks.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build server and plugins, score 200,000 payments, and leave the server running.
    #[command(after_help = "Example:\n  cargo xtask demo --exit   # check everything and stop, as CI does")]
    Demo(demo::Args),
    /// Run all tests that need no other server, or with --servers all that do.
    #[command(
        after_help = "Examples:\n  cargo xtask test -- crash            # only tests with 'crash' in their names\n  \
                            cargo xtask test --servers -- kafka  # of those that need servers, the ones with 'kafka'"
    )]
    Test(test::Args),
    /// Install, start and stop real servers for the tests that need them: Kafka, Cassandra and others.
    #[command(
        after_help = "Examples:\n  cargo xtask servers up               # the first time takes about ten minutes\n  \
                            cargo xtask servers restart --kill kafka\n  \
                            eval \"$(cargo xtask servers env)\""
    )]
    Servers(servers::Args),
    /// Build the example plugins to Wasm, into target/plugins.
    Plugins,
    /// Run seeds of the engine's simulator, in which much goes wrong.
    #[command(after_help = "Examples:\n  cargo xtask simulate --minutes 10\n  cargo xtask simulate --seed 42\n  \
                            cargo xtask simulate --mutations     # plant bugs that it has to find")]
    Simulate(simulate::Args),
    /// Measure, and write target/bench/NAME.json.
    #[command(after_help = "Examples:\n  cargo xtask bench hot-path\n  cargo xtask bench abi")]
    Bench(bench::Args),
}

fn main() -> Result<()> {
    match Args::parse().task {
        Task::Demo(args) => demo::run(&args),
        Task::Test(args) => test::run(&args),
        Task::Servers(args) => servers::run(&args),
        Task::Plugins => plugins::build().map(drop),
        Task::Simulate(args) => simulate::run(&args),
        Task::Bench(args) => bench::run(&args),
    }
}
