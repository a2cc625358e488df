//! The contract of the profiles port.

use std::collections::BTreeMap;

use assay_core::names::{Digest, Offset};
use assay_engine::ports::profiles::{HighestQuery, LatestVerdict, Profile, Profiles};

use super::{all_pages, is_bad_cursor, payments};

fn latest(offset: u64, score: Option<f64>) -> LatestVerdict {
    LatestVerdict {
        score,
        tags: vec!["review".to_owned(), "café".to_owned()],
        offset: Offset(offset),
        time: -5,
        event: format!("event-{offset}"),
        revision: 7,
        plugin: offset.is_multiple_of(2).then(|| Digest::of(b"plugin")),
    }
}

fn profile(key: &str, rules: &[(&str, u64, Option<f64>)]) -> Profile {
    let rules = rules.iter().map(|(rule, offset, score)| (rule.to_string(), latest(*offset, *score)));
    Profile { key: key.to_owned(), rules: rules.collect::<BTreeMap<_, _>>() }
}

fn highest(rule: &str, limit: usize) -> HighestQuery {
    HighestQuery { stream: "payments".to_owned(), rule: rule.to_owned(), limit, ..HighestQuery::default() }
}

/// A newer verdict replaces an older one of the same rule. An older verdict that is written later changes nothing.
pub fn newer_verdicts_win(profiles: &dyn Profiles) {
    assert_eq!(profiles.position(&payments(0)).unwrap(), Offset(0));
    assert_eq!(profiles.get(&payments(0), "a").unwrap(), None);
    let long = "é".repeat(50_000);
    profiles.write(&payments(0), vec![profile("a", &[("r", 5, Some(0.5)), ("s", 6, None)])], Offset(1)).unwrap();
    let second = vec![profile("a", &[("r", 4, Some(0.9)), ("t", 8, Some(0.1))]), profile(&long, &[("r", 9, None)])];
    profiles.write(&payments(0), second, Offset(2)).unwrap();
    let expected = profile("a", &[("r", 5, Some(0.5)), ("s", 6, None), ("t", 8, Some(0.1))]);
    assert_eq!(profiles.get(&payments(0), "a").unwrap(), Some(expected));
    assert_eq!(profiles.get(&payments(0), &long).unwrap(), Some(profile(&long, &[("r", 9, None)])));
    assert_eq!(profiles.get(&payments(1), "a").unwrap(), None);
    assert_eq!(profiles.position(&payments(0)).unwrap(), Offset(2));
}

/// A rule that was deleted and created again continues to count its revisions. Verdicts of an older revision never
/// replace those of a newer one, whichever event they belong to and however late they are written, and they are not among
/// the highest scores.
pub fn verdicts_of_older_revisions_are_ignored(profiles: &dyn Profiles) {
    let scored = |key: &str, revision: u32, offset: u64, score: f64| {
        let mut profile = profile(key, &[("r", offset, Some(score))]);
        profile.rules.values_mut().for_each(|latest| latest.revision = revision);
        profile
    };
    let written = [
        vec![scored("a", 3, 5, 0.9), scored("b", 3, 6, 0.8), scored("c", 3, 7, 0.7)],
        vec![scored("a", 5, 8, 0.1), scored("b", 5, 9, 0.2)],
        // A fenced-off owner writes verdicts of the older revision on the same or on later events.
        vec![scored("a", 3, 8, 0.9), scored("b", 3, 20, 0.8), scored("d", 3, 21, 0.6)],
        vec![scored("b", 5, 20, 0.3)],
    ];
    for (next, newer) in (1..).zip(written) {
        profiles.write(&payments(0), newer, Offset(next)).unwrap();
    }
    let expected = [("a", 5, 8, 0.1), ("b", 5, 20, 0.3), ("c", 3, 7, 0.7), ("d", 3, 21, 0.6)];
    for (key, revision, offset, score) in expected {
        assert_eq!(profiles.get(&payments(0), key).unwrap(), Some(scored(key, revision, offset, score)), "{key}");
    }
    let listed = |since: u32| -> Vec<String> {
        let query = HighestQuery { since, ..highest("r", 1) };
        let pages = all_pages(1, |cursor| profiles.highest(&HighestQuery { cursor, ..query.clone() }));
        pages.into_iter().map(|ranked| ranked.key).collect()
    };
    assert_eq!(listed(0), ["c", "d", "b", "a"]);
    assert_eq!(listed(4), ["b", "a"]);
    assert_eq!(listed(6), [""; 0]);
}

