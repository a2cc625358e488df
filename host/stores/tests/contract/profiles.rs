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

/// Newer verdicts replace older ones, rule by rule; older ones that come late change nothing.
pub(crate) fn newer_verdicts_win(profiles: &dyn Profiles) {
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

/// A rule that was deleted and made again goes on counting its revisions. Verdicts of the one before never take the
/// place of those of the one of now, of whichever event they are and however late they come; and they are not among the
/// highest scores.
pub(crate) fn what_an_older_revision_says_comes_too_late(profiles: &dyn Profiles) {
    let said = |key: &str, revision: u32, offset: u64, score: f64| {
        let mut said = profile(key, &[("r", offset, Some(score))]);
        said.rules.values_mut().for_each(|latest| latest.revision = revision);
        said
    };
    let written = [
        vec![said("a", 3, 5, 0.9), said("b", 3, 6, 0.8), said("c", 3, 7, 0.7)],
        vec![said("a", 5, 8, 0.1), said("b", 5, 9, 0.2)],
        // An owner that was replaced meanwhile says what the rule of before says of later events, or of the same.
        vec![said("a", 3, 8, 0.9), said("b", 3, 20, 0.8), said("d", 3, 21, 0.6)],
        vec![said("b", 5, 20, 0.3)],
    ];
    for (next, newer) in (1..).zip(written) {
        profiles.write(&payments(0), newer, Offset(next)).unwrap();
    }
    let expected = [("a", 5, 8, 0.1), ("b", 5, 20, 0.3), ("c", 3, 7, 0.7), ("d", 3, 21, 0.6)];
    for (key, revision, offset, score) in expected {
        assert_eq!(profiles.get(&payments(0), key).unwrap(), Some(said(key, revision, offset, score)), "{key}");
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

/// A follower that repeats what it wrote changes nothing.
pub(crate) fn repeated_writes_change_nothing(profiles: &dyn Profiles) {
    profiles.write(&payments(0), vec![profile("a", &[("r", 5, Some(0.5))])], Offset(10)).unwrap();
    profiles.write(&payments(0), vec![profile("a", &[("r", 5, Some(0.5))])], Offset(10)).unwrap();
    profiles.write(&payments(0), vec![profile("a", &[("r", 3, Some(0.3))])], Offset(4)).unwrap();
    profiles.write(&payments(0), vec![], Offset(12)).unwrap();
    assert_eq!(profiles.get(&payments(0), "a").unwrap(), Some(profile("a", &[("r", 5, Some(0.5))])));
    assert_eq!(profiles.position(&payments(0)).unwrap(), Offset(12));
}

/// The highest scores come in order, over all partitions, page by page.
pub(crate) fn the_highest_scores_are_listed(profiles: &dyn Profiles) {
    let mut expected = Vec::new();
    for partition in 0..3 {
        let mut written = Vec::new();
        for i in 0..50_u64 {
            let key = format!("k{partition}-{i}");
            // Many equal scores, negative ones, entities without a score, with NaN, and of other rules.
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
            let wanted: Vec<(f64, String)> =
                expected.iter().filter(|(score, _)| min.is_none_or(|min| *score >= min)).cloned().collect();
            assert_eq!(listed, wanted, "{limit} {min:?}");
        }
    }
    let other = HighestQuery { stream: "other".to_owned(), ..highest("r", 5) };
    assert!(profiles.highest(&other).unwrap().items.is_empty());
    assert!(profiles.highest(&highest("none", 5)).unwrap().items.is_empty());
    let garbage = HighestQuery { cursor: Some("garbage".to_owned()), ..highest("r", 5) };
    assert!(is_bad_cursor(profiles.highest(&garbage)));
}

/// What is to be there after the store was opened again.
pub(crate) fn profiles_written(profiles: &dyn Profiles) {
    let all = (0..100).map(|i| profile(&format!("k{i}"), &[("r", i, Some(i as f64))])).collect();
    profiles.write(&payments(3), all, Offset(77)).unwrap();
}

/// It is there, and the position with it.
pub(crate) fn profiles_kept(profiles: &dyn Profiles) {
    assert_eq!(profiles.position(&payments(3)).unwrap(), Offset(77));
    assert_eq!(profiles.get(&payments(3), "k42").unwrap(), Some(profile("k42", &[("r", 42, Some(42.0))])));
    assert_eq!(profiles.highest(&highest("r", 1)).unwrap().items[0].key, "k99");
}
