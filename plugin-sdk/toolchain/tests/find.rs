//! The choice of a toolchain on different machines. A machine is a folder with small shell scripts as programs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use assay_toolchain::Machine;

/// A machine in a folder: `path/` has the programs of PATH, `distribution/` those of the distribution's packages.
struct FakeMachine {
    root: tempfile::TempDir,
}

impl FakeMachine {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn program(&self, path: &str, script: &str) -> &Self {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// A cargo, and a rustc whose libraries are in `sysroot/`.
    fn rust(&self, folder: &str) -> &Self {
        let sysroot = self.at("sysroot");
        self.program(&format!("{folder}/rustc"), &format!("echo {}", sysroot.display()));
        self.program(&format!("{folder}/cargo"), "")
    }

    fn folder(&self, path: &str) -> &Self {
        fs::create_dir_all(self.at(path)).unwrap();
        self
    }

    fn find(&self) -> Result<String, String> {
        self.find_within(Duration::from_secs(60), &mut |_| {})
    }

    fn find_within(&self, rustup_time: Duration, on_line: &mut dyn FnMut(&str)) -> Result<String, String> {
        let machine = Machine { path: vec![self.at("path")], distribution: self.at("distribution"), rustup_time };
        let found = machine.find(Path::new("/"), on_line).map_err(|error| error.to_string())?;
        Ok(found.to_string().replace(&self.root.path().display().to_string(), ""))
    }
}

const TARGET: &str = "sysroot/lib/rustlib/wasm32-unknown-unknown/lib";

/// It is one test, so that no other thread forks while a script is open for writing, which would make running the
/// script fail.
#[test]
fn the_first_toolchain_that_can_build_for_wasm_is_chosen() {
    let with_target = FakeMachine::new();
    with_target.rust("path").folder(TARGET);
    assert_eq!(with_target.find().unwrap(), "/path/cargo (a Rust with the Wasm target)");

    let rustup_adds_it = FakeMachine::new();
    let add =
        format!("[ \"$*\" = 'target add wasm32-unknown-unknown' ] && mkdir -p {}", rustup_adds_it.at(TARGET).display());
    rustup_adds_it.rust("path").program("path/rustup", &add);
    assert_eq!(rustup_adds_it.find().unwrap(), "/path/cargo (a Rust with the Wasm target)");

    let debian = FakeMachine::new();
    debian.rust("distribution").program("path/wasm-ld-19", "").folder("sysroot/lib/rustlib/src/rust/library/std");
    assert!(debian.find().is_err(), "without the sources of the standard library");
    fs::write(debian.at("sysroot/lib/rustlib/src/rust/library/std/Cargo.toml"), "").unwrap();
    let expected = "/distribution/cargo (the distribution's Rust, which builds the standard library along)";
    assert_eq!(debian.find().unwrap(), expected);
    fs::remove_file(debian.at("path/wasm-ld-19")).unwrap();
    assert!(debian.find().is_err(), "without a linker");

    let nothing = FakeMachine::new();
    let advice = "no Rust toolchain for Wasm here: install rustup from https://rustup.rs and run \
                  `rustup target add wasm32-unknown-unknown`, or on Debian \
                  `apt install rustc-web cargo-web rust-web-src lld-19`";
    assert_eq!(nothing.find().unwrap_err(), advice);

    let offline = FakeMachine::new();
    offline.rust("path").program("path/rustup", "echo 'info: syncing'  >&2; echo 'error: no network' >&2; exit 1");
    let expected = format!("{advice} (`rustup target add wasm32-unknown-unknown` said: error: no network)");
    assert_eq!(offline.find().unwrap_err(), expected);

    // A rustup that never ends, as without a network.
    let stuck = FakeMachine::new();
    stuck.rust("path").rust("distribution").program("path/wasm-ld-19", "");
    stuck.folder("sysroot/lib/rustlib/src/rust/library/std");
    fs::write(stuck.at("sysroot/lib/rustlib/src/rust/library/std/Cargo.toml"), "").unwrap();
    stuck.program("path/rustup", "echo 'info: downloading' >&2; exec sleep 3600");
    let mut lines = Vec::new();
    let found = stuck.find_within(Duration::from_secs(2), &mut |line| lines.push(line.to_owned()));
    assert_eq!(
        found.unwrap(),
        "/distribution/cargo (the distribution's Rust, which builds the standard library along)"
    );
    assert_eq!(lines, ["rustup adds the target wasm32-unknown-unknown, for at most 2 s", "info: downloading"]);
    fs::remove_file(stuck.at("path/wasm-ld-19")).unwrap();
    let refused = stuck.find_within(Duration::from_millis(200), &mut |_| {}).unwrap_err();
    assert!(refused.ends_with("said: info: downloading; it was ended after 2 s)"), "{refused}");
}
