//! `assay rule test`: a pack's cases, played without a server.
//!
//! The way of a case: `case` (read) -> `story` (its events through the real pipeline) -> `compare` with `expect` ->
//! `report`. Absent on purpose: any log, store or clock; each case begins with nothing.

mod case;
mod compare;
mod expect;
mod plugins;
mod report;
mod story;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use assay_engine::offline::Offline;
use assay_runtime::Limits;

use crate::commands::Output;
use crate::pack;
use report::{CaseReport, Report};

/// Try a pack's rules on its cases, without a server.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay rule test rules/payments
  assay rule test rules/payments --plugins target/plugins
  assay rule test rules/payments --output json

Each case begins with no state. The last line says how many passed; the exit code is 1 if one failed.")]
pub struct Args {
    /// The pack's folder.
    pub dir: PathBuf,
    /// A folder of plugins (.wasm) that the rules run on; else DIR/plugins and target/plugins.
    #[arg(long, env = "ASSAY_PLUGINS", value_name = "FOLDER")]
    pub plugins: Vec<PathBuf>,
}

/// Plays all cases of a pack and prints what came of them. The exit code is 1 if one failed.
///
/// # Errors
/// The pack cannot be read, a plugin is missing, or the definitions do not fit together.
pub fn run(args: &Args, output: Output) -> Result<ExitCode> {
    for folder in &args.plugins {
        ensure!(folder.is_dir(), "--plugins {}: there is no such folder", folder.display());
    }
    let report = play_all(&args.dir, &args.plugins)?;
    match output {
        Output::Text => crate::commands::say(&report.text()),
        Output::Json => {
            let json = serde_json::to_string_pretty(&report).context("the report is not JSON")?;
            crate::commands::say(&(json + "\n"));
        }
    }
    Ok(if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn play_all(dir: &Path, plugins: &[PathBuf]) -> Result<Report> {
    let definitions = pack::read_definitions(dir)?;
    let cases = case::read(dir)?;
    let runtime = plugins::runtime()?;
    let plugins = plugins::find(&runtime, dir, plugins, &definitions)?;
    let mut report = Report::default();
    for case in cases {
        // Compiled plugins come out of the runtime's cache, so a fresh start costs milliseconds.
        let mut offline = Offline::new(&runtime, &plugins, definitions.clone(), &Limits::default())
            .with_context(|| format!("the pack {} is not valid", dir.display()))?;
        let (error, mismatches) = match story::play(&case.told, &mut offline) {
            Ok(mismatches) => (None, mismatches),
            Err(error) => (Some(error.to_string()), Vec::new()),
        };
        let passed = error.is_none() && mismatches.is_empty();
        report.push(CaseReport { name: case.told.name, file: case.file, passed, error, mismatches });
    }
    Ok(report)
}
