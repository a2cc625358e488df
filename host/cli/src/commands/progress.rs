//! Progress of long work: a bar on a terminal, else a line on stderr every few seconds.

use std::borrow::Cow;
use std::io::IsTerminal as _;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The interval of lines without a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(3);
/// The interval at which a bar is redrawn on a terminal.
const TICK_INTERVAL: Duration = Duration::from_millis(200);

/// The counted unit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Events,
    /// No count, only a message about the current step.
    Steps,
}

/// Shows progress until it is dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    lines: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Starts showing progress. `length` is the total, if it is known.
    pub(crate) fn new(name: impl Into<Cow<'static, str>>, unit: Unit, length: Option<u64>, quiet: bool) -> Self {
        let name = name.into();
        if quiet {
            return Self { bar: ProgressBar::hidden(), lines: None };
        }
        if std::io::stderr().is_terminal() {
            let bar = length.map_or_else(ProgressBar::no_length, ProgressBar::new);
            bar.set_style(bar_style(unit, length.is_some()));
            bar.set_prefix(name);
            bar.enable_steady_tick(TICK_INTERVAL);
            return Self { bar, lines: None };
        }
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden());
        let (stop, stopped) = channel();
        let shown = bar.clone();
        let started = Instant::now();
        let lines = std::thread::spawn(move || {
            while stopped.recv_timeout(LINE_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                eprintln!("{name}: {}", progress_line(&shown, unit, started.elapsed()));
            }
        });
        Self { bar, lines: Some((stop, lines)) }
    }

    /// The counter; its clones move the same bar.
    pub(crate) fn bar(&self) -> &ProgressBar {
        &self.bar
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        if let Some((stop, lines)) = self.lines.take() {
            drop(stop);
            // The thread only prints, so its panic does not matter.
            let _ = lines.join();
        }
    }
}

fn bar_style(unit: Unit, has_length: bool) -> ProgressStyle {
    let template = match (unit, has_length) {
        (Unit::Bytes, true) => "{prefix} [{wide_bar}] {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        (Unit::Bytes, false) => "{prefix} {spinner} {bytes} {bytes_per_sec}",
        (Unit::Events, true) => "{prefix} {msg} [{wide_bar}] {human_pos}/{human_len} {per_sec} {eta}",
        (Unit::Events, false) => "{prefix} {spinner} {pos} {per_sec}",
        (Unit::Steps, _) => "{prefix} {spinner} {msg}",
    };
    // The templates are constants that parse.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// The progress as a line.
fn progress_line(bar: &ProgressBar, unit: Unit, took: Duration) -> String {
    let count = |number: u64| match unit {
        Unit::Bytes => HumanBytes(number).to_string(),
        Unit::Events | Unit::Steps => HumanCount(number).to_string(),
    };
    let mut parts = Vec::new();
    if !bar.message().is_empty() {
        parts.push(bar.message());
    }
    if unit != Unit::Steps {
        let of = bar.length().map_or_else(String::new, |length| format!(" of {}", count(length)));
        parts.push(format!("{}{of}", count(bar.position())));
    }
    parts.push(format!("{} s", took.as_secs()));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_the_progress() {
        let hidden = |length| ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden());
        let took = Duration::from_millis(12_900);
        let bar = hidden(Some(2_000_000));
        bar.set_position(1_234_567);
        assert_eq!(progress_line(&bar, Unit::Events, took), "1,234,567 of 2,000,000, 12 s");
        let bar = hidden(None);
        bar.set_position(1_234_567);
        assert_eq!(progress_line(&bar, Unit::Bytes, took), "1.18 MiB, 12 s");
        bar.set_message("Compiling serde v1.0.0");
        assert_eq!(progress_line(&bar, Unit::Steps, took), "Compiling serde v1.0.0, 12 s");
    }
}
