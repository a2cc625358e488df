//! The recorded state of a server of this checkout: its ports and its processes, in its run folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::cache;
use super::process::Process;
use super::server::{NAMES, Place, Server};
use crate::run::target;

/// The run folders of this checkout's servers: target/servers.
pub(super) fn folder() -> Result<PathBuf> {
    let folder = target().join("servers");
    std::path::absolute(&folder).with_context(|| format!("no absolute path for {}", folder.display()))
}

/// The state of a server at its last start.
pub(super) struct State {
    /// The package whose data is in the folder.
    pub(super) package: String,
    pub(super) ports: Vec<u16>,
    pub(super) processes: Vec<Process>,
}

impl State {
    /// The recorded state of a server; none if it never ran here.
    pub(super) fn read(name: &str) -> Result<Option<Self>> {
        let file = file(name)?;
        if !file.exists() {
            return Ok(None);
        }
        let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let state = serde_json::from_slice(&text).ok().and_then(|value| parse(&value));
        let advice = || format!("{} is not what this task wrote: end the server and delete its folder", file.display());
        state.map(Some).with_context(advice)
    }

    /// Writes the state atomically.
    pub(super) fn write(&self, name: &str) -> Result<()> {
        let of = |process: &Process| json!({"name": process.name, "pid": process.pid, "started": process.started});
        let processes: Vec<Value> = self.processes.iter().map(of).collect();
        write_json(&file(name)?, &json!({"package": self.package, "ports": self.ports, "processes": processes}))
    }

    pub(super) fn is_running(&self) -> bool {
        !self.processes.is_empty() && self.processes.iter().all(Process::is_alive)
    }

    pub(super) fn place(&self, server: &dyn Server) -> Result<Place> {
        let installed = cache::folder()?.join(&self.package);
        Ok(Place { installed, folder: folder()?.join(server.name()), ports: self.ports.clone() })
    }
}

fn file(name: &str) -> Result<PathBuf> {
    Ok(folder()?.join(name).join("state.json"))
}

/// The ports that other servers of this checkout keep, running or not.
pub(super) fn ports_of_others(name: &str) -> Result<Vec<u16>> {
    let mut ports = Vec::new();
    for other in NAMES.into_iter().filter(|other| *other != name) {
        ports.extend(State::read(other)?.map(|state| state.ports).unwrap_or_default());
    }
    Ok(ports)
}

/// Replaces a file at once, so that no reader sees half of it.
pub(super) fn write_json(file: &Path, value: &Value) -> Result<()> {
    let new = file.with_extension("json.new");
    std::fs::write(&new, format!("{value:#}\n")).with_context(|| format!("cannot write {}", new.display()))?;
    std::fs::rename(&new, file).with_context(|| format!("cannot write {}", file.display()))
}

fn parse(value: &Value) -> Option<State> {
    let port = |value: &Value| u16::try_from(value.as_u64()?).ok();
    let process = |value: &Value| {
        let text = |field: &str| value[field].as_str().map(str::to_owned);
        let pid = u32::try_from(value["pid"].as_u64()?).ok()?;
        Some(Process { name: text("name")?, pid, started: text("started")? })
    };
    Some(State {
        package: value["package"].as_str()?.to_owned(),
        ports: value["ports"].as_array()?.iter().map(port).collect::<Option<_>>()?,
        processes: value["processes"].as_array()?.iter().map(process).collect::<Option<_>>()?,
    })
}
