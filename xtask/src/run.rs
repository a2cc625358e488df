//! Runs cargo and other programs, and finds folders.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    // The manifest of this crate is one level below the root, wherever the checkout is.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Cargo's target folder.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The cargo that runs this task, in the root. A build without `--package` builds the default members, the embedded
/// server. The crate `assay-unified` makes other selections enable the same features of their dependencies, so that
/// none is compiled twice.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(args).current_dir(root());
    // `cargo xtask` sets variables about its package. Build scripts that read them would run again, and everything that
    // depends on these would be compiled again.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name.to_string_lossy().starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let status = command.status().with_context(|| format!("cannot run {shown}"))?;
    ensure!(status.success(), "{shown} failed ({status})");
    Ok(())
}

/// Builds the server. Returns the path of the program.
pub(crate) fn build_server() -> Result<PathBuf> {
    println!("building the server (the first time takes some minutes)");
    run(&mut cargo(&["build", "--release"]))?;
    Ok(target().join("release").join("assay"))
}
