//! Plugins on this machine: made, built, tested, inspected, and uploaded.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use assay_runtime::{Runtime, RuntimeConfig};
use assay_toolchain::{Build, find, scaffold, shared_target};
use serde_json::{Value, json};

use super::super::progress::{Progress, Unit};
use super::super::{Output, effects, field, print};
use super::target::lock_target;
use crate::client::{Body, Client};

/// Makes a new plugin.
pub(super) fn new(name: &str, dir: &Path, output: Output) -> Result<()> {
    scaffold(name, dir)?;
    let dir = dir.display().to_string();
    print(output, &json!({ "dir": dir }), |_| {
        format!(
            "made {dir}: a scorer in src/lib.rs with a test\n\nnext:\n  cd {dir}\n  assay plugin test     # natively\n  \
             assay plugin push     # build and upload\n"
        )
    });
    Ok(())
}

/// Builds a plugin and prints where its module is.
pub(super) fn print_modules(dir: &Path, output: Output, quiet: bool) -> Result<()> {
    let modules: Vec<String> = build(dir, quiet)?.iter().map(|module| module.display().to_string()).collect();
    print(output, &json!({ "modules": modules }), |_| modules.iter().map(|module| format!("{module}\n")).collect());
    Ok(())
}

/// Runs a plugin's own tests.
pub(super) fn test(dir: &Path, quiet: bool) -> Result<()> {
    check_folder(dir)?;
    let shared = shared_target(dir);
    let progress = Progress::new("plugin test", Unit::Steps, None, quiet);
    let toolchain = find(dir, &mut |line| progress.bar().set_message(line.to_owned()))?;
    drop(progress);
    // Held until the tests have run: another build may make a test of the same name in between.
    let _lock = shared.as_deref().map(|target| lock_target(target, dir)).transpose()?;
    let status = toolchain.test(dir, shared.as_deref())?;
    ensure!(status.success(), "the tests failed");
    Ok(())
}

fn check_folder(dir: &Path) -> Result<()> {
    ensure!(dir.join("Cargo.toml").is_file(), "{} has no Cargo.toml: give the plugin's folder", dir.display());
    Ok(())
}

/// Builds a plugin. The module is copied out of a target folder that plugins share, where another one of the same name
/// would replace it.
fn build(dir: &Path, quiet: bool) -> Result<Vec<PathBuf>> {
    check_folder(dir)?;
    let progress = Progress::new("plugin build", Unit::Steps, None, quiet);
    let toolchain = find(dir, &mut |line| progress.bar().set_message(line.to_owned()))?;
    progress.bar().set_message("starting cargo");
    let shared = shared_target(dir);
    // Held until the module is copied: another build may make one of the same name in between.
    let _lock = shared.as_deref().map(|target| lock_target(target, dir)).transpose()?;
    let build = Build { target_dir: shared.as_deref(), ..Build::release(dir) };
    let built = toolchain.build(&build, &mut |line| progress.bar().set_message(line.trim().to_owned()))?;
    if shared.is_none() {
        return Ok(built);
    }
    let folder = dir.join("target");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let copy = |module: &PathBuf| {
        let copy = folder.join(module.file_name().context("a module without a name")?);
        std::fs::copy(module, &copy).with_context(|| format!("cannot write {}", copy.display()))?;
        Ok(copy)
    };
    built.iter().map(copy).collect()
}

/// Uploads a module, or what a folder is built to.
pub(super) fn push(path: &Path, dry_run: bool, client: &Client, output: Output, quiet: bool) -> Result<()> {
    let modules = if path.is_dir() { build(path, quiet)? } else { vec![path.to_owned()] };
    for module in modules {
        let wasm = std::fs::read(&module).with_context(|| format!("cannot read {}", module.display()))?;
        let route = if dry_run { "/v1/plugins?dry_run=true" } else { "/v1/plugins" };
        let progress = Progress::new("plugin push", Unit::Steps, None, quiet);
        progress.bar().set_message("the server compiles it");
        let uploaded = client.request("POST", route, &Body::Bytes("application/wasm", &wasm));
        let uploaded = uploaded.with_context(|| format!("cannot push {}", module.display()))?;
        drop(progress);
        print(output, &uploaded, |plugin| format!("{}\n{}", describe_upload(plugin), effects(plugin)));
    }
    Ok(())
}

/// The result of an upload, or of a dry run.
fn describe_upload(plugin: &Value) -> String {
    let (name, version, digest) = (field(plugin, "name"), field(plugin, "version"), field(plugin, "digest"));
    let plugin_version = format!("{name}@{version}");
    match (plugin["created"] == false, plugin["dry_run"] == true) {
        (false, false) => format!("{plugin_version} uploaded, {digest}"),
        (false, true) => format!("{plugin_version} would be uploaded, {digest}"),
        (true, false) => {
            format!("{plugin_version} was there already with the same bytes, {digest}: nothing was changed")
        }
        (true, true) => {
            format!("{plugin_version} is there already with the same bytes, {digest}: nothing would be changed")
        }
    }
}

/// Shows what a module says of itself.
pub(super) fn inspect(file: &Path, output: Output) -> Result<()> {
    let wasm = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let plugin = Runtime::new(RuntimeConfig::default())?.load(&wasm);
    let plugin = plugin.with_context(|| format!("cannot inspect {}", file.display()))?;
    let manifest = plugin.manifest();
    let value = json!({ "digest": plugin.digest(), "size": wasm.len(), "manifest": manifest });
    print(output, &value, |_| {
        let mut text = format!("{} {}\n", manifest.name, manifest.version);
        text.push_str(&format!("{}\n\n", manifest.doc.trim()));
        text.push_str(&format!("digest   {}\nsize     {} bytes\n", plugin.digest(), wasm.len()));
        let state = manifest.state_version.map_or("none".to_owned(), |version| format!("version {version}"));
        text.push_str(&format!("state    {state}\ninputs\n"));
        for input in &manifest.inputs {
            let kind = format!("{:?}", input.kind).to_lowercase();
            let need = if input.required { "required" } else { "optional" };
            text.push_str(&format!("  {:<16} {kind:<10} {need}  {}\n", input.name, input.doc.trim()));
        }
        for (what, names) in [("tags", &manifest.tags), ("reasons", &manifest.reasons), ("edges", &manifest.edges)] {
            if !names.is_empty() {
                text.push_str(&format!("{what:<8} {}\n", names.join(", ")));
            }
        }
        text.push_str(&format!("config   {:#}\n", manifest.config_schema));
        text
    });
    Ok(())
}
