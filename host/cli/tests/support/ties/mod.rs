//! The payments pack with a plugin whose verdicts tell of all earlier events of the card, in order, and make edges.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::path::Path;

use assay_toolchain::{Build, find};

const RULE: &str = "
rule: ties
stream: payments
plugin: ties@1
inputs: { card: card, merchant: merchant, channel: channel, amount: amount }
";

/// Copies the payments pack and adds the plugin and a rule for it. Its stream gets the given name.
pub(crate) fn add_to(pack: &Path, dir: &Path, stream: &str) {
    for part in ["streams", "views", "rules", "plugins"] {
        std::fs::create_dir_all(dir.join(part)).unwrap();
        let Ok(files) = std::fs::read_dir(pack.join(part)) else { continue };
        for file in files.map(Result::unwrap) {
            let text = std::fs::read_to_string(file.path()).unwrap();
            std::fs::write(dir.join(part).join(file.file_name()), renamed(&text, stream)).unwrap();
        }
    }
    std::fs::write(dir.join("rules/ties.yaml"), renamed(RULE, stream)).unwrap();
    std::fs::write(dir.join("plugins/ties.wasm"), build(dir, "1.0.0")).unwrap();
}

fn renamed(text: &str, stream: &str) -> String {
    text.replace("stream: payments\n", &format!("stream: {stream}\n"))
}

/// Builds a version of the plugin, 1.0.0 or 1.1.0, in a folder of its own below `folder`.
pub(crate) fn build(folder: &Path, version: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let dir = folder.join(format!("ties-{version}"));
    std::fs::create_dir_all(dir.join("src")).unwrap();
    std::fs::write(dir.join("src/lib.rs"), include_str!("plugin.rs")).unwrap();
    let manifest = format!(
        "[package]\nname = \"ties\"\nversion = \"{version}\"\nedition = \"2024\"\n\n[workspace]\n\n[lib]\n\
         crate-type = [\"cdylib\", \"rlib\"]\n\n[profile.release]\npanic = \"abort\"\n\n[dependencies]\n\
         assay-sdk = {{ path = {:?} }}\nschemars = {{ version = \"1\", default-features = false, features = [\"derive\", \"std\"] }}\n\
         serde = {{ version = \"1\", features = [\"derive\"] }}\n",
        root.join("plugin-sdk")
    );
    std::fs::write(dir.join("Cargo.toml"), manifest).unwrap();
    std::fs::copy(root.join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
    // Not the target folder of this checkout: another cargo may be at work there, and this one would wait for it.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugins");
    let build = Build { dir: &dir, packages: &[], profile: "release", target_dir: Some(&target) };
    let built = find(&dir, &mut |_| {}).unwrap().build(&build, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    std::fs::read(&built[0]).unwrap()
}
