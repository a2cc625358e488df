//! Servers that are Java archives: fetched by Maven, with whatever repositories and mirrors it is set up for.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::steps::Steps;

/// Fetches what the pom names, and all that it needs, into `into`/libs.
pub(super) fn install(pom: &str, into: &Path, work: &Path, steps: &Steps) -> Result<()> {
    let file = work.join("pom.xml");
    std::fs::write(&file, pom).with_context(|| format!("cannot write {}", file.display()))?;
    steps.step("fetching its archives with Maven");
    let mut maven = Command::new("mvn");
    maven.args(["--batch-mode", "--no-transfer-progress", "dependency:copy-dependencies", "-DincludeScope=runtime"]);
    maven.arg(format!("-DoutputDirectory={}", into.join("libs").display())).current_dir(work);
    steps.run(&mut maven)
}

/// Java with the installed archives: that of $JAVA_HOME, else the first on the PATH.
pub(super) fn java(installed: &Path) -> Command {
    let home = std::env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin").join("java"));
    let mut command = Command::new(home.filter(|java| java.is_file()).unwrap_or_else(|| "java".into()));
    command.arg("-cp").arg(installed.join("libs").join("*"));
    command
}
