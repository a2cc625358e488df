//! Reads and checks the files in a pack's cases/: events and the expected verdicts. `replay` runs them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::expect::Expectation;
use crate::pack;

/// How many events a case may have, because people read it.
const MAX_EVENTS: usize = 10_000;

/// The content of a case's file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseFile {
    /// The name in reports.
    pub(super) name: String,
    /// The purpose of the case.
    #[serde(default, rename = "doc")]
    _doc: String,
    /// May be left out in a pack with one stream.
    #[serde(default)]
    pub(super) stream: Option<String>,
    /// Fields of events that do not set them.
    #[serde(default)]
    defaults: Map<String, Value>,
    /// In the order of their arrival.
    events: Vec<Map<String, Value>>,
    /// The expected verdicts.
    pub(super) expect: Vec<Expectation>,
}

/// A case and its file.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) file: PathBuf,
    pub(super) content: CaseFile,
}

/// Reads all cases of a pack.
///
/// # Errors
/// The first file that is not a case, or the lack of cases.
pub(super) fn read_cases(dir: &Path) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    let mut names = BTreeSet::new();
    for file in pack::files(&dir.join("cases"))? {
        let content: CaseFile = pack::read_file(&file)?;
        let wrong = match () {
            () if content.name.trim().is_empty() => Some("a case has a name, for the report".to_owned()),
            () if !names.insert(content.name.clone()) => Some(format!("another case is called '{}' too", content.name)),
            () if content.expect.is_empty() => Some("'expect' is empty: a case that expects nothing".to_owned()),
            () if content.events.is_empty() || content.events.len() > MAX_EVENTS => {
                Some(format!("expected 1 to {MAX_EVENTS} events, found {}", content.events.len()))
            }
            () => None,
        };
        if let Some(message) = wrong {
            bail!("{}: {message}", file.display());
        }
        cases.push(Case { file, content });
    }
    if cases.is_empty() {
        bail!("{} has no cases: put them as YAML files into {}", dir.display(), dir.join("cases").display());
    }
    Ok(cases)
}

impl CaseFile {
    /// The events, merged with the defaults.
    pub(super) fn events(&self) -> Vec<Value> {
        let merged = |event: &Map<String, Value>| {
            let mut merged = self.defaults.clone();
            merged.extend(event.clone());
            Value::Object(merged)
        };
        self.events.iter().map(merged).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("cases")).unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join("cases").join(name), text).unwrap();
        }
        dir
    }

    const CASE: &str = "name: a\ndefaults: { country: DE, device: x }\nevents:\n  - { id: 1, device: null }\n  - { id: 2, country: AU }\nexpect: [{ event: 1, rule: r, score: none }]\n";

    #[test]
    fn an_event_has_the_defaults_that_it_does_not_replace() {
        let dir = folder(&[("a.yaml", CASE)]);
        let cases = read_cases(dir.path()).unwrap();
        let expected = serde_json::json!([
            {"country": "DE", "device": null, "id": 1},
            {"country": "AU", "device": "x", "id": 2},
        ]);
        assert_eq!(Value::Array(cases[0].content.events()), expected);
    }

    #[test]
    fn a_case_that_checks_nothing_is_a_mistake() {
        let (before, _) = CASE.split_once("expect").unwrap();
        for (text, message) in [
            (format!("{before}expect: []\n"), "'expect' is empty"),
            (CASE.replace("name: a", "name: ' '"), "a case has a name"),
            (CASE.replace("rule: r, score: none", "rule: r"), "expects nothing"),
            (CASE.replace("expect:", "expects:"), "unknown field"),
        ] {
            let dir = folder(&[("a.yaml", &text)]);
            let error = read_cases(dir.path()).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        assert!(read_cases(folder(&[]).path()).unwrap_err().to_string().contains("has no cases"));
    }

    #[test]
    fn names_are_unique() {
        let dir = folder(&[("a.yaml", CASE), ("b.yaml", CASE)]);
        let error = read_cases(dir.path()).unwrap_err().to_string();
        assert!(error.contains("b.yaml: another case is called 'a' too"), "{error}");
    }
}
