//! `assay apply`: a pack's plugins and definitions, as one atomic change.

mod diff;
mod prune;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use assay_core::names::Digest;
use assay_engine::ports::catalog::Change;
use serde_json::{Value, json};

use super::progress::{Progress, Unit};
use super::{Output, effects, field, items, print, table};
use crate::client::{Body, Client};
use crate::pack;

/// Apply a pack: a folder of streams, views and rules.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay apply rules/payments
  assay apply rules/payments --plugins target/plugins   with these plugins
  assay apply rules/payments --dry-run                   check only, and print the changes
  assay apply rules/payments --diff                      print diffs; exit code 3 if anything would change
  assay apply rules/payments --prune                     delete views and rules that the pack lacks
  assay apply rules/payments --prune --yes               delete without asking

All definitions and plugins take effect together, between two batches, or none does. Applying a pack twice changes
nothing.")]
pub struct Args {
    /// The pack's folder.
    dir: PathBuf,
    /// A folder of plugins (.wasm) to upload too. The pack's own plugins/ is always used.
    #[arg(long, value_name = "DIR")]
    plugins: Vec<PathBuf>,
    /// Check everything, including the plugins of the pack, and print what would change. Change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Like --dry-run, with a diff per definition. The exit code is 0 if nothing would change, else 3.
    #[arg(long)]
    diff: bool,
    /// Delete views and rules of the pack's streams that the pack does not have. Streams and plugins are never deleted.
    #[arg(long)]
    prune: bool,
    /// Delete without asking.
    #[arg(long, short)]
    yes: bool,
}

/// The exit code of --diff if something would change.
const EXIT_CODE_DIFFERENT: u8 = 3;

/// Applies a pack.
///
/// # Errors
/// A file cannot be read, or the server refuses the change. Nothing has changed then.
pub fn run(args: &Args, client: &Client, output: Output, quiet: bool) -> Result<ExitCode> {
    let mut changes = pack::read_definitions(&args.dir)?;
    let plugins = read_plugins(args, client)?;
    let is_dry = args.dry_run || args.diff;
    if args.prune {
        let gone = prune::find(&changes, client)?;
        if !is_dry {
            prune::confirm(&gone, args.yes)?;
        }
        changes.extend(gone);
    }
    let before = if args.diff { diff::load_definitions(client)? } else { Vec::new() };
    let progress = Progress::new("apply", Unit::Steps, None, quiet);
    progress.bar().set_message("the server checks and compiles");
    let mut applied = send(&changes, &plugins, is_dry, client)?;
    drop(progress);
    let gone = changes.iter().filter(|change| change.definition.is_none());
    applied["deleted"] = gone.map(|change| json!({ "kind": change.kind, "name": change.name })).collect();
    let diffs = diff::diff_definitions(&before, &applied);
    print(output, &applied, |applied| {
        if args.diff {
            return diff::coloured(&diffs.concat());
        }
        let mut rows = plugin_rows(&plugins, applied, is_dry);
        for change in &changes {
            rows.push(vec![change.kind.to_string(), change.name.clone(), change_state(applied, change, is_dry)]);
        }
        format!("{}catalog version {}\n{}", table(&rows), field(applied, "version"), effects(applied))
    });
    Ok(if args.diff && !diffs.is_empty() { ExitCode::from(EXIT_CODE_DIFFERENT) } else { ExitCode::SUCCESS })
}

/// Sends definitions and new plugins as one set of changes.
fn send(changes: &[Change], plugins: &[PluginFile], is_dry: bool, client: &Client) -> Result<Value> {
    let bodies: Vec<Value> = changes
        .iter()
        .map(|change| json!({ "kind": change.kind, "name": change.name, "definition": change.definition }))
        .collect();
    let set = json!({ "changes": bodies });
    let path = if is_dry { "/v1/changes?dry_run=true" } else { "/v1/changes" };
    let new: Vec<&PluginFile> = plugins.iter().filter(|plugin| plugin.known_as.is_none()).collect();
    if new.is_empty() {
        return Ok(client.request("POST", path, &Body::Json(&set))?);
    }
    let mut parts = vec![("changes", "application/json", set.to_string().into_bytes())];
    parts.extend(new.iter().map(|plugin| ("plugin", "application/wasm", plugin.wasm.clone())));
    let files: Vec<String> = new.iter().map(|plugin| plugin.file.display().to_string()).collect();
    let sent = client.request("POST", path, &Body::Form(&parts));
    sent.with_context(|| format!("cannot apply the pack with {}", files.join(", ")))
}

/// A plugin of the pack.
struct PluginFile {
    file: PathBuf,
    wasm: Vec<u8>,
    /// The name and version, if the server has the same bytes.
    known_as: Option<String>,
}

/// Reads the plugins of the pack and of the folders of `--plugins`, and compares them with those of the server.
fn read_plugins(args: &Args, client: &Client) -> Result<Vec<PluginFile>> {
    for folder in &args.plugins {
        ensure!(folder.is_dir(), "--plugins {}: there is no such folder", folder.display());
    }
    let mut modules: Vec<PluginFile> = Vec::new();
    let mut known = None;
    for folder in args.plugins.iter().chain([&args.dir.join("plugins")]) {
        for file in pack::modules(folder)? {
            let wasm = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let digest = Digest::of(&wasm).to_string();
            let known = match &mut known {
                Some(known) => known,
                none => none.insert(client.get("/v1/plugins")?),
            };
            let there = items(known).find(|plugin| field(plugin, "digest") == digest);
            let known_as = there.map(|plugin| format!("{}@{}", field(plugin, "name"), field(plugin, "version")));
            if modules.iter().all(|module| module.wasm != wasm) {
                modules.push(PluginFile { file, wasm, known_as });
            }
        }
    }
    Ok(modules)
}

fn plugin_rows(plugins: &[PluginFile], applied: &Value, is_dry: bool) -> Vec<Vec<String>> {
    // The answer lists the sent plugins in their order.
    let mut sent = applied["plugins"].as_array().into_iter().flatten();
    let rows = plugins.iter().map(|plugin| match &plugin.known_as {
        Some(name) => vec!["plugin".to_owned(), name.clone()],
        None => {
            let name = sent.next().map(|sent| format!("{}@{}", field(sent, "name"), field(sent, "version")));
            let state = if is_dry { "would be uploaded" } else { "uploaded" };
            vec!["plugin".to_owned(), name.unwrap_or_default(), state.to_owned()]
        }
    });
    rows.collect()
}

fn change_state(applied: &Value, change: &Change, is_dry: bool) -> String {
    if change.definition.is_none() {
        return if is_dry { "would be deleted" } else { "deleted" }.to_owned();
    }
    let is_changed = |item: &&Value| item["kind"] == json!(change.kind) && item["name"] == json!(change.name);
    let Some(changed) = applied["changed"].as_array().and_then(|all| all.iter().find(is_changed)) else {
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
