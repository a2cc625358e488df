//! The expectations of a case. Pure: `compare` compares them with verdicts.

use serde::Deserialize;
use serde_json::Value;

/// The tolerance of `score: NUMBER`.
const EXACT_TOLERANCE: f64 = 0.000_001;
/// The default of `within`.
const DEFAULT_WITHIN: f64 = 0.001;

/// The expected verdict of one rule on one event. Parts that are left out are not checked.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Entry")]
pub(super) struct Expectation {
    /// The event: its id, or its place from 1 in a stream without ids.
    pub(super) event: Value,
    /// The rule.
    pub(super) rule: String,
    pub(super) verdict: Expected,
}

/// Whether a verdict is expected, and its content.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expected {
    /// No verdict, because the rule's `when` is not true for the event.
    Skipped,
    /// No verdict, because the rule could not score the event.
    Failed,
    /// A verdict.
    Verdict {
        score: Option<ScoreRange>,
        /// Exactly these tags, in any order.
        tags: Option<Vec<String>>,
        /// These tags among others.
        with: Vec<String>,
        /// None of these tags.
        without: Vec<String>,
    },
}

/// The scores that pass.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub(super) enum ScoreRange {
    /// No score at all.
    None,
    /// A score between these, including the ends.
    Between(f64, f64),
}

/// An entry in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    event: Value,
    rule: String,
    score: Option<ScoreRange>,
    tags: Option<Vec<String>>,
    with: Option<Vec<String>>,
    without: Option<Vec<String>>,
    #[serde(default)]
    skipped: bool,
    #[serde(default)]
    failed: bool,
}

impl TryFrom<Entry> for Expectation {
    type Error = String;

    fn try_from(entry: Entry) -> Result<Self, String> {
        if !(entry.event.is_string() || entry.event.is_i64()) {
            return Err(format!("'event' is an event's id, or its place from 1; found {}", entry.event));
        }
        let speaks = entry.score.is_some() || entry.tags.is_some() || entry.with.is_some() || entry.without.is_some();
        let verdict = match (entry.skipped, entry.failed, speaks) {
            (true, false, false) => Expected::Skipped,
            (false, true, false) => Expected::Failed,
            (false, false, true) => Expected::Verdict {
                score: entry.score,
                tags: entry.tags,
                with: entry.with.unwrap_or_default(),
                without: entry.without.unwrap_or_default(),
            },
            (false, false, false) => {
                let advice = "say what: score, tags, with, without, skipped or failed";
                return Err(format!(
                    "the entry for event {}, rule {} expects nothing; {advice}",
                    entry.event, entry.rule
                ));
            }
            _ => return Err("'skipped' and 'failed' stand alone: there is no verdict that could be checked".to_owned()),
        };
        Ok(Self { event: entry.event, rule: entry.rule, verdict })
    }
}

/// A range in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    min: Option<f64>,
    max: Option<f64>,
    about: Option<f64>,
    within: Option<f64>,
}

impl TryFrom<Value> for ScoreRange {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let found = value.to_string();
        let wrong = |why: &str| {
            format!("score: expected a number, none, {{ min, max }} or {{ about, within }}, found {found}{why}")
        };
        if value == "none" {
            return Ok(Self::None);
        }
        if let Some(score) = value.as_f64() {
            return Ok(Self::Between(score - EXACT_TOLERANCE, score + EXACT_TOLERANCE));
        }
        if !value.is_object() {
            return Err(wrong(""));
        }
        let range: Range = serde_json::from_value(value).map_err(|error| wrong(&format!(" ({error})")))?;
        match range {
            Range { min: None, max: None, about: Some(about), within } => {
                let within = within.unwrap_or(DEFAULT_WITHIN);
                if within < 0.0 {
                    Err(wrong(" (within is below 0)"))
                } else {
                    Ok(Self::Between(about - within, about + within))
                }
            }
            Range { min, max, about: None, within: None } if min.is_some() || max.is_some() => {
                let (min, max) = (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY));
                if min > max { Err(wrong(" (min is above max)")) } else { Ok(Self::Between(min, max)) }
            }
            _ => Err(wrong("")),
        }
    }
}

