//! `assay apply`: a pack's plugins and definitions, as one atomic change.

mod diff;
mod prune;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use assay_engine::ports::catalog::Change;
use serde_json::{Value, json};

use super::{Output, effects, field, print, table};
use crate::client::{Body, Client};
use crate::pack;

/// Apply a pack: a folder of streams, views and rules.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay apply rules/payments
  assay apply rules/payments --plugins target/plugins   upload these plugins first
  assay apply rules/payments --dry-run                   say what would change
  assay apply rules/payments --diff                      show how it would change; exit code 3 if anything would
  assay apply rules/payments --prune                     delete what the pack has no longer

All definitions take effect at once, between two batches, or none does. Applying a pack twice changes nothing.")]
pub struct Args {
    /// The pack's folder.
    dir: PathBuf,
    /// A folder of plugins (.wasm) to upload first; the pack's own plugins/ is always taken.
    #[arg(long, value_name = "DIR")]
    plugins: Vec<PathBuf>,
    /// Check everything and say what would change, but change nothing. Plugins are uploaded in any case.
    #[arg(long)]
    dry_run: bool,
    /// As --dry-run, with a diff per definition. The exit code is 0 if nothing would change, 3 if something would.
    #[arg(long)]
    diff: bool,
    /// Delete views and rules of the pack's streams that the pack does not have. Streams and plugins are never deleted.
    #[arg(long)]
    prune: bool,
    /// Delete without asking.
    #[arg(long, short)]
    yes: bool,
}

/// The exit code of --diff when something would change.
const DIFFERENT: u8 = 3;

/// Applies a pack.
///
/// # Errors
/// A file cannot be read, or the server refuses the change; nothing has changed then.
pub fn run(args: &Args, client: &Client, output: Output) -> Result<ExitCode> {
    let mut changes = pack::read_definitions(&args.dir)?;
    let is_dry = args.dry_run || args.diff;
    if args.prune {
        let gone = prune::find(&changes, client)?;
        if !is_dry {
            prune::confirm(&gone, args.yes)?;
        }
        changes.extend(gone);
    }
    let mut rows = upload_plugins(args, client)?;
    let before = if args.diff { diff::definitions(client)? } else { Vec::new() };
    let bodies: Vec<Value> = changes
        .iter()
        .map(|change| json!({ "kind": change.kind, "name": change.name, "definition": change.body }))
        .collect();
    let path = if is_dry { "/v1/changes?dry_run=true" } else { "/v1/changes" };
    let mut applied = client.request("POST", path, &Body::Json(&json!({ "changes": bodies })))?;
    let gone = changes.iter().filter(|change| change.body.is_none());
    applied["deleted"] = gone.map(|change| json!({ "kind": change.kind, "name": change.name })).collect();
    let diffs = diff::texts(&before, &applied);
    print(output, &applied, |applied| {
        if args.diff {
            return diff::coloured(&diffs.concat());
        }
        for change in &changes {
            rows.push(vec![change.kind.to_string(), change.name.clone(), state_of(applied, change, is_dry)]);
        }
        format!("{}catalog version {}\n{}", table(&rows), field(applied, "version"), effects(applied))
    });
    Ok(if args.diff && !diffs.is_empty() { ExitCode::from(DIFFERENT) } else { ExitCode::SUCCESS })
}

/// Uploads the pack's plugins; a row for each.
fn upload_plugins(args: &Args, client: &Client) -> Result<Vec<Vec<String>>> {
    let mut rows = Vec::new();
    for folder in args.plugins.iter().chain([&args.dir.join("plugins")]) {
        for file in pack::modules(folder)? {
            let wasm = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let uploaded = client
                .request("POST", "/v1/plugins", &Body::Bytes("application/wasm", &wasm))
                .with_context(|| format!("cannot upload {}", file.display()))?;
            rows.push(vec!["plugin".into(), format!("{}@{}", field(&uploaded, "name"), field(&uploaded, "version"))]);
        }
    }
    Ok(rows)
}

fn state_of(applied: &Value, change: &Change, is_dry: bool) -> String {
    if change.body.is_none() {
        return if is_dry { "would be deleted" } else { "deleted" }.to_owned();
    }
    let is_it = |item: &&Value| item["kind"] == json!(change.kind) && item["name"] == json!(change.name);
    let Some(changed) = applied["changed"].as_array().and_then(|all| all.iter().find(is_it)) else {
        return "unchanged".to_owned();
    };
    let revision = field(changed, "revision");
    match (revision.as_str(), is_dry) {
        ("1", false) => "created".to_owned(),
        ("1", true) => "would be created".to_owned(),
        (_, false) => format!("changed, revision {revision}"),
        (_, true) => format!("would change, to revision {revision}"),
    }
}
