//! Runs a bench and writes what it measured to target/bench/NAME.json.

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::run::{cargo, target};
use crate::{plugins, servers};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which bench.
    bench: Bench,
    /// How many events; the default is the bench's own.
    #[arg(long, value_name = "COUNT")]
    events: Option<u64>,
    /// Only some figures of `kafka`, separated by commas: ratio, latency, followers, recovery.
    #[arg(long, value_name = "FIGURES")]
    only: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Bench {
    /// Avro in memory to encoded verdicts, with a sliding view and a plugin: events/s per core.
    HotPath,
    /// The plugin boundary: ns per event by rows per call, beside the plain Rust function.
    Abi,
    /// One worker with a rule that never ends, and with a slow stream: what the other rules and streams have left.
    Fairness,
    /// The distributed stack on real servers, which are brought up and stay up: log to log beside a bare loop, latency,
    /// what each follower costs, recovery. About eight minutes.
    Kafka,
}

impl Bench {
    /// The bench's name in reports, and its target.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::HotPath => ("hot-path", "hot_path"),
            Self::Abi => ("abi", "abi"),
            Self::Fairness => ("fairness", "fairness"),
            Self::Kafka => ("kafka", "kafka"),
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let (name, bench) = args.bench.names();
    let folder = plugins::build()?;
    let reports = target().join("bench");
    std::fs::create_dir_all(&reports).with_context(|| format!("cannot make {}", reports.display()))?;
    let report = reports.join(format!("{name}.json"));
    let mut command = cargo(&["bench", "--workspace", "--bench", bench]);
    if matches!(args.bench, Bench::Kafka) {
        // The profile of the tests, so that nothing is compiled twice for the same server.
        command.args(["--profile", "release"]).envs(servers::up_all().context("the bench needs all servers")?);
    }
    command.env("ASSAY_PLUGINS", folder).env("ASSAY_BENCH_JSON", &report);
    command.envs(args.events.map(|events| ("ASSAY_BENCH_EVENTS", events.to_string())));
    command.envs(args.only.iter().map(|only| ("ASSAY_BENCH_ONLY", only)));
    crate::run::run(&mut command)?;
    println!("written to {}", report.display());
    Ok(())
}
