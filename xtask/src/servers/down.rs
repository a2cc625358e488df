//! Stops servers, and deletes their data.

use anyhow::Result;

use super::cache;
use super::server::Server;
use super::state::{self, State};

/// Stops the processes of a server, the last one first, and records it. Returns whether any was running.
pub(super) fn stop(server: &dyn Server, kill: bool) -> Result<bool> {
    let Some(mut state) = State::read(server.name())? else { return Ok(false) };
    let mut ran = false;
    while let Some(process) = state.processes.last() {
        ran |= process.is_alive();
        process.stop(kill)?;
        state.processes.pop();
        state.write(server.name())?;
    }
    Ok(ran)
}

/// Stops a server and deletes its data, its logs and its reserved ports. Its install stays.
pub(super) fn wipe(server: &dyn Server) -> Result<bool> {
    let ran = stop(server, true)?;
    let folder = state::folder()?.join(server.name());
    if let Some(elsewhere) = server.data_elsewhere(&folder) {
        cache::remove(&elsewhere)?;
    }
    cache::remove(&folder)?;
    Ok(ran)
}
