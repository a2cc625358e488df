//! The target folder that plugins share, so that their dependencies are compiled once.
//!
//! Cargo tells packages in a target folder apart by name and version, not by their folders: it would take what another
//! plugin of the same name left there for up to date.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result};

/// Waits until no other build uses a target folder; it is this one's until the file is dropped. If the last package of
/// this name came from another folder, Cargo is made to compile the package again.
pub(super) fn lock_target(target: &Path, dir: &Path) -> Result<File> {
    fs::create_dir_all(target).with_context(|| format!("cannot make {}", target.display()))?;
    let path = target.join("assay-build.lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    let name = package_name(dir)?;
    let owner = target.join(format!("assay-built-{name}"));
    let dir = dir.canonicalize().with_context(|| format!("cannot find {}", dir.display()))?;
    let dir = dir.to_string_lossy();
    if fs::read_to_string(&owner).is_ok_and(|last| last == dir) {
        return Ok(file);
    }
    forget_package(target, &format!("{name}-"), 2)?;
    fs::write(&owner, &*dir).with_context(|| format!("cannot write {}", owner.display()))?;
    Ok(file)
}

fn package_name(dir: &Path) -> Result<String> {
    let path = dir.join("Cargo.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let manifest: toml::Table = toml::from_str(&text).with_context(|| format!("{} is no manifest", path.display()))?;
    let name = manifest.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
    Ok(name.with_context(|| format!("{} has no package.name", path.display()))?.to_owned())
}

/// Deletes the fingerprints of a package in all profiles, which lie at most `depth` folders deep.
fn forget_package(folder: &Path, prefix: &str, depth: usize) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
        if !path.is_dir() {
            continue;
        }
        if folder.file_name().is_some_and(|name| name == ".fingerprint") {
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)) {
                fs::remove_dir_all(&path).with_context(|| format!("cannot delete {}", path.display()))?;
            }
        } else if depth > 0 {
            let is_fingerprints = path.file_name().is_some_and(|name| name == ".fingerprint");
            forget_package(&path, prefix, if is_fingerprints { 0 } else { depth - 1 })?;
        } else if path.file_name().is_some_and(|name| name == ".fingerprint") {
            forget_package(&path, prefix, 0)?;
        }
    }
    Ok(())
}
