//! `assay rule test`: runs a pack's cases without a server.
//!
//! The steps of a case: `case` (read) -> `replay` (its events through the real pipeline) -> `compare` with `expect` ->
//! `report`. Absent on purpose: any log, store or clock; each case begins with empty state.

mod case;
mod compare;
mod expect;
mod plugins;
mod replay;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use assay_engine::offline::Offline;
use assay_runtime::Limits;

use crate::commands::Output;
use crate::pack;
use report::{CaseReport, Report};

/// Run a pack's cases, without a server.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay rule test rules/payments
  assay rule test rules/payments --plugins target/plugins
  assay rule test rules/payments --output json

Each case begins with empty state. The last line has the number of passed cases. The exit code is 1 if one failed.")]
pub struct Args {
    /// The pack's folder.
    pub dir: PathBuf,
    /// A folder with the plugins (.wasm) of the rules; by default DIR/plugins and target/plugins.
    #[arg(long, env = "ASSAY_PLUGINS", value_name = "FOLDER")]
    pub plugins: Vec<PathBuf>,
}

/// Runs all cases of a pack and prints the report. The exit code is 1 if one failed.
///
/// # Errors
/// The pack cannot be read, a plugin is missing, or the definitions do not fit together.
pub fn run(args: &Args, output: Output) -> Result<ExitCode> {
    for folder in &args.plugins {
        ensure!(folder.is_dir(), "--plugins {}: there is no such folder", folder.display());
    }
    let report = replay_all(&args.dir, &args.plugins)?;
    match output {
        Output::Text => crate::commands::print_text(&report.text()),
        Output::Json => {
            let json = serde_json::to_string_pretty(&report).context("the report is not JSON")?;
            crate::commands::print_text(&(json + "\n"));
        }
    }
    Ok(if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn replay_all(dir: &Path, plugins: &[PathBuf]) -> Result<Report> {
    let definitions = pack::read_definitions(dir)?;
    let cases = case::read_cases(dir)?;
    let runtime = plugins::runtime()?;
    let plugins = plugins::find(&runtime, dir, plugins, &definitions)?;
    let mut report = Report::default();
    for case in cases {
        // The runtime caches compiled plugins, so a fresh start costs milliseconds.
        let mut offline = Offline::new(&runtime, &plugins, definitions.clone(), &Limits::default())
            .with_context(|| format!("the pack {} is not valid", dir.display()))?;
        let (error, mismatches) = match replay::replay_case(&case.content, &mut offline) {
            Ok(mismatches) => (None, mismatches),
            Err(error) => (Some(error.to_string()), Vec::new()),
        };
        let passed = error.is_none() && mismatches.is_empty();
        report.push(CaseReport { name: case.content.name, file: case.file, passed, error, mismatches });
    }
    Ok(report)
}
