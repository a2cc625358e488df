//! Builds the guests of `tests/guests` for wasm32-unknown-unknown, once per test run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use assay_runtime::{Instance, Limits, Plugin, Runtime, RuntimeConfig};

/// The bytes of a guest as cargo builds it: a plain core module.
pub(crate) fn module(name: &str) -> Vec<u8> {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let path = FOLDER.get_or_init(build).join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn build() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--locked", "--target", "wasm32-unknown-unknown", "--target-dir"])
        .arg(&target)
        .current_dir(source)
        // Flags for the host's build do not apply to the guests.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR")
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the guests were not built; `rustup target add wasm32-unknown-unknown` may be missing");
    target.join("wasm32-unknown-unknown/release")
}

/// One runtime for all tests, so that each guest is compiled once.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new(RuntimeConfig::default()).expect("the runtime starts"))
}

/// The stateless guest that misbehaves.
pub(crate) fn hostile() -> &'static Plugin {
    static PLUGIN: OnceLock<Plugin> = OnceLock::new();
    PLUGIN.get_or_init(|| runtime().load(&module("hostile")).expect("the guest is a plugin"))
}

/// The guest with state.
pub(crate) fn folding() -> &'static Plugin {
    static PLUGIN: OnceLock<Plugin> = OnceLock::new();
    PLUGIN.get_or_init(|| runtime().load(&module("folding")).expect("the guest is a plugin"))
}

/// An instance that misbehaves in the way `mode` on rows with the value `value`.
pub(crate) fn instance(plugin: &Plugin, mode: &str, value: u32, limits: Limits) -> Instance {
    let config = format!(r#"{{"mode":"{mode}","value":{value}}}"#);
    plugin.instance(&config, limits).expect("the guest takes the config")
}
