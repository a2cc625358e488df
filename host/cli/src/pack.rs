//! Reads a pack from its folder: streams/, views/, rules/ and cases/, one YAML or JSON file each.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use assay_core::shape::check_shape;
use assay_core::yaml;
use assay_engine::definition::{Definition, DefinitionType, Kind, WithType};
use assay_engine::ports::catalog::Change;
use serde::de::DeserializeOwned;

/// The definitions of a pack, in the order of their dependencies.
///
/// # Errors
/// A file that cannot be read, with the line and column of the mistake.
pub fn read_definitions(dir: &Path) -> Result<Vec<Change>> {
    ensure!(dir.is_dir(), "{} is not a folder", dir.display());
    let mut changes = Vec::new();
    for kind in Kind::editable() {
        for file in files(&dir.join(kind.properties().plural))? {
            changes.push(read_definition(kind, &file)?);
        }
    }
    for (index, change) in changes.iter().enumerate() {
        if changes[..index].iter().any(|earlier| earlier.is_of(change.kind, &change.name)) {
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

fn read_definition(kind: Kind, file: &Path) -> Result<Change> {
    struct InFile<'a>(&'a Path);

    impl WithType for InFile<'_> {
        type Output = Result<Definition>;

        fn call<T: DefinitionType>(self) -> Self::Output {
            Ok(read_file::<T>(self.0)?.into())
        }
    }

    let definition = kind.with_type(InFile(file))?;
    let shape = check_shape(&read_file(file)?, &definition.to_json());
    shape.map_err(|message| anyhow::anyhow!("{}: {message}", file.display()))?;
    let name = definition.own_name().with_context(|| format!("{}: a {kind} has no name", file.display()))?;
    Ok(Change::set(name.to_owned(), definition))
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