/// Repeated and outdated writes change nothing.
pub fn repeated_writes_change_nothing(profiles: &dyn Profiles) {
    profiles.write(&payments(0), vec![profile("a", &[("r", 5, Some(0.5))])], Offset(10)).unwrap();
    profiles.write(&payments(0), vec![profile("a", &[("r", 5, Some(0.5))])], Offset(10)).unwrap();
    profiles.write(&payments(0), vec![profile("a", &[("r", 3, Some(0.3))])], Offset(4)).unwrap();
    profiles.write(&payments(0), vec![], Offset(12)).unwrap();
    assert_eq!(profiles.get(&payments(0), "a").unwrap(), Some(profile("a", &[("r", 5, Some(0.5))])));
    assert_eq!(profiles.position(&payments(0)).unwrap(), Offset(12));
}

/// Profiles are added at the stored position: parts of a block are written before the position moves.
pub fn profiles_are_added_at_the_same_position(profiles: &dyn Profiles) {
    for (key, next) in [("a", 10), ("b", 10), ("c", 9)] {
        profiles.write(&payments(0), vec![profile(key, &[("r", 5, Some(0.5))])], Offset(next)).unwrap();
    }
    let found = ["a", "b", "c"].map(|key| profiles.get(&payments(0), key).unwrap().is_some());
    assert_eq!(found, [true, true, false]);
    assert_eq!(profiles.position(&payments(0)).unwrap(), Offset(10));
}

/// The highest scores of a rule over all partitions are listed in order, page by page.
pub fn the_highest_scores_are_listed(profiles: &dyn Profiles) {
    let mut expected = Vec::new();
    for partition in 0..3 {
        let mut written = Vec::new();
        for i in 0..50_u64 {
            let key = format!("k{partition}-{i}");
            // Equal and negative scores, entities without a score, with NaN, and with scores of another rule only.
            match i % 6 {
                0 => written.push(profile(&key, &[("r", i, None)])),
                1 => written.push(profile(&key, &[("other", i, Some(99.0))])),
                2 => written.push(profile(&key, &[("r", i, Some(f64::NAN))])),
                _ => {
                    let score = (i % 5) as f64 - 2.0;
                    written.push(profile(&key, &[("q", i, Some(50.0)), ("r", i, Some(score))]));
                    expected.push((score, key));
                }
            }
        }
        profiles.write(&payments(partition), written, Offset(1)).unwrap();
    }
    let long = "z".repeat(2_000);
    profiles.write(&payments(0), vec![profile(&long, &[("r", 1, Some(-9.0))])], Offset(2)).unwrap();
    expected.push((-9.0, long));
    expected.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    for limit in [1, 7, 76, 1000] {
        for min in [None, Some(0.0), Some(2.5)] {
            let listed =
                all_pages(limit, |cursor| profiles.highest(&HighestQuery { min, cursor, ..highest("r", limit) }));
            let listed: Vec<(f64, String)> =
                listed.into_iter().map(|ranked| (ranked.latest.score.unwrap(), ranked.key)).collect();
            let matching: Vec<(f64, String)> =
                expected.iter().filter(|(score, _)| min.is_none_or(|min| *score >= min)).cloned().collect();
            assert_eq!(listed, matching, "{limit} {min:?}");
        }
    }
    let other = HighestQuery { stream: "other".to_owned(), ..highest("r", 5) };
    assert!(profiles.highest(&other).unwrap().items.is_empty());
    assert!(profiles.highest(&highest("none", 5)).unwrap().items.is_empty());
    let garbage = HighestQuery { cursor: Some("garbage".to_owned()), ..highest("r", 5) };
    assert!(is_bad_cursor(profiles.highest(&garbage)));
}

/// Writes profiles that [`profiles_survive_reopen`] expects.
pub fn write_profiles_before_reopen(profiles: &dyn Profiles) {
    let all = (0..100).map(|i| profile(&format!("k{i}"), &[("r", i, Some(i as f64))])).collect();
    profiles.write(&payments(3), all, Offset(77)).unwrap();
}

/// After a reopen the profiles, the ranking and the position are there.
pub fn profiles_survive_reopen(profiles: &dyn Profiles) {
    assert_eq!(profiles.position(&payments(3)).unwrap(), Offset(77));
    assert_eq!(profiles.get(&payments(3), "k42").unwrap(), Some(profile("k42", &[("r", 42, Some(42.0))])));
    assert_eq!(profiles.highest(&highest("r", 1)).unwrap().items[0].key, "k99");
}
