//! Starts servers: installs, configures and starts them, and waits until they answer.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::process::Process;
use super::server::Server;
use super::state::{self, State};
use super::steps::{end_of, show, spinner};
use super::{cache, down, ports};

/// How long a server may take until it answers, on a machine that is busy with builds.
const DEADLINE: Duration = Duration::from_secs(180);

/// How long ports may stay in use after their process has ended.
const PORTS_DEADLINE: Duration = Duration::from_secs(10);

/// Installs, configures and starts a server, if it is not running.
pub(super) fn start(server: &dyn Server) -> Result<()> {
    let known = State::read(server.name())?;
    if known.as_ref().is_some_and(State::is_running) {
        return Ok(());
    }
    cache::installed(server)?;
    let mut state = prepare(server, known)?;
    let place = state.place(server)?;
    wait_for_ports(server, &place.ports)?;
    for mut program in server.programs(&place)? {
        let log = log(&place.folder, program.name);
        state.processes.push(Process::start(program.name, &mut program.command, &log)?);
        // Noted one by one: whatever fails after this, it can be stopped.
        state.write(server.name())?;
    }
    Ok(())
}

/// Waits until its ports are free, which takes a moment after a kill.
fn wait_for_ports(server: &dyn Server, ports: &[u16]) -> Result<()> {
    let deadline = Instant::now() + PORTS_DEADLINE;
    while let Some(port) = ports.iter().find(|port| !ports::is_free(**port)) {
        let name = server.name();
        ensure!(
            Instant::now() < deadline,
            "port {port}, which it keeps, is used by another program. End that, or let go of the port and of the data: \
             cargo xtask servers down --wipe {name}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The run folder and the ports: those of the run before, unless its data is of another version.
fn prepare(server: &dyn Server, known: Option<State>) -> Result<State> {
    let name = server.name();
    let mut state = match known {
        Some(state) if state.package == server.package() => {
            down::stop(server, false)?;
            state
        }
        _ => {
            down::wipe(server)?;
            let checkout = state::folder()?;
            let ports = ports::choose(server.ports(), &state::ports_of_others(name)?, &checkout)?;
            let folder = checkout.join(name);
            std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
            State { package: server.package().to_owned(), ports, processes: Vec::new() }
        }
    };
    state.processes.clear();
    state.write(name)?;
    Ok(state)
}

/// Waits until a started server answers. A server that does not is stopped.
pub(super) fn wait(server: &dyn Server) -> Result<()> {
    let state = State::read(server.name())?.context("it was not started")?;
    let place = state.place(server)?;
    let bar = spinner();
    show(&bar, &format!("{}: waiting for its answer", server.name()));
    let deadline = Instant::now() + DEADLINE;
    let answered = loop {
        match server.check_answers(&place) {
            Ok(()) => break Ok(()),
            Err(error) if Instant::now() > deadline => {
                break Err(error.context(format!("no answer within {} s", DEADLINE.as_secs())));
            }
            Err(_) => {}
        }
        if let Some(ended) = state.processes.iter().find(|process| !process.is_alive()) {
            break Err(anyhow!("it ended. {}", end_of(&log(&place.folder, &ended.name))));
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    bar.finish_and_clear();
    if answered.is_err() {
        down::stop(server, false)?;
    }
    // Another program could answer on its port.
    ensure!(answered.is_err() || state.is_running(), "it ended. See the logs in {}", place.folder.display());
    answered
}

/// The log of a program.
fn log(folder: &Path, program: &str) -> PathBuf {
    folder.join(format!("{program}.log"))
}
