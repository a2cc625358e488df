//! `assay check`: verifies that a data folder is complete and undamaged.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use assay_core::names::Digest;
use assay_embedded::{Embedded, Report};
use assay_engine::EngineConfig;
use assay_engine::plan::{Plan, PluginCache};
use assay_runtime::{Runtime, RuntimeConfig};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::data_folder::find_store;
use super::{Output, print};

/// Verify a data folder while no server uses it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay check
  assay check /var/lib/assay
  assay check /backup/assay --output json

Compares the checksum of every file, reads every row, and compares the parts with each other. Exit code 0: the folder is \
complete. 1: something is damaged or missing; each problem is a line. Files are only read. If nothing is missing, the \
database is opened as at a start. Check a copy if nothing may change.")]
pub struct Args {
    /// The data folder.
    #[arg(value_name = "DIR", default_value = "assay-data")]
    dir: PathBuf,
}

/// Runs the check.
///
/// # Errors
/// It is not a data folder, a server uses it, or it cannot be read at all.
pub fn run(args: &Args, output: Output, quiet: bool) -> Result<ExitCode> {
    let store = find_store(&args.dir)?;
    let bar = if quiet || output == Output::Json { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    let style = ProgressStyle::with_template("{spinner} {elapsed} checking {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    let mut progress = |step: &str| {
        if bar.is_hidden() && !quiet && output == Output::Text {
            // Without a terminal each step is a line.
            eprintln!("checking {step}");
        }
        bar.set_message(step.to_owned());
        bar.tick();
    };
    let mut checked = assay_embedded::check(&store, &assay_embedded::Config::default(), &mut progress);
    if let Ok(report) = &mut checked
        && report.problems.is_empty()
    {
        progress("whether the definitions still make sense");
        report.problems.extend(compile_catalog(&args.dir)?);
    }
    bar.finish_and_clear();
    let report = checked?;
    let value = json!({
        "ok": report.problems.is_empty(),
        "complete": report.is_complete,
        "files": report.files,
        "bytes": report.bytes,
        "records": report.records,
        "rows": report.rows,
        "problems": report.problems,
    });
    print(output, &value, |_| summary(&report));
    Ok(if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Compiles the definitions in the catalog, as at a start. Returns the problems.
fn compile_catalog(dir: &Path) -> Result<Vec<String>> {
    let store = Embedded::open(&dir.join("store"), &assay_embedded::Config::default())?;
    let catalog = store.ports().catalog;
    let config = RuntimeConfig { cache_dir: Some(dir.join("plugins")), ..RuntimeConfig::default() };
    let plugin_cache = PluginCache::new(Runtime::new(config)?);
    let snapshot = Arc::new(catalog.snapshot(None)?);
    let artifact = |digest: &Digest| catalog.artifact(digest);
    let compiled = Plan::compile(snapshot, &plugin_cache, &artifact, &EngineConfig::default().limits);
    let problems = compiled.err().unwrap_or_default();
    Ok(problems.iter().map(|problem| format!("the catalog does not compile: {problem}")).collect())
}

fn summary(report: &Report) -> String {
    let Report { files, bytes, records, rows, problems, is_complete } = report;
    let mut text = format!("files   {files}, {bytes} bytes, checksums compared\n");
    if *is_complete {
        text += &format!("records {records} in the log\nrows    {rows} in the other parts\n");
    } else {
        text += "rows    not checked: repair the files first\n";
    }
    problems.iter().for_each(|problem| text += &format!("PROBLEM {problem}\n"));
    text += &match problems.len() {
        0 => "the folder is complete and undamaged\n".to_owned(),
        1 => "1 problem\n".to_owned(),
        count => format!("{count} problems\n"),
    };
    text
}
