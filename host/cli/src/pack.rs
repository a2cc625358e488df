//! Reads a pack from its folder: streams/, views/, rules/ and cases/, one YAML or JSON file each.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use assay_core::rule::RuleDef;
use assay_core::shape::check_shape;
use assay_core::stream::StreamDef;
use assay_core::view::ViewDef;
use assay_core::yaml;
use assay_engine::ports::catalog::{Change, Kind};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The definitions of a pack, in the order of their dependencies.
///
/// # Errors
/// A file that cannot be read, with the line and column of the mistake.
pub fn read_definitions(dir: &Path) -> Result<Vec<Change>> {
    ensure!(dir.is_dir(), "{} is not a folder", dir.display());
    let mut changes = Vec::new();
    for file in files(&dir.join("streams"))? {
        changes.push(read_definition(Kind::Stream, &file, |def: &StreamDef| def.stream.clone())?);
    }
    for file in files(&dir.join("views"))? {
        changes.push(read_definition(Kind::View, &file, |def: &ViewDef| def.view.clone())?);
    }
    for file in files(&dir.join("rules"))? {
        changes.push(read_definition(Kind::Rule, &file, |def: &RuleDef| def.rule.clone())?);
    }
    for (index, change) in changes.iter().enumerate() {
        let is_duplicate = |earlier: &&Change| (earlier.kind, &earlier.name) == (change.kind, &change.name);
        if changes[..index].iter().any(|earlier| is_duplicate(&earlier)) {
            bail!("{}: the {} '{}' is defined in two files", dir.display(), change.kind, change.name);
        }
    }
    if changes.is_empty() {
        bail!("{} is no pack: it has no streams/, views/ or rules/ with .yaml or .json files", dir.display());
    }
    Ok(changes)
}

/// The YAML and JSON files of a folder by name. Empty if the folder does not exist.
///
/// # Errors
/// The folder cannot be listed.
pub fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    list_files(dir, &["yaml", "yml", "json"])
}

/// The Wasm modules of a folder by name.
///
/// # Errors
/// The folder cannot be listed.
pub fn modules(dir: &Path) -> Result<Vec<PathBuf>> {
    list_files(dir, &["wasm"])
}

fn list_files(dir: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if extensions.contains(&extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn read_definition<T: DeserializeOwned + Serialize>(
    kind: Kind,
    file: &Path,
    name: impl Fn(&T) -> String,
) -> Result<Change> {
    let def: T = read_file(file)?;
    let body = serde_json::to_value(&def).with_context(|| format!("cannot read {}", file.display()))?;
    check_shape(&read_file(file)?, &body).map_err(|message| anyhow::anyhow!("{}: {message}", file.display()))?;
    Ok(Change { kind, name: name(&def), body: Some(body) })
}

/// Reads one YAML or JSON file.
///
/// # Errors
/// The file cannot be read. The message has file, line and column.
pub fn read_file<T: DeserializeOwned>(file: &Path) -> Result<T> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    // JSON is a subset of YAML.
    yaml::parse(&text).map_err(|message| anyhow::anyhow!("{}: {message}", file.display()))
}
