//! Finds the plugins of a pack's rules: `.wasm` files in a folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use assay_core::rule::PluginRef;
use assay_engine::ports::catalog::{Change, Definition};
use assay_runtime::{Runtime, RuntimeConfig};

use crate::pack;

/// The remedy for a missing plugin.
const ADVICE: &str = "build it with 'assay plugin build' (or all examples with 'cargo xtask plugins') and name the \
                      folder of the .wasm files with --plugins";

/// A runtime with a cache of compiled plugins, if the user has a cache folder.
pub(super) fn runtime() -> Result<Runtime> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    let cache_dir = cache.map(|cache| cache.join("assay").join("plugins"));
    let with_cache = Runtime::new(RuntimeConfig { cache_dir, ..RuntimeConfig::default() });
    // If the cache folder cannot be written, the run is only slower.
    with_cache.or_else(|_| Runtime::new(RuntimeConfig::default())).context("cannot set up the plugin runtime")
}

/// The bytes of the plugins that the rules name. They are searched in the given folders, else in the pack's own folder
/// and in that of `cargo xtask plugins`.
pub(super) fn find(
    runtime: &Runtime,
    pack: &Path,
    folders: &[PathBuf],
    definitions: &[Change],
) -> Result<Vec<Vec<u8>>> {
    let wanted = wanted(definitions);
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let usual = [pack.join("plugins"), PathBuf::from("target").join("plugins")];
    let folders = if folders.is_empty() { &usual } else { folders };
    let mut found = Vec::new();
    let mut names = Vec::new();
    for folder in folders {
        for file in pack::modules(folder)? {
            let wasm = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let plugin = runtime.load(&wasm).with_context(|| format!("{} is not a plugin", file.display()))?;
            let (manifest, digest) = (plugin.manifest(), plugin.digest());
            let is_new = found.iter().all(|(_, _, earlier, _)| *earlier != digest);
            if is_new && wanted.iter().any(|(_, wanted)| wanted.matches(&manifest.name, &manifest.version, &digest)) {
                found.push((manifest.name.clone(), manifest.version.clone(), digest, wasm));
            }
            names.push(format!("{}@{}", manifest.name, manifest.version));
        }
    }
    for (rule, wanted) in &wanted {
        if !found.iter().any(|(name, version, digest, _)| wanted.matches(name, version, digest)) {
            let looked = folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(" and ");
            let there = if names.is_empty() { "no plugins".to_owned() } else { names.join(", ") };
            bail!("the rule '{rule}' needs the plugin {wanted}, and found {there} in {looked}; {ADVICE}");
        }
    }
    Ok(found.into_iter().map(|(_, _, _, wasm)| wasm).collect())
}

/// The rules with a plugin, each with its plugin.
fn wanted(definitions: &[Change]) -> Vec<(String, PluginRef)> {
    let with_plugin = definitions.iter().filter_map(|change| match &change.definition {
        Some(Definition::Rule(rule)) => Some((rule.rule.clone(), rule.plugin.clone()?)),
        _ => None,
    });
    with_plugin.collect()
}

#[cfg(test)]
mod tests {
    use assay_engine::ports::catalog::Kind;
    use serde_json::json;

    use super::*;

    fn rule(body: serde_json::Value) -> Change {
        Change::from_json(Kind::Rule, "r", body)
    }

    #[test]
    fn a_pack_of_expressions_needs_no_plugins() {
        let runtime = Runtime::new(RuntimeConfig::default()).unwrap();
        let rules = [rule(json!({"rule": "r", "stream": "s", "score": "1.0"}))];
        let found = find(&runtime, Path::new("nowhere"), &["nowhere".into()], &rules).unwrap();
        assert!(found.is_empty());
    }

    #[test]
    fn a_missing_plugin_is_named_with_advice() {
        let runtime = Runtime::new(RuntimeConfig::default()).unwrap();
        let rules = [rule(json!({"rule": "r", "stream": "s", "plugin": "velocity@1"}))];
        let empty = tempfile::tempdir().unwrap();
        let error = find(&runtime, Path::new("nowhere"), &[empty.path().to_owned()], &rules).unwrap_err().to_string();
        assert!(error.contains("'r' needs the plugin velocity@1") && error.contains("found no plugins"), "{error}");
        assert!(error.contains("--plugins"), "{error}");
    }
}
