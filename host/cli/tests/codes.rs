//! `assay explain` knows every code that the sources have, and the docs have every code that it knows.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use assay::codes::{CodeSource, all_codes};
use support::assay;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The texts of all files below a folder with this ending.
fn texts(folder: &Path, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(texts(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(std::fs::read_to_string(path).unwrap());
        }
    }
    found
}

/// The file with all codes of dead letters has this.
const TABLE_BEGIN: &str = "const EXPLANATIONS: &[FailureExplanation";

/// Names of other things that look like codes.
const NO_CODES: [&str; 3] = ["state-version", "time-millis", "time-micros"];

/// Texts of the form WHAT-HAPPENED in the sources, the table of codes aside.
fn letters() -> BTreeSet<String> {
    let starts = ["event-", "schema-", "plugin-", "input-", "score-", "state-", "store-", "rule-", "time-"];
    let mut found = BTreeSet::new();
    let stores = std::fs::read_dir(root().join("host/stores")).unwrap().map(|store| store.unwrap().path().join("src"));
    let folders = ["host/core/src", "host/engine/src", "host/runtime/src"].map(|folder| root().join(folder));
    for folder in folders.into_iter().chain(stores) {
        for text in texts(&folder, ".rs").iter().filter(|text| !text.contains(TABLE_BEGIN)) {
            let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
            for quoted in shipped.lines().flat_map(|line| line.split('"').skip(1).step_by(2)) {
                let is_code = starts.iter().any(|start| quoted.starts_with(start))
                    && quoted.chars().all(|c| c.is_ascii_lowercase() || c == '-')
                    && !quoted.ends_with('-')
                    && !NO_CODES.contains(&quoted);
                if is_code {
                    found.insert(quoted.to_owned());
                }
            }
        }
    }
    found
}

fn known(is_source: impl Fn(CodeSource) -> bool) -> BTreeSet<String> {
    all_codes().filter(|code| is_source(code.source)).map(|code| code.code.to_owned()).collect()
}

#[test]
fn codes_of_dead_letters_are_written_in_their_table_only() {
    assert_eq!(letters(), BTreeSet::new());
}

#[test]
fn every_code_of_the_api_is_explained_with_its_status() {
    let source = std::fs::read_to_string(root().join("host/api/src/http/error.rs")).unwrap();
    let parts = source.split("fn parts").nth(1).unwrap().split("\n    }\n").next().unwrap();
    let mut names = BTreeSet::new();
    for quoted in parts.split('"').skip(1).step_by(2) {
        if quoted.chars().all(|c| c.is_ascii_lowercase() || c == '-') {
            names.insert(quoted.to_owned());
        }
    }
    assert_eq!(names, known(|source| source != CodeSource::DeadLetter));
    let docs = std::fs::read_to_string(root().join("docs/api.md")).unwrap();
    for code in all_codes().filter(|code| code.code != "http") {
        let CodeSource::Problem(status) = code.source else { continue };
        let row = docs.lines().find(|line| line.starts_with('|') && line.contains(&format!("`{}`", code.code)));
        let row = row.unwrap_or_else(|| panic!("docs/api.md lacks {}", code.code));
        assert!(row.contains(&status.to_string()), "{row}: {status}");
    }
}

#[test]
fn the_docs_have_every_code_of_a_dead_letter() {
    let docs = texts(&root().join("docs"), ".md").concat();
    for code in known(|source| source == CodeSource::DeadLetter) {
        assert!(docs.contains(&format!("`{code}`")), "no page of docs/ has {code}");
    }
}

#[test]
fn a_code_is_explained_in_all_its_forms_and_a_wrong_one_with_the_nearest() {
    let explain = |code: &str| {
        let output = assay().args(["explain", code]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, told) = explain("plugin-trap");
    assert_eq!(code, Some(0));
    assert!(told.starts_with("plugin-trap (dead letter)\n\n") && told.contains("\n\nWhat to do: "), "{told}");
    let (code, told) = explain("urn:assay:revision-mismatch");
    assert!(code == Some(0) && told.starts_with("revision-mismatch (HTTP 412)"), "{told}");
    let (code, told) = explain("plugin-tarp");
    assert!(code == Some(1) && told.contains("did you mean 'plugin-trap'?"), "{told}");
    for code in all_codes() {
        assert!(code.cause.ends_with('.') && code.advice.ends_with('.'), "{}", code.code);
    }
}
