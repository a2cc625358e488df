//! Servers that are Go programs: built by Go, with whatever module proxy and flags it is set up for.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::steps::Steps;

/// Go, in a folder.
pub(super) fn go(folder: &Path) -> Command {
    let mut command = Command::new("go");
    // A workspace of the user's own would take part in the build.
    command.current_dir(folder).env("GOWORK", "off");
    command
}

/// Writes a module's files into `work` and builds one of its packages to `to`.
pub(super) fn build(files: &[(&str, &str)], package: &str, to: &Path, work: &Path, steps: &Steps) -> Result<()> {
    for (name, text) in files {
        let file = work.join(name);
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    steps.step("building it with Go");
    steps.run(go(work).arg("build").arg("-o").arg(to).arg(package))
}

/// Fetches a module's source and copies it to `to`, where it can be changed: Go's own copy is read-only.
pub(super) fn source(module: &str, to: &Path, steps: &Steps) -> Result<()> {
    steps.step(&format!("fetching {module}"));
    let parent = to.parent().context("the copy of a module needs a folder")?;
    let output = go(parent).args(["mod", "download", "-json", module]).output().context("cannot run go")?;
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let why = said["Error"].as_str().map_or_else(|| String::from_utf8_lossy(&output.stderr), Into::into);
    ensure!(output.status.success(), "`go mod download {module}` failed ({}): {why}", output.status);
    let from: PathBuf = said["Dir"].as_str().context("go did not say where the module is")?.into();
    steps.run(Command::new("cp").arg("-R").arg(from).arg(to))?;
    steps.run(Command::new("chmod").args(["-R", "u+w"]).arg(to))
}
