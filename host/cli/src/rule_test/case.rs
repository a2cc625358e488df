//! The files in a pack's cases/: events, and what the rules are expected to say of them. Read and checked here, played
//! by `story`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::expect::Expectation;
use crate::pack;

/// The most events of one case: a case is read by people.
const MAX_EVENTS: usize = 10_000;

/// A story, as its file tells it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseFile {
    /// Shown in reports.
    pub(super) name: String,
    /// Why the case is there.
    #[serde(default, rename = "doc")]
    _doc: String,
    /// May be left out in a pack with one stream.
    #[serde(default)]
    pub(super) stream: Option<String>,
    /// Fields of every event that does not say otherwise.
    #[serde(default)]
    defaults: Map<String, Value>,
    /// In the order of their arrival.
    events: Vec<Map<String, Value>>,
    /// What is checked.
    pub(super) expect: Vec<Expectation>,
}

/// A case and the file that it stands in.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) file: PathBuf,
    pub(super) told: CaseFile,
}

/// Reads all cases of a pack.
///
/// # Errors
/// The first file that is not a case, or that there is none.
pub(super) fn read(dir: &Path) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    let mut names = BTreeSet::new();
    for file in pack::files(&dir.join("cases"))? {
        let told: CaseFile = pack::read_file(&file)?;
        let wrong = match () {
            () if told.name.trim().is_empty() => Some("a case has a name, for the report".to_owned()),
            () if !names.insert(told.name.clone()) => Some(format!("another case is called '{}' too", told.name)),
            () if told.expect.is_empty() => Some("'expect' is empty: a case that expects nothing".to_owned()),
            () if told.events.is_empty() || told.events.len() > MAX_EVENTS => {
                Some(format!("expected 1 to {MAX_EVENTS} events, found {}", told.events.len()))
            }
            () => None,
        };
        if let Some(message) = wrong {
            bail!("{}: {message}", file.display());
        }
        cases.push(Case { file, told });
    }
    if cases.is_empty() {
        bail!("{} has no cases: put them as YAML files into {}", dir.display(), dir.join("cases").display());
    }
    Ok(cases)
}

impl CaseFile {
    /// The events with their defaults.
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
        let cases = read(dir.path()).unwrap();
        let expected = serde_json::json!([
            {"country": "DE", "device": null, "id": 1},
            {"country": "AU", "device": "x", "id": 2},
        ]);
        assert_eq!(Value::Array(cases[0].told.events()), expected);
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
            let error = read(dir.path()).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        assert!(read(folder(&[]).path()).unwrap_err().to_string().contains("has no cases"));
    }

    #[test]
    fn names_are_unique() {
        let dir = folder(&[("a.yaml", CASE), ("b.yaml", CASE)]);
        let error = read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("b.yaml: another case is called 'a' too"), "{error}");
    }
}
