//! Reports running servers: a table, addresses.json for programs, variables for tests.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::server::{Server, choose};
use super::state::{self, State, write_json};

/// The file of the addresses.
pub(super) fn addresses_file() -> Result<PathBuf> {
    Ok(state::folder()?.join("addresses.json"))
}

/// The state of a server as a word.
fn condition(state: Option<&State>) -> &'static str {
    match state {
        None => "never started",
        Some(state) if state.is_running() => "running",
        Some(state) if state.processes.is_empty() => "stopped",
        Some(_) => "died",
    }
}

/// Prints a table of servers.
pub(super) fn table(servers: &[&dyn Server]) -> Result<()> {
    println!("{:<10} {:<16} {:<28} {:<14} state", "server", "package", "address", "pid");
    for server in servers {
        let state = State::read(server.name())?;
        let condition = condition(state.as_ref());
        let address = state.as_ref().map(|state| address(*server, state)).unwrap_or_default();
        let pids = state.iter().flat_map(|state| &state.processes).map(|process| process.pid.to_string());
        let pids = pids.collect::<Vec<_>>().join(" ");
        println!("{:<10} {:<16} {address:<28} {pids:<14} {condition}", server.name(), server.package());
    }
    Ok(())
}

fn address(server: &dyn Server, state: &State) -> String {
    server.variables(&state.ports).into_iter().next().map(|(_, address)| address).unwrap_or_default()
}

/// The addresses and processes of all servers. `control` is this program, which tests of faults call.
pub(super) fn addresses() -> Result<Value> {
    let mut servers = Map::new();
    for server in choose(&[]) {
        let Some(state) = State::read(server.name())? else { continue };
        let processes: Map<String, Value> =
            state.processes.iter().map(|process| (process.name.clone(), json!(process.pid))).collect();
        let variables: Map<String, Value> =
            server.variables(&state.ports).into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        let about = json!({
            "package": state.package,
            "state": condition(Some(&state)),
            "address": address(server, &state),
            "ports": state.ports,
            "pids": processes,
            "variables": variables,
            "folder": state::folder()?.join(server.name()),
        });
        servers.insert(server.name().to_owned(), about);
    }
    Ok(json!({"control": this_program()?, "servers": servers}))
}

/// The path of this program, also if it was built anew since it began: Linux then says so behind the path.
fn this_program() -> Result<String> {
    let path = std::env::current_exe().context("this program does not know where it is")?.display().to_string();
    Ok(path.strip_suffix(" (deleted)").map(str::to_owned).unwrap_or(path))
}

/// Updates addresses.json.
pub(super) fn write_addresses() -> Result<()> {
    write_json(&addresses_file()?, &addresses()?)
}

/// The variables by which tests find the servers that are running.
pub(super) fn variables() -> Result<Vec<(&'static str, String)>> {
    let mut variables = Vec::new();
    for server in choose(&[]) {
        let running = State::read(server.name())?.filter(State::is_running);
        variables.extend(running.map(|state| server.variables(&state.ports)).unwrap_or_default());
    }
    variables.push(("ASSAY_TEST_SERVERS", addresses_file()?.display().to_string()));
    Ok(variables)
}
