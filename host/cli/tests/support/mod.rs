//! A real `assay serve` as a child process: started on a free port, asked over HTTP, killed, stopped.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The longest a test waits for something that comes in milliseconds.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// The folder of the example plugins, as `cargo xtask plugins` builds them.
pub fn plugins() -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins");
    let folder = std::env::var_os("ASSAY_PLUGINS").map_or(built, PathBuf::from);
    let missing = |name: &&str| !folder.join(name).is_file();
    let missing: Vec<&str> = ["velocity.wasm", "geo_jump.wasm", "threshold_tagger.wasm"]
        .iter()
        .copied()
        .filter(|name| missing(name))
        .collect();
    assert!(
        missing.is_empty(),
        "{} lacks {}: build the plugins with 'cargo xtask plugins' first, or name their folder in ASSAY_PLUGINS",
        folder.display(),
        missing.join(", ")
    );
    folder
}

/// A plugin's module that says of itself to be of another version. The versions are of the same length, and that of an
/// interface stands behind an '@'.
pub fn with_version(wasm: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut changed = wasm.to_vec();
    let places: Vec<usize> = (1..wasm.len() - from.len())
        .filter(|at| wasm[*at..].starts_with(from.as_bytes()) && wasm[at - 1] != b'@')
        .collect();
    assert!(!places.is_empty(), "the module does not say that it is of version {from}");
    for at in places {
        changed[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    changed
}

/// A pack of this repository.
pub fn pack(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules").join(name)
}

/// The `assay` command, free of what the environment of this test says.
pub fn assay() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ASSAY_") {
            command.env_remove(name);
        }
    }
    command
}

/// A running server. Killed when it is dropped.
pub struct Server {
    child: Arc<Mutex<Child>>,
    pub url: String,
    /// The secret of the key `admin`.
    pub key: String,
    log: PathBuf,
    agent: ureq::Agent,
}

impl Server {
    /// Starts a server on a data folder and waits until it listens. `key` is that of the first start, if this is not it;
    /// `settings` are variables of its environment.
    pub fn start(data: &Path, key: Option<&str>, settings: &[(&str, &str)]) -> Self {
        Self::try_start(data, key, settings).unwrap_or_else(|why| panic!("{why}"))
    }

    /// As `start`, on an address.
    pub fn start_at(data: &Path, key: Option<&str>, listen: &str) -> Self {
        Self::launch(data, key, listen, &[]).unwrap_or_else(|why| panic!("{why}"))
    }

    /// As `start`; an error has the end of the log of a server that ended, or did not listen in time.
    pub fn try_start(data: &Path, key: Option<&str>, settings: &[(&str, &str)]) -> Result<Self, String> {
        Self::launch(data, key, "127.0.0.1:0", settings)
    }

