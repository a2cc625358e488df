//! Finds a Rust that can build for Wasm.
//!
//! Two ways are known: a Rust with the target `wasm32-unknown-unknown` (rustup adds it in seconds), and Debian's
//! packages, which have the standard library's sources and build it along.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The target of plugins: no operating system, so nothing to import from one.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// There is no Rust here that can build for Wasm.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no Rust toolchain for Wasm here: install rustup from https://rustup.rs and run `rustup target add {TARGET}`, \
     or on Debian `apt install rustc-web cargo-web rust-web-src lld-19`{}",
    .rustup_said.as_ref().map(|said| format!(" (`rustup target add {TARGET}` said: {said})")).unwrap_or_default()
)]
pub struct NoToolchain {
    /// Why rustup, which is here, could not add the target.
    pub rustup_said: Option<String>,
}

/// A cargo and how to call it to build for Wasm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    pub(crate) cargo: PathBuf,
    pub(crate) environment: Vec<(&'static str, OsString)>,
    pub(crate) arguments: Vec<&'static str>,
    origin: &'static str,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.cargo.display(), self.origin)
    }
}

/// Finds a Rust that can build the crate in `dir` for Wasm; adds the target if rustup is here and lacks it.
///
/// # Errors
/// Says in one line how to get one.
pub fn find(dir: &Path) -> Result<Toolchain, NoToolchain> {
    Machine::this().find(dir)
}

/// Where to look for programs.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Folders of programs in the order in which they are searched.
    pub path: Vec<PathBuf>,
    /// Where the packages of the distribution put their programs: `/usr/bin`.
    pub distribution: PathBuf,
}

impl Machine {
    /// This machine, as the environment's `PATH` shows it.
    pub fn this() -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        Self { path: env::split_paths(&path).collect(), distribution: PathBuf::from("/usr/bin") }
    }

    /// See [`find`].
    ///
    /// # Errors
    /// Says in one line how to get a toolchain.
    pub fn find(&self, dir: &Path) -> Result<Toolchain, NoToolchain> {
        if let Some(toolchain) = self.with_target(dir) {
            return Ok(toolchain);
        }
        let mut rustup_said = None;
        if let Some(rustup) = self.program("rustup") {
            match add_target(&rustup, dir) {
                Ok(()) => {
                    if let Some(toolchain) = self.with_target(dir) {
                        return Ok(toolchain);
                    }
                }
                Err(said) => rustup_said = Some(said),
            }
        }
        self.with_sources(dir).ok_or(NoToolchain { rustup_said })
    }

    /// A Rust that has the target's standard library.
    fn with_target(&self, dir: &Path) -> Option<Toolchain> {
        let (rustc, cargo) = (self.program("rustc")?, self.program("cargo")?);
        let sysroot = sysroot(&rustc, dir)?;
        if !sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir() {
            return None;
        }
        let origin = "a Rust with the Wasm target";
        Some(Toolchain { cargo, environment: Vec::new(), arguments: Vec::new(), origin })
    }

    /// The distribution's Rust with the standard library's sources, and a linker for Wasm.
    pub fn with_sources(&self, dir: &Path) -> Option<Toolchain> {
        let (rustc, cargo) = (self.distribution.join("rustc"), self.distribution.join("cargo"));
        if !rustc.is_file() || !cargo.is_file() {
            return None;
        }
        let sources = sysroot(&rustc, dir)?.join("lib/rustlib/src/rust/library/std/Cargo.toml");
        let linker = self.wasm_linker()?;
        let environment = vec![
            ("RUSTC", rustc.into_os_string()),
            // A distribution's Rust is a stable one; building the standard library is a matter of nightly ones.
            ("RUSTC_BOOTSTRAP", "1".into()),
            ("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker.into_os_string()),
        ];
        let arguments = vec!["-Zbuild-std=std,panic_abort"];
        let origin = "the distribution's Rust, which builds the standard library along";
        sources.is_file().then_some(Toolchain { cargo, environment, arguments, origin })
    }

    /// LLVM's linker: `wasm-ld`, or the newest of those that carry LLVM's version in their name.
    fn wasm_linker(&self) -> Option<PathBuf> {
        let versioned = (14..=30).rev().map(|version| format!("wasm-ld-{version}"));
        std::iter::once("wasm-ld".to_owned()).chain(versioned).find_map(|name| self.program(&name))
    }

    fn program(&self, name: &str) -> Option<PathBuf> {
        let file = format!("{name}{}", env::consts::EXE_SUFFIX);
        self.path.iter().map(|folder| folder.join(&file)).find(|path| path.is_file())
    }
}

/// Where a rustc keeps its libraries. Asked from `dir`, whose `rust-toolchain.toml` may choose another Rust.
fn sysroot(rustc: &Path, dir: &Path) -> Option<PathBuf> {
    let output = Command::new(rustc).args(["--print", "sysroot"]).current_dir(dir).stderr(Stdio::null()).output();
    let output = output.ok().filter(|output| output.status.success())?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

/// Adds the target to rustup's Rust; the error is the last line of what rustup said.
fn add_target(rustup: &Path, dir: &Path) -> Result<(), String> {
    let output = Command::new(rustup).args(["target", "add", TARGET]).current_dir(dir).output();
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().last().unwrap_or("nothing").trim().to_owned())
}
