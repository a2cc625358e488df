//! Creates new plugins and builds them to Wasm, for `assay plugin new`, `assay plugin build` and `cargo xtask`.
//!
//! ```no_run
//! use std::path::Path;
//! use assay_toolchain::{Build, find, scaffold};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dir = Path::new("my-plugin");
//! scaffold("my-plugin", dir)?;
//! let toolchain = find(dir, &mut |line| eprintln!("{line}"))?;
//! let artifacts = toolchain.build(&Build::release(dir), &mut |line| eprintln!("{line}"))?;
//! # Ok(())
//! # }
//! ```
//!
//! It runs `cargo`, `rustc` and `rustup` and knows nothing of the server.

mod artifacts;
mod compile;
mod find;
mod rustup;
mod scaffold;
mod sdk;
mod target;

pub use compile::{Build, BuildError};
pub use find::{Machine, NoToolchain, Toolchain, find};
pub use scaffold::{ScaffoldError, check_plugin_name, scaffold};
pub use sdk::write_sdk;
pub use target::shared_target;