    fn launch(data: &Path, key: Option<&str>, listen: &str, settings: &[(&str, &str)]) -> Result<Self, String> {
        let log = data.with_extension("log");
        let messages = OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut command = assay();
        command.args(["serve", "--listen", listen, "--data"]).arg(data);
        command.envs(settings.iter().copied()).stdout(Stdio::piped()).stderr(messages);
        let mut child = command.spawn().unwrap();
        let lines = lines_of(&mut child);
        let deadline = Instant::now() + WAIT_TIMEOUT;
        let mut key = key.map(str::to_owned);
        let url = loop {
            let patience = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = lines.recv_timeout(patience) else {
                // Dead already is fine.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("the server ended, or did not listen in time:\n{}", tail(&log)));
            };
            if let Some(secret) = line.strip_prefix("admin key: ") {
                key = Some(secret.trim().to_owned());
            }
            if let Some(url) = line.strip_prefix("listening on ") {
                break url.trim().to_owned();
            }
        };
        let key = key.expect("the first start prints an admin key before it listens");
        let agent =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(WAIT_TIMEOUT)).build();
        Ok(Self { child: Arc::new(Mutex::new(child)), url, key, log, agent: agent.into() })
    }

    /// Sends a request. An error means that no answer came.
    pub fn send(&self, method: &str, path: &str, body: Option<(&str, &[u8])>) -> Result<(u16, String), ureq::Error> {
        self.send_within(WAIT_TIMEOUT, method, path, body)
    }

    /// Sends a request. An error means that no answer came in time.
    pub fn send_within(
        &self,
        at_most: Duration,
        method: &str,
        path: &str,
        body: Option<(&str, &[u8])>,
    ) -> Result<(u16, String), ureq::Error> {
        let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        let request = request.header("authorization", format!("Bearer {}", self.key));
        let agent = &self.agent;
        let mut response = match body {
            Some((kind, bytes)) => {
                let request = request.header("content-type", kind).body(bytes)?;
                agent.run(agent.configure_request(request).timeout_global(Some(at_most)).build())?
            }
            None => agent.run(agent.configure_request(request.body(())?).timeout_global(Some(at_most)).build())?,
        };
        let status = response.status().as_u16();
        let text = response.body_mut().with_config().limit(64 << 20).read_to_string()?;
        Ok((status, text))
    }

    /// The answer to a GET, which must come.
    #[track_caller]
    pub fn get(&self, path: &str) -> (u16, Value) {
        let (status, text) = self.send("GET", path, None).unwrap_or_else(|error| {
            panic!("GET {path}: {error}\n{}", tail(&self.log));
        });
        (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("GET {path}: {status} {error}: {text}")))
    }

    /// The answer to a GET that must succeed.
    #[track_caller]
    pub fn read(&self, path: &str) -> Value {
        let (status, answer) = self.get(path);
        assert_eq!(status, 200, "GET {path}: {answer}");
        answer
    }

    /// Asks until the answer is as wanted.
    #[track_caller]
    pub fn until(&self, path: &str, wanted: impl Fn(u16, &Value) -> bool) -> Value {
        let deadline = Instant::now() + WAIT_TIMEOUT;
        loop {
            let (status, answer) = self.get(path);
            if wanted(status, &answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "GET {path} still answers {status} {answer}\n{}", tail(&self.log));
            std::thread::yield_now();
        }
    }

    /// Waits until all events that were stored before this start can be found by their ids.
    #[track_caller]
    pub fn wait_findable(&self) {
        self.until("/readyz", |_, answer| {
            let parts = answer["parts"].as_array().into_iter().flatten();
            let mut archive = parts.filter(|part| part["name"] == "sink archive-events");
            archive.any(|part| part["ok"] == true && part["lag"] == 0)
        });
    }

    /// Runs a command of the command line on this server, which must succeed.
    #[track_caller]
    pub fn command(&self, arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> String {
        let mut command = assay();
        command.args(arguments.iter().map(|argument| argument.as_ref()));
        let output = command.env("ASSAY_URL", &self.url).env("ASSAY_KEY", &self.key).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Kills the server (SIGKILL) when the time is over, from a thread of its own; join it to know that it is dead.
    pub fn kill_after(&self, delay: Duration) -> JoinHandle<()> {
        let child = self.child.clone();
        std::thread::spawn(move || {
            // Nobody sends: this only lets the time pass.
            let (_keep, never) = mpsc::channel::<()>();
            let _ = never.recv_timeout(delay);
            let mut child = child.lock().unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
        })
    }

    /// The id of the process.
    pub fn pid(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    /// Sends a signal, such as `STOP`.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Kills the server (SIGKILL).
    pub fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// How the server ended; none: it runs.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap().try_wait().unwrap()
    }

    /// The end of the server's log.
    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }

    /// Asks the server to stop (SIGTERM) and waits until it has.
    pub fn stop(self) -> ExitStatus {
        self.signal("TERM");
        let deadline = Instant::now() + WAIT_TIMEOUT;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < deadline, "the server does not stop\n{}", tail(&self.log));
            std::thread::yield_now();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(mut child) = self.child.lock() {
            // Dead already is fine.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Sends a signal to a process that this test started.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(status.success(), "cannot send SIG{name} to {pid}");
}

/// What the child prints, line by line; read to its end, so that the child never waits for us.
fn lines_of(child: &mut Child) -> mpsc::Receiver<String> {
    let stdout = child.stdout.take().expect("stdout is a pipe");
    let (send, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // Nobody listens any more once the server does.
            let _ = send.send(line);
        }
    });
    lines
}

/// The end of the server's log.
fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
