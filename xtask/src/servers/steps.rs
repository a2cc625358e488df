//! Shows progress: a spinner on a terminal, else plain lines; everything is in a log file.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;

/// How much of a log an error shows.
const MAX_SHOWN_LINES: usize = 15;

/// The steps of one install.
pub(super) struct Steps {
    server: &'static str,
    bar: ProgressBar,
    log: PathBuf,
}

impl Steps {
    /// Begins, with an empty log.
    pub(super) fn new(server: &'static str, log: &Path) -> Result<Self> {
        File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        Ok(Self { server, bar: spinner(), log: log.to_owned() })
    }

    /// Shows the current step.
    pub(super) fn step(&self, text: &str) {
        show(&self.bar, &format!("{}: {text}", self.server));
    }

    /// Runs a command. Its output goes to the log, and the end of the log into the error if it fails.
    pub(super) fn run(&self, command: &mut Command) -> Result<()> {
        let mut log = File::options().append(true).open(&self.log)?;
        writeln!(log, "$ {command:?}")?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let program = command.get_program().to_string_lossy().into_owned();
        let status = command.status().with_context(|| format!("cannot run {program}"))?;
        if !status.success() {
            bail!("{program} failed ({status}). {}", end_of(&self.log));
        }
        Ok(())
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

pub(super) fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Shows a line: on the spinner, or where there is no terminal on standard error.
pub(super) fn show(bar: &ProgressBar, text: &str) {
    if bar.is_hidden() {
        eprintln!("{text}");
    } else {
        bar.set_message(text.to_owned());
    }
}

/// The last lines of a log, and where it is.
pub(super) fn end_of(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(MAX_SHOWN_LINES)..].join("\n    ");
    format!("The end of {}:\n    {last}", log.display())
}
