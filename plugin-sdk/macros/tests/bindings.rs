//! Tests that the stored bindings are the output of wit-bindgen for the contract.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use wit_bindgen_core::wit_parser::Resolve;
use wit_bindgen_core::{Files, WorldGenerator as _};
use wit_bindgen_rust::Opts;

fn generate() -> String {
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(&wit).unwrap();
    let world = resolve.select_world(&[package], Some("plugin")).unwrap();
    let options = Opts {
        format: true,
        pub_export_macro: true,
        export_macro_name: Some("export_plugin".to_owned()),
        default_bindings_module: Some("assay_sdk::bindings".to_owned()),
        ..Opts::default()
    };
    let mut files = Files::default();
    options.build().generate(&mut resolve, world, &mut files).unwrap();
    let (_, text) = files.iter().next().unwrap();
    String::from_utf8(text.to_vec()).unwrap()
}

/// After a change of the contract or of wit-bindgen's version, run it once with ASSAY_UPDATE_BINDINGS=1.
#[test]
fn the_stored_bindings_are_up_to_date() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bindings.rs.in");
    let made = generate();
    if std::env::var_os("ASSAY_UPDATE_BINDINGS").is_some() {
        std::fs::write(&kept, &made).unwrap();
    }
    assert!(std::fs::read_to_string(&kept).unwrap() == made, "{} is out of date: see this test", kept.display());
}
