//! `assay apply`: a pack's plugins and definitions, as one atomic change.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Output, field, print, table};
use crate::client::{Body, Client};
use crate::pack;

/// Apply a pack: a folder of streams, views and rules.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay apply rules/payments
  assay apply rules/payments --plugins target/plugins   upload these plugins first
  assay apply rules/payments --dry-run                   say what would change

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
}

/// Applies a pack.
///
/// # Errors
/// A file cannot be read, or the server refuses the change; nothing has changed then.
pub fn run(args: &Args, client: &Client, output: Output) -> Result<()> {
    let definitions = pack::read_definitions(&args.dir)?;
    let mut rows: Vec<Vec<String>> = Vec::new();
    for folder in args.plugins.iter().chain([&args.dir.join("plugins")]) {
        for file in pack::modules(folder)? {
            let wasm = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let uploaded = client
                .request("POST", "/v1/plugins", &Body::Bytes("application/wasm", &wasm))
                .with_context(|| format!("cannot upload {}", file.display()))?;
            rows.push(vec!["plugin".into(), format!("{}@{}", field(&uploaded, "name"), field(&uploaded, "version"))]);
        }
    }
    let changes: Vec<Value> = definitions
        .iter()
        .map(|change| json!({ "kind": change.kind, "name": change.name, "definition": change.body }))
        .collect();
    let path = if args.dry_run { "/v1/changes?dry_run=true" } else { "/v1/changes" };
    let applied = client.request("POST", path, &Body::Json(&json!({ "changes": changes })))?;
    print(output, &applied, |applied| {
        for change in &definitions {
            rows.push(vec![change.kind.to_string(), change.name.clone(), state_of(applied, change, args.dry_run)]);
        }
        format!("{}catalog version {}\n", table(&rows), field(applied, "version"))
    });
    Ok(())
}

fn state_of(applied: &Value, change: &assay_engine::ports::catalog::Change, dry_run: bool) -> String {
    let is_it = |item: &&Value| item["kind"] == json!(change.kind) && item["name"] == json!(change.name);
    let Some(changed) = applied["changed"].as_array().and_then(|all| all.iter().find(is_it)) else {
        return "unchanged".to_owned();
    };
    let revision = field(changed, "revision");
    match (revision.as_str(), dry_run) {
        ("1", false) => "created".to_owned(),
        ("1", true) => "would be created".to_owned(),
        (_, false) => format!("changed, revision {revision}"),
        (_, true) => format!("would change, to revision {revision}"),
    }
}
