//! The demo's server: starts, queries and stops a real `assay serve`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// How long the server may take for an action.
const SERVER_TIMEOUT: Duration = Duration::from_secs(120);

/// A running server.
pub(super) struct Server {
    child: Child,
    program: PathBuf,
    pub(super) url: String,
    pub(super) key: String,
}

impl Server {
    /// Starts a server on a fresh data folder and waits until it prints its address and the admin key.
    pub(super) fn start(program: &Path, data: &Path, listen: &str) -> Result<Self> {
        let mut child = Command::new(program)
            .args(["serve", "--listen", listen, "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let stdout = child.stdout.take().context("the server has no output")?;
        let (mut url, mut key) = (None, None);
        let mut lines = BufReader::new(stdout).lines();
        while url.is_none() || key.is_none() {
            let Some(line) = lines.next() else { bail!("the server ended before it listened; see what it said above") };
            let line = line?;
            if let Some(at) = line.strip_prefix("listening on ") {
                url = Some(at.trim().to_owned());
            }
            if let Some(secret) = line.strip_prefix("admin key: ") {
                key = Some(secret.trim().to_owned());
            }
        }
        // The rest of its output is read too, so that it never blocks on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let (url, key) = (url.unwrap_or_default(), key.unwrap_or_default());
        Ok(Self { child, program: program.to_owned(), url, key })
    }

    /// The command line for this server.
    pub(super) fn assay(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).env("ASSAY_URL", &self.url).env("ASSAY_KEY", &self.key);
        command
    }

    /// Sends a GET request.
    pub(super) fn get(&self, path: &str) -> Result<Value> {
        let mut response = self.request(path)?;
        response.body_mut().read_json().with_context(|| format!("GET {path}"))
    }

    fn request(&self, path: &str) -> Result<ureq::http::Response<ureq::Body>> {
        let url = format!("{}{path}", self.url);
        ureq::get(&url)
            .header("authorization", format!("Bearer {}", self.key))
            .call()
            .with_context(|| format!("GET {path}"))
    }

    /// A counter of /metrics, summed over its labels.
    pub(super) fn counter(&self, name: &str) -> Result<u64> {
        let text = self.request("/metrics")?.body_mut().read_to_string()?;
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).unwrap_or(0.0);
        Ok(text.lines().filter(of_name).map(value).sum::<f64>() as u64)
    }

    /// Waits until a number of events is scored and no sink has a lag.
    pub(super) fn wait_scored(&self, events: u64) -> Result<()> {
        let deadline = Instant::now() + SERVER_TIMEOUT;
        loop {
            let scored = self.counter("assay_events_scored_total")?;
            let lag = self.counter("assay_sink_lag")?;
            if scored >= events && lag == 0 {
                ensure!(scored == events, "{scored} events were scored, {events} were sent");
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{scored} of {events} events scored, sinks {lag} records behind");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the server exits by itself.
    pub(super) fn wait(&mut self) -> Result<()> {
        self.child.wait()?;
        Ok(())
    }

    /// Stops the server with a signal, and checks its exit code.
    pub(super) fn stop(&mut self) -> Result<()> {
        let id = self.child.id().to_string();
        ensure!(Command::new("kill").args(["-TERM", &id]).status()?.success(), "cannot signal the server");
        let status = self.child.wait()?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
