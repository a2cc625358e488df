//! Uploads that are accepted as plugins, and the errors of those that are not.

use assay_core::names::Digest;
use assay_runtime::{Kind, Limits, PluginError, Runtime, RuntimeConfig, ScoreError};

use crate::guests::{folding, hostile, module, runtime};

/// A core module with one imported function of type () -> ().
fn importing(module: &str, name: &str) -> Vec<u8> {
    let mut bytes = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02".to_vec();
    bytes.push((module.len() + name.len() + 5) as u8);
    bytes.push(1);
    for text in [module, name] {
        bytes.push(text.len() as u8);
        bytes.extend(text.bytes());
    }
    bytes.extend([0, 0]);
    bytes
}

fn refusal(bytes: &[u8]) -> PluginError {
    runtime().load(bytes).expect_err("this is no plugin")
}

#[test]
fn a_plain_module_is_accepted_with_its_manifest() {
    let plugin = hostile();
    assert_eq!(plugin.digest(), Digest::of(&module("hostile")));
    let manifest = plugin.manifest();
    assert_eq!((manifest.name.as_str(), manifest.version.to_string().as_str()), ("hostile", "1.2.3"));
    let kinds: Vec<Kind> = manifest.inputs.iter().map(|input| input.kind).collect();
    assert_eq!(kinds, [Kind::Float, Kind::Float, Kind::Text, Kind::Boolean, Kind::Int, Kind::Timestamp]);
    assert!(manifest.inputs[0].required && !manifest.inputs[2].required);
    assert_eq!(manifest.tags, ["high", "flagged"]);
    assert_eq!(manifest.annotations, [("home".to_owned(), "nowhere".to_owned())]);
    assert!(!plugin.has_state() && folding().has_state());
}

#[test]
fn a_component_is_accepted() {
    let wrapped = wit_component::ComponentEncoder::default()
        .module(&module("hostile"))
        .and_then(|mut encoder| encoder.encode())
        .expect("the module can be wrapped");
    let plugin = runtime().load(&wrapped).expect("the component is a plugin");
    assert_eq!(plugin.manifest(), hostile().manifest());
    assert_eq!(plugin.digest(), Digest::of(&wrapped));
}

/// The guest with all occurrences of a text replaced by one of the same length.
fn renamed(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = module("hostile");
    let is_there = |bytes: &[u8], at: usize| bytes[at..].starts_with(from.as_bytes());
    let places: Vec<usize> = (0..bytes.len() - from.len()).filter(|at| is_there(&bytes, *at)).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

#[test]
fn only_version_1_of_the_contract_is_accepted() {
    assert_eq!(
        refusal(&renamed("scoring@1.0.0", "scoring@2.0.0")).to_string(),
        "expected a plugin that exports assay:plugin/scoring@1, found assay:plugin/scoring@2.0.0"
    );
    assert_eq!(
        refusal(&renamed("assay:plugin/scoring@1.0.0", "other:plugin/scoring@1.0.0")).to_string(),
        "expected a plugin that exports assay:plugin/scoring@1, found other:plugin/scoring@1.0.0"
    );
    let newer = runtime().load(&renamed("scoring@1.0.0", "scoring@1.7.3")).expect("1.x is the same contract");
    assert_eq!(newer.manifest(), hostile().manifest());
}

#[test]
fn the_description_of_a_modules_world_is_ignored() {
    // A package that depends on itself made wit-parser overflow the stack, which ends the whole process.
    let from = "assay:plugin/scoring@1.0.0";
    let mut bytes = module("hostile");
    let at = (0..bytes.len()).rev().find(|at| bytes[*at..].starts_with(from.as_bytes())).expect("it is named");
    bytes[at..at + from.len()].copy_from_slice(b"assay:plugin/scoring@2.0.0");
    assert!(runtime().load(&bytes).is_ok());
}

#[test]
fn a_component_of_another_world_is_refused() {
    let empty_component = b"\0asm\x0d\0\x01\0";
    assert_eq!(
        refusal(empty_component).to_string(),
        "expected a plugin that exports assay:plugin/scoring@1, found no exports"
    );
    assert_eq!(refusal(b"\0asm\x01\0\0\0"), PluginError::NoInterface);
}

#[test]
fn imports_are_refused_by_name_with_advice() {
    let error = refusal(&importing("env", "f"));
    assert_eq!(error, PluginError::Imports(vec!["env.f".into()]));
    assert!(error.to_string().contains("`env.f` (remove the dependency that needs it"), "{error}");
    let error = refusal(&importing("wasi_snapshot_preview1", "fd_write")).to_string();
    assert!(error.contains("`wasi_snapshot_preview1.fd_write` (build for wasm32-unknown-unknown"), "{error}");
}

#[test]
fn damaged_and_empty_bytes_are_refused() {
    assert_eq!(refusal(b""), PluginError::Empty);
    assert!(matches!(refusal(b"#!/bin/sh"), PluginError::NotWasm(_)));
    let whole = module("hostile");
    assert!(matches!(refusal(&whole[..whole.len() / 2]), PluginError::NotWasm(_)));
    for bytes in [&b"#!/bin/sh"[..], &whole[..whole.len() / 2], b"\0asm\xff\xff\xff\xff"] {
        let said = refusal(bytes).to_string();
        assert!(!said.contains('\n') && said.contains("assay plugin build"), "one sentence with advice: {said}");
    }
    // With any byte changed the result is an error or a plugin, never a crash.
    for at in (8..whole.len()).step_by(whole.len() / 24) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        let _ = runtime().load(&damaged);
    }
}

