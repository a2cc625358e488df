//! Ending servers, and deleting what they leave.

use anyhow::Result;

use super::cache;
use super::server::Server;
use super::state::{self, State};

/// Ends the processes of a server, the last one first, and notes it. Says whether any was running.
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

/// Ends a server and deletes all that is left of it: data, logs and its claim to its ports. Its install stays.
pub(super) fn wipe(server: &dyn Server) -> Result<bool> {
    let ran = stop(server, true)?;
    let folder = state::folder()?.join(server.name());
    if let Some(elsewhere) = server.data_elsewhere(&folder) {
        cache::remove(&elsewhere)?;
    }
    cache::remove(&folder)?;
    Ok(ran)
}
