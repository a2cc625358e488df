//! Compares a rule's verdict on an event with the expectation, as lines for a diff. Pure.

use std::collections::BTreeSet;

use assay_core::verdict::{Outcome, Verdict};

use super::expect::{Expectation, Expected};

/// An expectation that was not met. Equal lines in `expected` and `actual` were met.
#[derive(Debug, PartialEq, serde::Serialize)]
pub(super) struct Mismatch {
    /// The event, as the case names it.
    pub(super) event: serde_json::Value,
    /// The rule.
    pub(super) rule: String,
    /// The expectation as lines.
    pub(super) expected: Vec<String>,
    /// The verdict as lines.
    pub(super) actual: Vec<String>,
    /// The inputs and the reasons of the verdict.
    pub(super) because: Vec<String>,
}

/// The difference between a rule's verdict and the expectation; none if it is met.
pub(super) fn compare(expectation: &Expectation, outcome: &Outcome) -> Option<Mismatch> {
    let rule = &expectation.rule;
    let verdict = outcome.verdicts.iter().find(|verdict| verdict.by.rule == *rule);
    // A failure without a rule means that no rule could see the event.
    let mut failures = outcome.failures.iter();
    let failure = failures.find(|failure| failure.by.as_ref().is_none_or(|by| by.rule == *rule));
    let (expected, actual) = match (&expectation.verdict, verdict, failure) {
        (Expected::Skipped, None, None) | (Expected::Failed, _, Some(_)) => return None,
        (Expected::Verdict { .. }, Some(verdict), _) => {
            let (expected, actual) = lines_to_compare(&expectation.verdict, verdict);
            if expected == actual {
                return None;
            }
            (expected, actual)
        }
        (expected, _, _) => {
            let actual = match (verdict, failure) {
                (_, Some(failure)) => vec![format!("failed: {}: {}", failure.code, failure.message)],
                (Some(verdict), None) => verdict_lines(verdict),
                (None, None) => vec!["skipped: the rule's 'when' is not true of the event, or it is paused".to_owned()],
            };
            (expected_lines(expected), actual)
        }
    };
    let because = verdict.map(explanation_lines).unwrap_or_default();
    Some(Mismatch { event: expectation.event.clone(), rule: rule.clone(), expected, actual, because })
}

/// The expectation as lines, without a verdict to compare.
fn expected_lines(expected: &Expected) -> Vec<String> {
    match expected {
        Expected::Skipped => vec!["skipped".to_owned()],
        Expected::Failed => vec!["failed".to_owned()],
        Expected::Verdict { score, tags, with, without } => {
            let mut lines: Vec<String> = score.iter().map(|range| format!("score: {range}")).collect();
            lines.extend(tags.as_ref().filter(|tags| tags.is_empty()).map(|_| "tags: none".to_owned()));
            lines.extend(tags.iter().flatten().chain(with).map(|tag| format!("tag: {tag}")));
            lines.extend(without.iter().map(|tag| format!("without tag: {tag}")));
            lines
        }
    }
}

/// Expected and actual lines. A met part of the expectation is the same line in both.
fn lines_to_compare(expected: &Expected, verdict: &Verdict) -> (Vec<String>, Vec<String>) {
    let actual = verdict_lines(verdict);
    let Expected::Verdict { score, tags, with, without } = expected else { return (expected_lines(expected), actual) };
    let mut lines = Vec::new();
    lines.push(match score {
        Some(range) if !range.contains(verdict.score) => format!("score: {range}"),
        _ => score_line(verdict),
    });
    let mut wanted: BTreeSet<&String> = match tags {
        Some(tags) => tags.iter().collect(),
        None => verdict.tags.iter().collect(),
    };
    wanted.extend(with);
    wanted.retain(|tag| !without.contains(tag));
    lines.extend(wanted.into_iter().map(|tag| format!("tag: {tag}")));
    (lines, actual)
}

fn score_line(verdict: &Verdict) -> String {
    verdict.score.map_or_else(|| "score: none".to_owned(), |score| format!("score: {score}"))
}

fn verdict_lines(verdict: &Verdict) -> Vec<String> {
    let tags: BTreeSet<&String> = verdict.tags.iter().collect();
    std::iter::once(score_line(verdict)).chain(tags.into_iter().map(|tag| format!("tag: {tag}"))).collect()
}

