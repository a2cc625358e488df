//! Runs cargo to build plugins.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

use crate::artifacts::{self, Artifact};
use crate::find::{TARGET, Toolchain};

/// A build of plugins.
#[derive(Clone, Copy, Debug)]
pub struct Build<'a> {
    /// The folder of the plugin, or of a workspace.
    pub dir: &'a Path,
    /// The packages of a workspace to build; empty: the plugin in `dir`.
    pub packages: &'a [&'a str],
    /// Cargo's profile.
    pub profile: &'a str,
    /// The target folder; none: cargo's default.
    pub target_dir: Option<&'a Path>,
}

impl<'a> Build<'a> {
    /// The plugin in a folder, with the profile `release`.
    pub const fn release(dir: &'a Path) -> Self {
        Self { dir, packages: &[], profile: "release", target_dir: None }
    }
}

/// The reason why a plugin was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Cargo could not be run, or its output could not be read.
    #[error("cannot run {cargo}: {source}")]
    Cargo {
        /// The program.
        cargo: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The build failed.
    #[error("cargo could not build the plugin ({status})\n{errors}")]
    Failed {
        /// Cargo's exit status.
        status: ExitStatus,
        /// Cargo's output, from the first error on.
        errors: String,
    },
    /// The build succeeded, but its result has no plugin.
    #[error("{dir} has no plugin: its Cargo.toml needs `[lib]` with `crate-type = [\"cdylib\", \"rlib\"]`")]
    NoPlugin {
        /// The folder.
        dir: PathBuf,
    },
}

impl Toolchain {
    /// Builds plugins to Wasm and returns the paths of the modules, in the order in which they were built.
    ///
    /// `on_line` gets each line of cargo's output as it is written: `Compiling velocity v0.1.0`, warnings, errors.
    ///
    /// # Errors
    /// The build fails, or its result has no plugin.
    pub fn build(&self, build: &Build<'_>, on_line: &mut dyn FnMut(&str)) -> Result<Vec<PathBuf>, BuildError> {
        let failed = |source| BuildError::Cargo { cargo: self.cargo.clone(), source };
        let (status, artifacts, lines) = run_cargo(&mut self.command(build), on_line).map_err(failed)?;
        if !status.success() {
            let first = lines.iter().position(|line| line.starts_with("error")).unwrap_or(0);
            return Err(BuildError::Failed { status, errors: lines[first..].join("\n") });
        }
        let modules = artifacts::wasm_modules(&artifacts, build.packages);
        if modules.is_empty() {
            return Err(BuildError::NoPlugin { dir: build.dir.to_owned() });
        }
        Ok(modules)
    }

    /// Runs the tests of a plugin natively and returns the exit status. The output of cargo and the tests is shown.
    ///
    /// It uses the profile of the build for Wasm, with faster compilation.
    ///
    /// # Errors
    /// Cargo cannot be run.
    pub fn test(&self, dir: &Path, target_dir: Option<&Path>) -> Result<ExitStatus, BuildError> {
        let mut command = Command::new(&self.cargo);
        command.current_dir(dir).args(["test", "--profile", "release"]);
        for (setting, value) in
            [("LTO", "off"), ("OPT_LEVEL", "0"), ("CODEGEN_UNITS", "16"), ("DEBUG_ASSERTIONS", "true")]
        {
            command.env(format!("CARGO_PROFILE_RELEASE_{setting}"), value);
        }
        if let Some(target_dir) = target_dir {
            command.arg("--target-dir").arg(target_dir);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.status().map_err(|source| BuildError::Cargo { cargo: self.cargo.clone(), source })
    }

    fn command(&self, build: &Build<'_>) -> Command {
        let mut command = Command::new(&self.cargo);
        command.current_dir(build.dir).args(["build", "--target", TARGET, "--profile", build.profile]);
        // Cargo writes errors as text to stderr and artifacts as JSON to stdout.
        command.arg("--message-format=json-render-diagnostics").args(&self.arguments);
        for package in build.packages {
            command.args(["--package", package]);
        }
        if let Some(target_dir) = build.target_dir {
            command.arg("--target-dir").arg(target_dir);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Runs cargo to its end. Returns the exit status, the artifacts, and the lines of its output.
fn run_cargo(
    command: &mut Command,
    on_line: &mut dyn FnMut(&str),
) -> io::Result<(ExitStatus, Vec<Artifact>, Vec<String>)> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no stdout"))?;
    let stderr = child.stderr.take().ok_or_else(|| io::Error::other("no stderr"))?;
    thread::scope(|scope| {
        // Both pipes are read concurrently, because a full one would block cargo.
        let artifacts = scope.spawn(|| artifacts::read_artifacts(stdout));
        let lines = read_lines(stderr, on_line)?;
        let artifacts = artifacts.join().map_err(|_| io::Error::other("the reader of cargo's messages panicked"))??;
        Ok((child.wait()?, artifacts, lines))
    })
}

fn read_lines(from: impl Read, on_line: &mut dyn FnMut(&str)) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    for line in BufReader::new(from).lines() {
        let line = line?;
        on_line(&line);
        lines.push(line);
    }
    Ok(lines)
}
