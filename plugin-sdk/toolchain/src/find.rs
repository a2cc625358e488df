//! Finds a Rust toolchain that can build for Wasm.
//!
//! There are two ways: a Rust with the target `wasm32-unknown-unknown` (rustup adds it in seconds), and Debian's
//! packages, which have the standard library's sources, so that it is built with the plugin.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::rustup::add_target;

/// The target of plugins. It has no operating system, so that modules import nothing.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// This machine has no Rust that can build for Wasm.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no Rust toolchain for Wasm here: install rustup from https://rustup.rs and run `rustup target add {TARGET}`, \
     or on Debian `apt install rustc-web cargo-web rust-web-src lld-19`{}",
    .rustup_said.as_ref().map(|said| format!(" (`rustup target add {TARGET}` said: {said})")).unwrap_or_default()
)]
pub struct NoToolchain {
    /// The reason why rustup could not add the target; none without rustup.
    pub rustup_said: Option<String>,
}

/// A cargo, with the environment and the arguments to build for Wasm.
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

/// The most time for rustup to add the target if another Rust can build for Wasm.
const MAX_RUSTUP_TIME: Duration = Duration::from_secs(30);

/// The factor on that time if no other Rust can: a slow network is better than no toolchain.
const RUSTUP_TIME_FACTOR_ALONE: u32 = 10;

/// Finds a Rust that can build the crate in `dir` for Wasm. If rustup exists without the target, adds the target and
/// reports that to `on_line`.
///
/// # Errors
/// There is none; the error says in one line how to get one.
pub fn find(dir: &Path, on_line: &mut dyn FnMut(&str)) -> Result<Toolchain, NoToolchain> {
    Machine::this().find(dir, on_line)
}

/// The places where programs are searched.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The folders of programs, in the order of the search.
    pub path: Vec<PathBuf>,
    /// The folder of programs from the distribution's packages: `/usr/bin`.
    pub distribution: PathBuf,
    /// The most time for rustup to add the target if the distribution's Rust can be used, too. Otherwise rustup has ten
    /// times as long.
    pub rustup_time: Duration,
}

impl Machine {
    /// This machine, with the environment's `PATH`.
    pub fn this() -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        let distribution = PathBuf::from("/usr/bin");
        Self { path: env::split_paths(&path).collect(), distribution, rustup_time: MAX_RUSTUP_TIME }
    }

    /// See [`find`].
    ///
    /// # Errors
    /// There is no toolchain; the error says in one line how to get one.
    pub fn find(&self, dir: &Path, on_line: &mut dyn FnMut(&str)) -> Result<Toolchain, NoToolchain> {
        if let Some(toolchain) = self.with_target(dir) {
            return Ok(toolchain);
        }
        let from_distribution = self.with_sources(dir);
        let mut rustup_said = None;
        if let Some(rustup) = self.find_program("rustup") {
            let max_time = if from_distribution.is_some() {
                self.rustup_time
            } else {
                self.rustup_time * RUSTUP_TIME_FACTOR_ALONE
            };
            match add_target(&rustup, dir, max_time, on_line) {
                Ok(()) => {
                    if let Some(toolchain) = self.with_target(dir) {
                        return Ok(toolchain);
                    }
                }
                Err(said) => rustup_said = Some(said),
            }
        }
        from_distribution.ok_or(NoToolchain { rustup_said })
    }

    /// A Rust that has the target's standard library.
    fn with_target(&self, dir: &Path) -> Option<Toolchain> {
        let (rustc, cargo) = (self.find_program("rustc")?, self.find_program("cargo")?);
        let sysroot = find_sysroot(&rustc, dir)?;
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
        let sources = find_sysroot(&rustc, dir)?.join("lib/rustlib/src/rust/library/std/Cargo.toml");
        let linker = self.find_wasm_linker()?;
        let environment = vec![
            ("RUSTC", rustc.into_os_string()),
            // A distribution's Rust is stable, and `-Zbuild-std` needs the features of a nightly one.
            ("RUSTC_BOOTSTRAP", "1".into()),
            ("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker.into_os_string()),
        ];
        let arguments = vec!["-Zbuild-std=std,panic_abort"];
        let origin = "the distribution's Rust, which builds the standard library along";
        sources.is_file().then_some(Toolchain { cargo, environment, arguments, origin })
    }

    /// LLVM's linker: `wasm-ld`, or the newest one with LLVM's version in its name.
    fn find_wasm_linker(&self) -> Option<PathBuf> {
        let versioned = (14..=30).rev().map(|version| format!("wasm-ld-{version}"));
        std::iter::once("wasm-ld".to_owned()).chain(versioned).find_map(|name| self.find_program(&name))
    }

    fn find_program(&self, name: &str) -> Option<PathBuf> {
        let file = format!("{name}{}", env::consts::EXE_SUFFIX);
        self.path.iter().map(|folder| folder.join(&file)).find(|path| path.is_file())
    }
}

/// The folder of a rustc's libraries. rustc runs in `dir`, because a `rust-toolchain.toml` there may choose another
/// Rust.
fn find_sysroot(rustc: &Path, dir: &Path) -> Option<PathBuf> {
    let output = Command::new(rustc).args(["--print", "sysroot"]).current_dir(dir).stderr(Stdio::null()).output();
    let output = output.ok().filter(|output| output.status.success())?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}
