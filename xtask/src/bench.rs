//! Runs a bench and writes its figures to target/bench/NAME.json.

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::run::{cargo, target};
use crate::{plugins, servers};

/// The bench and its options.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The bench.
    bench: Bench,
    /// The number of events; by default that of the bench.
    #[arg(long, value_name = "COUNT")]
    events: Option<u64>,
    /// Only some figures of `kafka`, separated by commas: ratio, latency, sinks, recovery.
    #[arg(long, value_name = "FIGURES")]
    only: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Bench {
    /// Avro in memory to encoded verdicts, with a sliding view and a plugin: events/s per core.
    HotPath,
    /// The plugin boundary: ns per event by rows per call, compared with the plain Rust function.
    Abi,
    /// One worker with a rule that never returns, and with a slow stream: the throughput of the other rules and
    /// streams.
    Fairness,
    /// The distributed stack on real servers, which are started and keep running: throughput compared with a bare loop,
    /// latency, the cost of each sink, recovery. About eight minutes.
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
    let mut command = cargo(&["bench", "--bench", bench]);
    if matches!(args.bench, Bench::Kafka) {
        // The profile of the tests, so that nothing is compiled twice for the same server.
        command
            .args(["--profile", "release", "--features", "servers"])
            .envs(servers::up_all().context("the bench needs all servers")?);
    }
    command.env("ASSAY_PLUGINS", folder).env("ASSAY_BENCH_JSON", &report);
    command.envs(args.events.map(|events| ("ASSAY_BENCH_EVENTS", events.to_string())));
    command.envs(args.only.iter().map(|only| ("ASSAY_BENCH_ONLY", only)));
    crate::run::run(&mut command)?;
    println!("written to {}", report.display());
    Ok(())
}
