//! Lets rustup add the target for Wasm within a time limit, because it tries for minutes without a network.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::find::TARGET;

/// The interval between checks if rustup has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The most time to wait for the last lines after rustup has ended.
const LAST_LINES_TIMEOUT: Duration = Duration::from_secs(1);

/// Adds the target to rustup's Rust. `on_line` gets an announcement and each line of rustup's output as it is written.
///
/// # Errors
/// The last line of rustup's output. After `max_time` rustup is killed, and the error says so.
pub(crate) fn add_target(
    rustup: &Path,
    dir: &Path,
    max_time: Duration,
    on_line: &mut dyn FnMut(&str),
) -> Result<(), String> {
    on_line(&format!("rustup adds the target {TARGET}, for at most {} s", max_time.as_secs()));
    let deadline = Instant::now() + max_time;
    let mut command = Command::new(rustup);
    command.args(["target", "add", TARGET]).current_dir(dir);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let lines = read_lines(&mut child);
    let mut last = "nothing".to_owned();
    let mut report = |line: String| {
        on_line(&line);
        last = line;
    };
    let status = loop {
        match lines.recv_timeout(POLL_INTERVAL) {
            Ok(line) => report(line),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => thread::sleep(POLL_INTERVAL),
        }
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break status;
        }
        if Instant::now() >= deadline {
            // Errors are ignored: it may have ended meanwhile.
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("{last}; it was ended after {} s", max_time.as_secs()));
        }
    };
    while let Ok(line) = lines.recv_timeout(LAST_LINES_TIMEOUT) {
        report(line);
    }
    if status.success() { Ok(()) } else { Err(last) }
}

/// The lines of a child's standard error. A thread reads them, until every process that has inherited the pipe has
/// ended.
fn read_lines(child: &mut Child) -> Receiver<String> {
    let (sender, lines) = channel();
    if let Some(stderr) = child.stderr.take() {
        thread::spawn(move || {
            let read = BufReader::new(stderr).lines().map_while(Result::ok).filter(|line| !line.trim().is_empty());
            for line in read {
                if sender.send(line.trim().to_owned()).is_err() {
                    break;
                }
            }
        });
    }
    lines
}
