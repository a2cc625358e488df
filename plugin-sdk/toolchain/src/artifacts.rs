//! Parses cargo's report of built artifacts: one JSON object per line.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// An artifact that cargo built, or that was up to date.
#[derive(Debug, Deserialize)]
pub(crate) struct Artifact {
    target: Target,
    filenames: Vec<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Message {
    CompilerArtifact(Artifact),
    #[serde(other)]
    Other,
}

/// Reads cargo's messages to their end.
pub(crate) fn read_artifacts(from: impl Read) -> io::Result<Vec<Artifact>> {
    let mut artifacts = Vec::new();
    for line in BufReader::new(from).lines() {
        // Lines that are no messages are skipped, because programs that cargo runs may print to the same pipe.
        if let Ok(Message::CompilerArtifact(artifact)) = serde_json::from_str(&line?) {
            artifacts.push(artifact);
        }
    }
    Ok(artifacts)
}

/// The Wasm modules among the artifacts, only those of `packages` if it is not empty.
pub(crate) fn wasm_modules(artifacts: &[Artifact], packages: &[&str]) -> Vec<PathBuf> {
    // A library has the name of its package, with `_` for `-`.
    let is_wanted = |name: &str| packages.iter().any(|package| package.replace('-', "_") == name.replace('-', "_"));
    let is_module = |path: &&PathBuf| Path::new(path).extension().is_some_and(|extension| extension == "wasm");
    artifacts
        .iter()
        .filter(|artifact| artifact.target.crate_types.iter().any(|kind| kind == "cdylib"))
        .filter(|artifact| packages.is_empty() || is_wanted(&artifact.target.name))
        .flat_map(|artifact| artifact.filenames.iter().filter(is_module).cloned())
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    const MESSAGES: &str = r#"
{"reason":"compiler-artifact","target":{"name":"serde","kind":["lib"],"crate_types":["lib"]},"filenames":["/t/libserde.rlib"]}
not a message
{"reason":"compiler-artifact","target":{"name":"geo_jump","crate_types":["cdylib","rlib"]},"filenames":["/t/geo_jump.wasm","/t/libgeo_jump.rlib"],"fresh":true}
{"reason":"compiler-artifact","target":{"name":"velocity","crate_types":["cdylib"]},"filenames":["/t/velocity.wasm"]}
{"reason":"build-finished","success":true}
"#;

    #[test]
    fn modules_are_the_wasm_files_of_the_packages_that_were_asked_for() {
        let artifacts = read_artifacts(MESSAGES.as_bytes()).unwrap();
        assert_eq!(wasm_modules(&artifacts, &[]), ["/t/geo_jump.wasm", "/t/velocity.wasm"].map(PathBuf::from));
        assert_eq!(wasm_modules(&artifacts, &["geo-jump"]), [PathBuf::from("/t/geo_jump.wasm")]);
        assert!(wasm_modules(&artifacts, &["serde"]).is_empty());
    }
}
