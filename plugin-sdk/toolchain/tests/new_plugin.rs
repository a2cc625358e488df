//! Creates a new plugin outside of the checkout and builds it to Wasm. It is slow: it compiles the SDK with its
//! dependencies in about a minute, and downloads those that this machine does not have.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use assay_toolchain::{Build, BuildError, find, scaffold};
use wasmparser::{Parser, Payload};

#[test]
fn a_new_plugin_builds_tests_itself_and_imports_nothing() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("first-try");
    scaffold("first-try", &dir).unwrap();
    let toolchain = find(&dir, &mut |line| println!("{line}")).unwrap();
    let target = dir.join("target");
    let build = Build { target_dir: Some(&target), ..Build::release(&dir) };

    let mut lines = Vec::new();
    let modules = toolchain.build(&build, &mut |line| lines.push(line.to_owned())).unwrap();
    assert_eq!(modules, [target.join("wasm32-unknown-unknown/release/first_try.wasm")]);
    assert!(lines.iter().any(|line| line.contains("Compiling first-try v0.1.0")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("warning")), "{lines:?}");
    // Each additional crate costs every author time. The crates that generate the bindings must not be built.
    for heavy in ["wit-parser", "wit-bindgen-rust", "prettyplease", "indexmap", "anyhow"] {
        assert!(!lines.iter().any(|line| line.contains(&format!("Compiling {heavy} v"))), "{heavy} is compiled");
    }
    check_module(&modules[0]);

    // These share the target folder, so that dependencies are compiled only once.
    check_mistake_is_shown_with_its_place(&dir, &toolchain, &build);
    check_own_tests_pass(&dir, &target);
}

fn check_module(path: &Path) {
    let bytes = fs::read(path).unwrap();
    let mut exports = Vec::new();
    let mut describes_itself = false;
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload.unwrap() {
            Payload::ImportSection(imports) => {
                assert_eq!(imports.count(), 0, "a plugin imports nothing")
            }
            Payload::ExportSection(section) => {
                exports.extend(section.into_iter().map(|export| export.unwrap().name.to_owned()));
            }
            Payload::CustomSection(section) => describes_itself |= section.name().starts_with("component-type:"),
            _ => {}
        }
    }
    for function in ["describe", "configure", "score", "migrate"] {
        let name = format!("assay:plugin/scoring@1.0.0#{function}");
        assert!(exports.contains(&name), "{name} is not among {exports:?}");
    }
    assert!(exports.iter().any(|name| name == "assay_panic_message"), "the host reads panics there: {exports:?}");
    assert!(describes_itself, "the host needs the section `component-type` to wrap the module as a component");
    assert!(bytes.len() < 1_000_000, "{} bytes", bytes.len());
}

fn check_mistake_is_shown_with_its_place(dir: &Path, toolchain: &assay_toolchain::Toolchain, build: &Build<'_>) {
    let source = dir.join("src/lib.rs");
    let right = fs::read_to_string(&source).unwrap();
    fs::write(&source, right.replace("tags::LARGE", "tags::LAGRE")).unwrap();
    let error = toolchain.build(build, &mut |_| {}).unwrap_err();
    fs::write(&source, right).unwrap();
    assert!(matches!(error, BuildError::Failed { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("cannot find value `LAGRE` in module `tags`") && text.contains("src/lib.rs:"), "{text}");
}

fn check_own_tests_pass(dir: &Path, target: &Path) {
    let output = Command::new("cargo").args(["test", "--target-dir"]).arg(target).current_dir(dir).output().unwrap();
    let output_text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output_text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(output_text.contains("test result: ok. 2 passed"), "{output_text}");
}
