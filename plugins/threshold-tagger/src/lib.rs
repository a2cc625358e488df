//! Tags an event by counters that reach thresholds: a plugin for levels instead of a model.
//!
//! A rule binds up to four values, `a` to `d`, to expressions: fields, views, scores of other rules. The config has the
//! thresholds from which each is `low`, `medium` or `high`. The meaning of a counter is defined by the rule, so the
//! plugin works for orders, logins and flights alike.

use assay_sdk::{Input, Reason, Tag, Verdict, plugin};
use schemars::JsonSchema;
use serde::Deserialize;

/// The thresholds of the counters. A counter without thresholds is passed over.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Thresholds of `a`.
    pub a: Option<Levels>,
    /// Thresholds of `b`.
    pub b: Option<Levels>,
    /// Thresholds of `c`.
    pub c: Option<Levels>,
    /// Thresholds of `d`.
    pub d: Option<Levels>,
}

/// The thresholds of a counter's levels, inclusive. A level without threshold is never reached.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Levels {
    /// From here on it is low.
    pub low: Option<f64>,
    /// From here on it is medium.
    pub medium: Option<f64>,
    /// From here on it is high.
    pub high: Option<f64>,
}

/// Up to four counters.
#[derive(Clone, Copy, Debug, Default, Input)]
pub struct Counters {
    /// A counter; what it counts is the rule's matter.
    pub a: Option<f64>,
    /// A counter.
    pub b: Option<f64>,
    /// A counter.
    pub c: Option<f64>,
    /// A counter.
    pub d: Option<f64>,
}

/// Tags each counter with the highest level that it reaches, and the event with the highest of all.
///
/// The score is the event's level: 0 (none), 1/3 (low), 2/3 (medium), 1 (high). A counter that reaches a level is a
/// reason with the counter's value as its weight.
#[plugin(
    tags = [
        "low", "medium", "high",
        "a-low", "a-medium", "a-high",
        "b-low", "b-medium", "b-high",
        "c-low", "c-medium", "c-high",
        "d-low", "d-medium", "d-high",
    ],
    reasons = ["a", "b", "c", "d"],
)]
pub fn score(config: &Config, counters: Counters) -> Verdict {
    const A: [Tag; 3] = [tags::A_LOW, tags::A_MEDIUM, tags::A_HIGH];
    const B: [Tag; 3] = [tags::B_LOW, tags::B_MEDIUM, tags::B_HIGH];
    const C: [Tag; 3] = [tags::C_LOW, tags::C_MEDIUM, tags::C_HIGH];
    const D: [Tag; 3] = [tags::D_LOW, tags::D_MEDIUM, tags::D_HIGH];
    let mut highest = None;
    let mut verdict = Verdict::none();
    for (levels, value, tags, reason) in [
        (config.a, counters.a, A, reasons::A),
        (config.b, counters.b, B, reasons::B),
        (config.c, counters.c, C, reasons::C),
        (config.d, counters.d, D, reasons::D),
    ] {
        let level = highest_level(levels, value);
        highest = highest.max(level);
        verdict = add_level(verdict, level, value, tags, reason);
    }
    match highest {
        None => verdict.with_score(0.0),
        Some(level) => {
            let overall = [tags::LOW, tags::MEDIUM, tags::HIGH][level];
            verdict.with_score((level + 1) as f64 / 3.0).tag(overall)
        }
    }
}

/// Adds the tag and the reason of one counter to a verdict.
fn add_level(verdict: Verdict, level: Option<usize>, value: Option<f64>, tags: [Tag; 3], reason: Reason) -> Verdict {
    match (level, value) {
        // A weight must be finite, but a counter may be infinite.
        (Some(level), Some(value)) => verdict.tag(tags[level]).reason(reason, value.clamp(f64::MIN, f64::MAX)),
        _ => verdict,
    }
}

/// The highest level that a counter reaches: 0 is low, 2 is high.
fn highest_level(levels: Option<Levels>, value: Option<f64>) -> Option<usize> {
    let (levels, value) = levels.zip(value)?;
    let reached = |threshold: &Option<f64>| threshold.is_some_and(|threshold| value >= threshold);
    [levels.low, levels.medium, levels.high].iter().rposition(reached)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use assay_sdk::testing::{Host, json};

    use super::*;

    fn host() -> Host<Plugin> {
        Host::new(json!({"a": {"low": 1, "medium": 5, "high": 10}, "b": {"high": 100}})).unwrap()
    }

    #[test]
    fn a_counter_has_the_highest_level_that_it_reaches() {
        let levels = [(1.0, "low"), (4.9, "low"), (5.0, "medium"), (10.0, "high"), (1e9, "high")];
        for (a, level) in levels {
            let scored = host().score("", json!({"a": a})).unwrap();
            assert_eq!(scored.tags, [level.to_owned(), format!("a-{level}")], "a = {a}");
        }
        assert!(host().score("", json!({"a": 0.9})).unwrap().tags.is_empty());
    }

    #[test]
    fn the_event_has_the_level_of_its_highest_counter() {
        let scored = host().score("", json!({"a": 2.0, "b": 100.0})).unwrap();
        assert_eq!(scored.tags, ["high", "a-low", "b-high"]);
        assert_eq!(scored.score, Some(1.0));
        assert_eq!(scored.reasons, [("a".to_owned(), 2.0), ("b".to_owned(), 100.0)]);
    }

    #[test]
    fn counters_without_thresholds_or_values_are_passed_over() {
        let scored = host().score("", json!({"c": 1e9, "b": 99.0})).unwrap();
        assert_eq!((scored.score, scored.tags), (Some(0.0), vec![]));
    }
}