fn explanation_lines(verdict: &Verdict) -> Vec<String> {
    let inputs = verdict.inputs.iter().map(|(name, value)| format!("{name} = {}", value.to_json()));
    let reasons = verdict.reasons.iter().map(|reason| format!("{} ({})", reason.code, reason.weight));
    let (inputs, reasons) = (inputs.collect::<Vec<_>>().join(", "), reasons.collect::<Vec<_>>().join(", "));
    let mut lines = Vec::new();
    if !inputs.is_empty() {
        lines.push(format!("its inputs: {inputs}"));
    }
    if !reasons.is_empty() {
        lines.push(format!("its reasons: {reasons}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use assay_core::names::Offset;
    use assay_core::rule::Mode;
    use assay_core::value::Value;
    use assay_core::verdict::{Failure, Reason, RuleStamp};

    use super::*;

    fn stamp(rule: &str) -> Arc<RuleStamp> {
        Arc::new(RuleStamp {
            rule: rule.to_owned(),
            revision: 1,
            mode: Mode::Active,
            plugin: None,
            tags: Vec::new(),
            reasons: Vec::new(),
            edges: Vec::new(),
            attributes: Vec::new(),
            inputs: Vec::new(),
        })
    }

    /// `r` says 0.5 and two tags, `broken` failed, others skipped the event.
    fn outcome() -> Outcome {
        let verdict = Verdict {
            by: stamp("r"),
            score: Some(0.5),
            tags: vec!["late".into(), "big".into()],
            reasons: vec![Reason { code: "sum".into(), weight: 1.5 }],
            edges: Vec::new(),
            attributes: Vec::new(),
            inputs: vec![("amount".into(), Value::Double(9.5))],
        };
        let failure = Failure { by: Some(stamp("broken")), code: "plugin-trap".into(), message: "unreachable".into() };
        Outcome {
            offset: Offset(0),
            time: 0,
            key: "k".into(),
            id: "a".into(),
            verdicts: vec![verdict],
            failures: vec![failure],
        }
    }

    fn check(expectation: &str) -> Option<Mismatch> {
        compare(&serde_saphyr::from_str(&format!("{{ event: a, {expectation} }}")).unwrap(), &outcome())
    }

    #[test]
    fn what_is_as_expected_passes() {
        for met in [
            "rule: r, score: 0.5, tags: [big, late]",
            "rule: r, score: { min: 0.5, max: 0.5 }",
            "rule: r, with: [late]",
            "rule: r, without: [small]",
            "rule: r, with: [big], without: [small]",
            "rule: broken, failed: true",
            "rule: other, skipped: true",
        ] {
            assert_eq!(check(met), None, "{met}");
        }
    }

    #[test]
    fn what_differs_is_shown_beside_what_is_met() {
        let cases: [(&str, &[&str], &[&str]); 7] = [
            (
                "rule: r, score: { min: 0.9 }",
                &["score: at least 0.9", "tag: big", "tag: late"],
                &["score: 0.5", "tag: big", "tag: late"],
            ),
            ("rule: r, tags: [big]", &["score: 0.5", "tag: big"], &["score: 0.5", "tag: big", "tag: late"]),
            ("rule: r, tags: []", &["score: 0.5"], &["score: 0.5", "tag: big", "tag: late"]),
            (
                "rule: r, with: [small]",
                &["score: 0.5", "tag: big", "tag: late", "tag: small"],
                &["score: 0.5", "tag: big", "tag: late"],
            ),
            ("rule: r, without: [late]", &["score: 0.5", "tag: big"], &["score: 0.5", "tag: big", "tag: late"]),
            ("rule: r, skipped: true", &["skipped"], &["score: 0.5", "tag: big", "tag: late"]),
            ("rule: broken, tags: []", &["tags: none"], &["failed: plugin-trap: unreachable"]),
        ];
        for (expectation, expected, actual) in cases {
            let mismatch = check(expectation).unwrap();
            assert_eq!(mismatch.expected, expected, "{expectation}");
            assert_eq!(mismatch.actual, actual, "{expectation}");
        }
    }

    #[test]
    fn a_rule_that_skips_or_fails_is_not_the_same() {
        assert!(check("rule: other, failed: true").is_some());
        assert!(check("rule: broken, skipped: true").is_some());
        assert!(check("rule: other, score: none").is_some());
        assert!(check("rule: r, failed: true").is_some());
    }

    #[test]
    fn the_inputs_of_the_rule_are_shown() {
        let mismatch = check("rule: r, score: none").unwrap();
        assert_eq!(mismatch.because, ["its inputs: amount = 9.5", "its reasons: sum (1.5)"]);
    }
}
