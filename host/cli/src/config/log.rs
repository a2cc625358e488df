//! Logs: to stderr, as text for people or as JSON for machines.

use std::io::IsTerminal as _;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// `[log]`: the server's log lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,assay_engine=debug`.
    pub level: String,
    /// `text` or `json`.
    pub format: Format,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: Format::Text }
    }
}

/// The levels of log lines.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl Log {
    /// The filter of log lines. A single word must be a level: as the name of a module, which the filter's syntax
    /// allows, it would silence all other modules.
    fn filter(&self) -> Result<EnvFilter> {
        for directive in self.level.split(',') {
            let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level).trim();
            let is_level = LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level));
            ensure!(is_level, "log.level: '{level}' is not a level: expected {}", LEVELS.join(", "));
        }
        // The filter's own syntax takes no spaces.
        let directives: Vec<&str> = self.level.split(',').map(str::trim).collect();
        EnvFilter::try_new(directives.join(",")).with_context(|| format!("log.level: '{}' is not a filter", self.level))
    }

    pub(super) fn check(&self) -> Result<()> {
        self.filter().map(drop)
    }
}

/// Starts logging to stderr.
///
/// # Errors
/// The level is unknown.
pub fn start(log: &Log) -> Result<()> {
    let filter = log.filter()?;
    let is_terminal = std::io::stderr().is_terminal();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(is_terminal);
    match log.format {
        Format::Text => logs.init(),
        Format::Json => logs.json().init(),
    }
    // A panic is a log line too, so that programs can parse the whole log as JSON.
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        // Empty unless RUST_BACKTRACE asks for it.
        let backtrace = Some(std::backtrace::Backtrace::capture());
        let backtrace = backtrace.filter(|trace| trace.status() == std::backtrace::BacktraceStatus::Captured);
        let backtrace = backtrace.map(|trace| trace.to_string());
        tracing::error!(thread = thread.name(), backtrace, "{panic}");
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_level_is_refused_with_those_that_are_known() {
        let check = |level: &str| Log { level: level.to_owned(), ..Log::default() }.check();
        for level in ["info", "WARN", "off", "info,assay_engine=debug", "error, assay_api::ingest=trace"] {
            check(level).unwrap();
        }
        for level in ["verbose", "", "info,assay_engine", "assay_engine=loud", "3"] {
            let error = check(level).unwrap_err().to_string();
            assert!(error.ends_with("is not a level: expected off, error, warn, info, debug, trace"), "{error}");
        }
    }
}
