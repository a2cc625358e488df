//! Builds of the embedded server, of its tests and of everything ask for the same features of the dependencies that they
//! share, so that each dependency is compiled once. A feature that is missing belongs into `host/unified/Cargo.toml`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// By dependency, the sets of features that it is compiled with.
type Features = BTreeMap<String, BTreeSet<String>>;

fn features(edges: &str, selection: &[&str]) -> Features {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges", edges, "--prefix", "none", "--format", "{p}|{f}"])
        .args(selection)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut all = Features::new();
    // An empty line stands between the members.
    for (package, features) in String::from_utf8(output.stdout).unwrap().lines().filter_map(|line| line.split_once('|'))
    {
        // A member is named with its path, and has features of its own. A line that was printed before ends with a mark.
        if !package.contains('/') {
            all.entry(package.to_owned()).or_default().insert(features.trim_end_matches(" (*)").to_owned());
        }
    }
    all
}

#[test]
fn all_builds_share_their_dependencies() {
    let server = features("normal,build", &[]);
    let tests = features("normal,build,dev", &[]);
    let everything = features("normal,build,dev", &["--workspace", "--features", "assay/servers"]);
    assert!(everything.len() > server.len() + 50, "the embedded server has the clients of other servers");
    for (name, larger) in [("the tests", &tests), ("the clients of servers", &everything)] {
        let differ: Vec<String> = server
            .iter()
            .filter_map(|(package, sets)| {
                let other = larger.get(package).filter(|other| *other != sets)?;
                Some(format!("{package}: {sets:?}, with {name} {other:?}"))
            })
            .collect();
        assert!(differ.is_empty(), "add to host/unified/Cargo.toml:\n{}", differ.join("\n"));
    }
}
