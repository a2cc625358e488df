//! Cargo's report of what it built: one JSON object a line, of which the artifacts matter here.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A thing that cargo built or found built.
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
pub(crate) fn read(from: impl Read) -> io::Result<Vec<Artifact>> {
    let mut artifacts = Vec::new();
    for line in BufReader::new(from).lines() {
        // Programs that cargo runs may print to the same pipe: what is not a message is none of ours.
        if let Ok(Message::CompilerArtifact(artifact)) = serde_json::from_str(&line?) {
            artifacts.push(artifact);
        }
    }
    Ok(artifacts)
}

/// The modules among the artifacts; of these packages alone, unless there are none.
pub(crate) fn modules(artifacts: &[Artifact], packages: &[&str]) -> Vec<PathBuf> {
    // A library is named as its package is, with `_` for `-`.
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
        let artifacts = read(MESSAGES.as_bytes()).unwrap();
        assert_eq!(modules(&artifacts, &[]), ["/t/geo_jump.wasm", "/t/velocity.wasm"].map(PathBuf::from));
        assert_eq!(modules(&artifacts, &["geo-jump"]), [PathBuf::from("/t/geo_jump.wasm")]);
        assert!(modules(&artifacts, &["serde"]).is_empty());
    }
}
