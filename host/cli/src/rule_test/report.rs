//! The report of a run, as text and as JSON.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use super::compare::Mismatch;

/// The results of all cases of a pack.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) cases: Vec<CaseReport>,
}

/// The result of one case.
#[derive(Debug, Serialize)]
pub(super) struct CaseReport {
    pub(super) name: String,
    pub(super) file: PathBuf,
    pub(super) passed: bool,
    /// Why the case could not be run to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    pub(super) mismatches: Vec<Mismatch>,
}

impl Report {
    pub(super) fn push(&mut self, case: CaseReport) {
        *(if case.passed { &mut self.passed } else { &mut self.failed }) += 1;
        self.cases.push(case);
    }

    /// A line per case, the differences of failed cases, and the sum on the last line.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for case in &self.cases {
            case.write(&mut text);
        }
        let blank = if self.failed > 0 { "\n" } else { "" };
        let _ = writeln!(text, "{blank}{} passed, {} failed", self.passed, self.failed);
        text
    }
}

impl CaseReport {
    fn write(&self, text: &mut String) {
        // Writing to a String cannot fail.
        if self.passed {
            let _ = writeln!(text, "ok    {}", self.name);
            return;
        }
        let _ = writeln!(text, "FAIL  {}  ({})", self.name, self.file.display());
        if let Some(error) = &self.error {
            let _ = writeln!(text, "      {error}");
        }
        if !self.mismatches.is_empty() {
            let _ = writeln!(text, "      - expected  + found");
        }
        for mismatch in &self.mismatches {
            mismatch.write(text);
        }
    }
}

impl Mismatch {
    fn write(&self, text: &mut String) {
        let event = self.event.as_str().map_or_else(|| self.event.to_string(), str::to_owned);
        let _ = writeln!(text, "      event {event}, rule {}", self.rule);
        let expected: Vec<&str> = self.expected.iter().map(String::as_str).collect();
        let actual: Vec<&str> = self.actual.iter().map(String::as_str).collect();
        let diff = TextDiff::from_slices(&expected, &actual);
        for change in diff.iter_all_changes() {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            let _ = writeln!(text, "        {sign} {}", change.value());
        }
        for line in &self.because {
            let _ = writeln!(text, "          {line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report() -> Report {
        let mismatch = Mismatch {
            event: json!("away"),
            rule: "geo".into(),
            expected: vec!["score: at least 0.99".into(), "tag: far".into()],
            actual: vec!["score: 0.42".into(), "tag: far".into()],
            because: vec!["its inputs: km = 12.5".into()],
        };
        let case = |name: &str, error: Option<&str>, mismatches: Vec<Mismatch>| CaseReport {
            name: name.into(),
            file: "cases/a.yaml".into(),
            passed: error.is_none() && mismatches.is_empty(),
            error: error.map(str::to_owned),
            mismatches,
        };
        let mut report = Report::default();
        report.push(case("at home", None, Vec::new()));
        report.push(case("away", None, vec![mismatch]));
        report.push(case("broken", Some("event 1: no"), Vec::new()));
        report
    }

    #[test]
    fn differences_are_shown_beside_met_lines() {
        let expected = "\
ok    at home
FAIL  away  (cases/a.yaml)
      - expected  + found
      event away, rule geo
        - score: at least 0.99
        + score: 0.42
          tag: far
          its inputs: km = 12.5
FAIL  broken  (cases/a.yaml)
      event 1: no

1 passed, 2 failed
";
        assert_eq!(report().text(), expected);
    }

    #[test]
    fn programs_get_the_same() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!((&json["passed"], &json["failed"]), (&json!(1), &json!(2)));
        assert_eq!(json["cases"][1]["mismatches"][0]["actual"][0], "score: 0.42");
        assert_eq!(json["cases"][2]["error"], "event 1: no");
    }
}