#[test]
fn uploads_above_the_limits_are_refused() {
    let bytes = module("hostile");
    let load = |config| Runtime::new(config).expect("the runtime starts").load(&bytes);
    let error = load(RuntimeConfig { max_module_bytes: 1_000, ..RuntimeConfig::default() });
    assert!(matches!(error, Err(PluginError::TooLarge { max: 1_000, .. })), "{error:?}");
    let error = load(RuntimeConfig { max_functions: 3, ..RuntimeConfig::default() });
    assert!(matches!(error, Err(PluginError::TooComplex { what: "functions", max: 3, .. })), "{error:?}");
    let error = load(RuntimeConfig { max_function_bytes: 10, ..RuntimeConfig::default() });
    assert!(matches!(error, Err(PluginError::TooComplex { max: 10, .. })), "{error:?}");
}

#[test]
fn the_error_of_a_refused_config_has_the_plugins_text() {
    let instance = |config: &str| hostile().instance(config, Limits::default()).map(drop);
    let error = instance(r#"{"value":1}"#).expect_err("the mode is missing");
    assert!(matches!(&error, PluginError::ConfigRefused(text) if text.contains("missing field `mode`")), "{error}");
    assert!(matches!(instance(r#"{"mode":"trap-in-configure"}"#), Err(PluginError::Configure(ScoreError::Trap(_)))));
    let endless = instance(r#"{"mode":"loop-in-configure"}"#);
    assert_eq!(endless, Err(PluginError::Configure(ScoreError::Deadline { ms: 1_000 })));
}

#[test]
fn a_compiled_plugin_is_cached_and_a_damaged_file_is_compiled_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cache = folder.path().join("compiled");
    let load = || {
        let config = RuntimeConfig { cache_dir: Some(cache.clone()), ..RuntimeConfig::default() };
        let plugin = Runtime::new(config).expect("the runtime starts").load(&module("folding"));
        plugin.expect("the guest is a plugin").manifest().clone()
    };
    let files = || -> Vec<_> {
        let entries = std::fs::read_dir(&cache).expect("the cache is there");
        entries.map(|entry| entry.expect("the entry can be read").path()).collect()
    };
    let first = load();
    let [file] = &files()[..] else { panic!("one file is kept: {:?}", files()) };
    let whole = std::fs::read(file).expect("the file can be read");
    assert_eq!(load(), first);
    std::fs::write(file, &whole[..whole.len() - 100]).expect("the file can be written");
    assert_eq!(load(), first);
    let left = files();
    assert_eq!((left.len(), &left[0]), (1, file));
    assert_eq!(std::fs::read(file).expect("it was written anew").len(), whole.len());
}
