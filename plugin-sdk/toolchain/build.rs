//! Collects the SDK's sources for embedding in the binary. Its manifests get the values that they inherit from the
//! workspace, so that they work alone and versions are stated in one place.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use toml::{Table, Value};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The folders of the SDK's crates, in the checkout and in the copy.
const CRATES: [&str; 2] = ["plugin-sdk", "plugin-sdk/macros"];

fn main() -> Result<()> {
    let toolchain = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let root = toolchain.ancestors().nth(2).ok_or("the toolchain crate is not two folders below the workspace")?;
    let workspace = read_toml(&root.join("Cargo.toml"))?;
    let copy = out.join("assay");
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    copy_files(&root.join("wit"), &copy.join("wit"))?;
    for folder in CRATES {
        copy_files(&root.join(folder).join("src"), &copy.join(folder).join("src"))?;
        let manifest = resolve_inherited(read_toml(&root.join(folder).join("Cargo.toml"))?, &workspace)?;
        fs::write(copy.join(folder).join("Cargo.toml"), toml::to_string(&manifest)?)?;
    }
    // The dependencies of a new plugin beside the SDK, in the SDK's versions.
    let mut dependencies = String::new();
    for name in ["schemars", "serde"] {
        dependencies += &format!("{name} = {}\n", workspace_dependency(&workspace, name)?);
    }
    fs::write(out.join("dependencies.toml"), dependencies)?;
    Ok(())
}

/// A crate's manifest with inherited values resolved.
fn resolve_inherited(mut manifest: Table, workspace: &Table) -> Result<Table> {
    manifest.remove("lints");
    manifest.remove("dev-dependencies");
    let package = get_table(&mut manifest, "package")?;
    for (key, value) in package.iter_mut() {
        if is_inherited(value) {
            let shared = workspace["workspace"]["package"].get(key);
            *value = shared.cloned().ok_or_else(|| format!("the workspace has no package.{key}"))?;
        }
    }
    package.insert("publish".to_owned(), Value::Boolean(false));
    for (name, value) in get_table(&mut manifest, "dependencies")?.iter_mut() {
        if is_inherited(value) {
            *value = workspace_dependency(workspace, name)?;
        }
    }
    Ok(manifest)
}

fn workspace_dependency(workspace: &Table, name: &str) -> Result<Value> {
    let shared = workspace["workspace"]["dependencies"].get(name);
    let mut shared = shared.cloned().ok_or_else(|| format!("the workspace has no dependency {name}"))?;
    // Paths are relative to the workspace's root. The only one is that of the SDK's macros.
    if let Some(Value::String(path)) = shared.get_mut("path") {
        *path = path.strip_prefix("plugin-sdk/").ok_or("the SDK depends on a crate outside of its folder")?.to_owned();
    }
    Ok(shared)
}

fn is_inherited(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

fn get_table<'a>(parent: &'a mut Table, key: &str) -> Result<&'a mut Table> {
    let found = parent.get_mut(key).and_then(Value::as_table_mut);
    Ok(found.ok_or_else(|| format!("a manifest has no [{key}]"))?)
}

fn read_toml(path: &Path) -> Result<Table> {
    println!("cargo::rerun-if-changed={}", path.display());
    Ok(fs::read_to_string(path)?.parse()?)
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    println!("cargo::rerun-if-changed={}", from.display());
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (entry, target) = (entry?, to);
        let target = target.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_files(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
