//! Runs a bench and writes what it measured to target/bench/NAME.json.

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::plugins;
use crate::run::{cargo, target};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which bench.
    bench: Bench,
}

#[derive(Clone, Copy, ValueEnum)]
enum Bench {
    /// Avro in memory to encoded verdicts, with a sliding view and a plugin: events/s per core.
    HotPath,
    /// The plugin boundary: ns per event by rows per call, beside the plain Rust function.
    Abi,
}

fn run_bench(name: &str, target_name: &str) -> Result<()> {
    let folder = plugins::build()?;
    let reports = target().join("bench");
    std::fs::create_dir_all(&reports).with_context(|| format!("cannot make {}", reports.display()))?;
    let report = reports.join(format!("{name}.json"));
    let mut command = cargo(&["bench", "--workspace", "--bench", target_name]);
    crate::run::run(command.env("ASSAY_PLUGINS", folder).env("ASSAY_BENCH_JSON", &report))?;
    println!("written to {}", report.display());
    Ok(())
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match args.bench {
        Bench::HotPath => run_bench("hot-path", "hot_path"),
        Bench::Abi => run_bench("abi", "abi"),
    }
}
