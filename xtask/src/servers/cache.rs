//! The folder of installed servers, which survives `cargo clean` and is shared by all checkouts.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::server::{Server, Tool};
use super::steps::{Steps, show, spinner};

/// The folder of all installs.
pub(super) fn folder() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("ASSAY_SERVERS_DIR")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("assay").join("servers")))
        .or_else(|| set("HOME").map(|home| home.join(".cache").join("assay").join("servers")))
        .context("no place for the servers: set ASSAY_SERVERS_DIR to a folder, or HOME")?;
    std::path::absolute(&folder).with_context(|| format!("no absolute path for {}", folder.display()))
}

/// The folder of a server, which is installed if necessary. Concurrent installs wait for the first one. An incomplete
/// install is in a folder of another name.
pub(super) fn installed(server: &dyn Server) -> Result<PathBuf> {
    let cache = folder()?;
    let package = server.package();
    let installed = cache.join(package);
    check_tools(server.needs())?;
    if installed.is_dir() {
        return Ok(installed);
    }
    std::fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let _lock =
        lock(&cache.join(format!("{package}.lock")), &format!("{}: another install is going on", server.name()))?;
    if installed.is_dir() {
        return Ok(installed);
    }
    let started = Instant::now();
    install(server, &installed)?;
    eprintln!("{}: installed {package} in {:.0} s", server.name(), started.elapsed().as_secs_f64());
    Ok(installed)
}

fn install(server: &dyn Server, installed: &Path) -> Result<()> {
    let beside = |ending: &str| {
        let mut name = OsString::from(installed);
        name.push(ending);
        PathBuf::from(name)
    };
    let building = beside(".building");
    remove(&building)?;
    let (work, into) = (building.join("work"), building.join("installed"));
    for folder in [&work, &into] {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let steps = Steps::new(server.name(), &beside(".log"))?;
    server.install(&into, &work, &steps).with_context(|| format!("cannot install {}", server.package()))?;
    std::fs::rename(&into, installed).with_context(|| format!("cannot move {}", into.display()))?;
    remove(&building)
}

/// Deletes a folder that may not be there.
pub(super) fn remove(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    std::fs::remove_dir_all(folder).with_context(|| format!("cannot delete {}", folder.display()))
}

/// Holds a lock file until dropped, or until this process ends in any way.
pub(super) fn lock(path: &Path, waiting: &str) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", path.display()));
        }
    }
    let bar = spinner();
    show(&bar, waiting);
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    bar.finish_and_clear();
    Ok(file)
}

/// Fails unless every program is on the PATH, or Java in $JAVA_HOME, and names what to install.
fn check_tools(tools: &[Tool]) -> Result<()> {
    let mut folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    folders.extend(std::env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin")));
    let is_there = |tool: &&Tool| folders.iter().any(|folder| folder.join(tool.program).is_file());
    let missing: Vec<String> = tools
        .iter()
        .filter(|tool| !is_there(tool))
        .map(|tool| format!("`{}` is missing: install {}", tool.program, tool.advice))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!("{}", missing.join("; "))
}
