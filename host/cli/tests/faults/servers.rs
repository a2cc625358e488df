//! The servers of this test alone: started, killed, frozen and wiped by `cargo xtask servers`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use serde_json::Value;

use crate::support::signal;

/// Kafka and all stores, on ports and with data of their own.
pub(crate) struct Servers {
    control: PathBuf,
    folder: PathBuf,
    variables: HashMap<String, String>,
    /// Who freezes or kills the broker: one at a time.
    broker: Mutex<()>,
}

impl Servers {
    /// Starts all of them, in a folder of their own.
    pub(crate) fn up() -> Self {
        let known = std::env::var("ASSAY_TEST_SERVERS").expect("run: cargo xtask test --servers");
        let addresses: Value = serde_json::from_slice(&std::fs::read(known).unwrap()).unwrap();
        let control = PathBuf::from(addresses["control"].as_str().expect("addresses.json says what controls servers"));
        let folder = std::env::temp_dir().join(format!("assay-faults-{}", std::process::id()));
        let mut servers = Self { control, folder, variables: HashMap::new(), broker: Mutex::new(()) };
        servers.xtask(&["up"]);
        let text = servers.xtask(&["env"]);
        let pair =
            |line: &str| line.strip_prefix("export ")?.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned()));
        servers.variables = text.lines().map(|line| pair(line).expect("a line that a shell can evaluate")).collect();
        servers
    }

    /// Where everything of this test is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What a variable of `cargo xtask servers env` says.
    pub(crate) fn variable(&self, name: &str) -> &str {
        &self.variables[name]
    }

    /// Kills a server (SIGKILL) and starts it again; returns when it answers.
    pub(crate) fn crash(&self, name: &str) {
        let _broker = (name == "kafka").then(|| self.broker.lock().unwrap());
        self.xtask(&["restart", "--kill", name]);
    }

    /// Freezes the broker while something else is done.
    pub(crate) fn with_broker_frozen(&self, meanwhile: impl FnOnce()) {
        let _broker = self.broker.lock().unwrap();
        let status: Value = serde_json::from_str(&self.xtask(&["status", "--json"])).unwrap();
        let pids = status["servers"]["kafka"]["pids"].as_object().expect("the broker runs");
        let pids: Vec<u32> = pids.values().map(|pid| pid.as_u64().unwrap() as u32).collect();
        pids.iter().for_each(|pid| signal(*pid, "STOP"));
        meanwhile();
        pids.iter().for_each(|pid| signal(*pid, "CONT"));
    }

    /// Ends all servers and deletes everything that they and this test have written.
    pub(crate) fn wipe(self) {
        drop(self);
    }

    fn xtask(&self, args: &[&str]) -> String {
        let mut command = Command::new(&self.control);
        let output = command.arg("servers").args(args).env("CARGO_TARGET_DIR", &self.folder).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "servers {args:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("ASSAY_FAULTS_KEEP").is_some() {
            println!("servers and data are left in {}", self.folder.display());
            return;
        }
        self.xtask(&["down", "--wipe"]);
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}
