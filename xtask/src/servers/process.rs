//! The processes of servers. They outlive this process, and are only stopped if they are still the same processes.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// How long a process may take to end when asked.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// A started process: its id and its start time, because ids are reused.
pub(super) struct Process {
    pub(super) name: String,
    pub(super) pid: u32,
    pub(super) started: String,
}

impl Process {
    /// Starts a program, with its output in a log file; the log of the run before is kept beside it.
    pub(super) fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        if log.exists() {
            std::fs::rename(log, log.with_extension("log.before"))?;
        }
        let out = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        leave_group(command);
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let pid = child.id();
        let started = started(pid).with_context(|| format!("{name} ended at once; see {}", log.display()))?;
        Ok(Self { name: name.to_owned(), pid, started })
    }

    /// Whether the same process is still running.
    pub(super) fn is_alive(&self) -> bool {
        started(self.pid).is_some_and(|started| started == self.started)
    }

    /// Stops the process: sends SIGTERM and waits, and kills it after a timeout, or at once with `kill`.
    pub(super) fn stop(&self, kill: bool) -> Result<()> {
        if !kill {
            self.signal("TERM")?;
            if self.ended_within(STOP_TIMEOUT) {
                return Ok(());
            }
        }
        self.signal("KILL")?;
        ensure!(self.ended_within(STOP_TIMEOUT), "process {} ({}) does not end", self.pid, self.name);
        Ok(())
    }

    fn signal(&self, signal: &str) -> Result<()> {
        if !self.is_alive() {
            return Ok(());
        }
        // The shell's own kill: there is not always a program of that name.
        let output =
            Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", signal, &self.pid.to_string()]).output()?;
        if !output.status.success() && self.is_alive() {
            bail!("cannot signal process {} ({}): {}", self.pid, self.name, String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    fn ended_within(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        while self.is_alive() {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        true
    }
}

/// Starts a program in its own process group, so that Ctrl-C does not reach it.
#[cfg(unix)]
fn leave_group(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

#[cfg(not(unix))]
fn leave_group(_command: &mut Command) {}

/// When a process was started, in a form that only compares; none if there is none, or if it only waits to be reaped.
fn started(pid: u32) -> Option<String> {
    if Path::new("/proc/self/stat").exists() {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // proc(5): the name, in parentheses, may hold anything; state is the 1st field after it, start time the 20th.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ended = matches!(fields.first(), None | Some(&"Z" | &"X"));
        return fields.get(19).filter(|_| !ended).map(|ticks| (*ticks).to_owned());
    }
    let output = Command::new("ps").args(["-o", "lstart=", "-p", &pid.to_string()]).output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!said.is_empty()).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(log: &Path) -> Process {
        Process::start("sleeper", Command::new("sleep").arg("600"), log).unwrap()
    }

    #[test]
    fn a_process_is_ended_only_if_it_is_the_one_that_was_started() {
        let folder = std::env::temp_dir().join(format!("assay-process-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let process = sleeper(&folder.join("sleeper.log"));
        let other = Process { name: "other".into(), pid: process.pid, started: "before".into() };
        assert!(!other.is_alive());
        other.stop(true).unwrap();
        assert!(process.is_alive(), "a process that has another's id was ended");
        process.stop(false).unwrap();
        assert!(!process.is_alive());
        process.stop(false).unwrap();
        std::fs::remove_dir_all(folder).unwrap();
    }
}