impl ScoreRange {
    /// Whether a score passes.
    pub(super) fn contains(self, score: Option<f64>) -> bool {
        match (self, score) {
            (Self::None, None) => true,
            (Self::Between(min, max), Some(score)) => (min..=max).contains(&score),
            _ => false,
        }
    }
}

impl std::fmt::Display for ScoreRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::None => f.write_str("none"),
            Self::Between(min, max) if min == f64::NEG_INFINITY => write!(f, "at most {max}"),
            Self::Between(min, max) if max == f64::INFINITY => write!(f, "at least {min}"),
            // Rounded: the ends of `about` are sums.
            Self::Between(min, max) if max - min <= 2.1 * EXACT_TOLERANCE => {
                write!(f, "{}", rounded((min + max) / 2.0))
            }
            Self::Between(min, max) => write!(f, "{} to {}", rounded(min), rounded(max)),
        }
    }
}

fn rounded(score: f64) -> f64 {
    (score * 1e9).round() / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Result<ScoreRange, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn scores_pass_as_documented() {
        for (text, shown, passing, failing) in [
            ("0.25", "0.25", vec![Some(0.25), Some(0.250_000_9)], vec![Some(0.250_002), None]),
            ("1", "1", vec![Some(1.0)], vec![Some(0.0)]),
            ("{ min: 0.9 }", "at least 0.9", vec![Some(0.9), Some(7.0)], vec![Some(0.899), None]),
            ("{ max: 0.1 }", "at most 0.1", vec![Some(0.1), Some(-1.0)], vec![Some(0.11), None]),
            ("{ min: 0.4, max: 0.6 }", "0.4 to 0.6", vec![Some(0.4), Some(0.6)], vec![Some(0.39), Some(0.61)]),
            ("{ about: 0.93, within: 0.01 }", "0.92 to 0.94", vec![Some(0.935)], vec![Some(0.95)]),
            ("{ about: 0.93 }", "0.929 to 0.931", vec![Some(0.9305)], vec![Some(0.932)]),
            ("none", "none", vec![None], vec![Some(0.0)]),
        ] {
            let range = range(text).unwrap();
            assert_eq!(range.to_string(), shown);
            assert!(passing.iter().all(|score| range.contains(*score)), "{text}");
            assert!(!failing.iter().any(|score| range.contains(*score)), "{text}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "high",
            "[1.0]",
            "{}",
            "{ min: 1.0, max: 0.0 }",
            "{ about: 1.0, min: 0.0 }",
            "{ within: 0.1 }",
            "{ least: 1.0 }",
        ] {
            let error = range(text).unwrap_err();
            assert!(error.contains("expected a number, none"), "{error}");
        }
    }

    #[test]
    fn an_entry_expects_something_and_nothing_that_contradicts_itself() {
        let read = |text: &str| {
            let read: Result<Expectation, _> = serde_saphyr::from_str(text);
            read.map(|entry| entry.verdict).map_err(|error| error.to_string())
        };
        assert_eq!(read("{ event: a, rule: r, skipped: true }").unwrap(), Expected::Skipped);
        assert_eq!(read("{ event: 1, rule: r, failed: true }").unwrap(), Expected::Failed);
        let empty = Expected::Verdict { score: None, tags: Some(Vec::new()), with: Vec::new(), without: Vec::new() };
        assert_eq!(read("{ event: a, rule: r, tags: [] }").unwrap(), empty);
        assert!(read("{ event: a, rule: r }").unwrap_err().contains("expects nothing"));
        assert!(read("{ event: a, rule: r, skipped: false }").unwrap_err().contains("expects nothing"));
        assert!(read("{ event: a, rule: r, skipped: true, tags: [] }").unwrap_err().contains("stand alone"));
        assert!(read("{ event: a, rule: r, skipped: true, failed: true }").unwrap_err().contains("stand alone"));
        assert!(read("{ event: [a], rule: r, tags: [] }").unwrap_err().contains("'event' is an event's id"));
        assert!(read("{ event: a, rule: r, tag: [] }").unwrap_err().contains("tag"));
    }
}
