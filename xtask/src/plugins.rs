//! Builds the example plugins to Wasm, by the code that `assay plugin build` uses.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use assay_toolchain::Build;
use indicatif::ProgressBar;

use crate::run::{root, target};

/// The example plugins: every folder of plugins/.
fn packages() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root().join("plugins")).context("cannot list plugins/")? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Builds all example plugins. Returns the folder that holds them.
pub(crate) fn build() -> Result<PathBuf> {
    let names = packages()?;
    let packages: Vec<&str> = names.iter().map(String::as_str).collect();
    let folder = target().join("plugins");
    build_to(&root(), &packages, "wasm", &folder)?;
    println!("plugins in {}: {}", folder.display(), names.join(", "));
    Ok(folder)
}

/// Builds packages of a workspace, or the plugin in `dir`, and copies the modules to a folder.
pub(crate) fn build_to(dir: &Path, packages: &[&str], profile: &str, folder: &Path) -> Result<()> {
    let bar = ProgressBar::new_spinner().with_message("plugins");
    bar.enable_steady_tick(Duration::from_millis(200));
    let toolchain = assay_toolchain::find(dir, &mut |line| bar.set_message(format!("plugins: {line}")))?;
    let target = target();
    let build = Build { dir, packages, profile, target_dir: Some(&target) };
    let modules = toolchain.build(&build, &mut |line| bar.set_message(format!("plugins: {}", line.trim())))?;
    bar.finish_and_clear();
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for module in modules {
        let name = module.file_name().context("a module without a name")?;
        std::fs::copy(&module, folder.join(name)).with_context(|| format!("cannot copy {}", module.display()))?;
    }
    Ok(())
}
