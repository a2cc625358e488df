//! How each rule is doing in this process: how much it judges, how long that takes, what it said last, how it fails.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use assay_core::names::Offset;
use assay_core::verdict::RuleStamp;

use crate::clock::now_ms;
use crate::ports::{Place, StreamPartition};

/// What "of late" means.
pub const WINDOW: Duration = Duration::from_secs(60);

/// What one rule did with a batch.
#[derive(Clone, Debug)]
pub struct RuleTurn {
    /// The rule.
    pub rule: Arc<RuleStamp>,
    /// Events that it was asked of.
    pub judged: usize,
    /// Events that it could not score.
    pub failed: usize,
    /// Those of them that its plugin failed on.
    pub of_plugin: usize,
    /// How long it took.
    pub elapsed: Duration,
    /// What it said last.
    pub last: Option<LastVerdict>,
    /// How it failed last.
    pub failure: Option<LastFailure>,
}

/// What a rule said last in a batch.
#[derive(Clone, Debug)]
pub struct LastVerdict {
    /// Of which event.
    pub offset: Offset,
    /// The score, if there was one.
    pub score: Option<f64>,
}

/// How a rule failed last in a batch.
#[derive(Clone, Debug)]
pub struct LastFailure {
    /// On which event.
    pub offset: Offset,
    /// What kind of failure.
    pub code: &'static str,
    /// What happened.
    pub message: String,
}

/// Counts of what a rule did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that it was asked of.
    pub judged: u64,
    /// Events that it could not score.
    pub failed: u64,
    /// Those of them that its plugin failed on.
    pub of_plugin: u64,
    /// How long that took.
    pub elapsed: Duration,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.judged += other.judged;
        self.failed += other.failed;
        self.of_plugin += other.of_plugin;
        self.elapsed += other.elapsed;
    }
}

/// How a rule is doing.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Since the process began.
    pub total: Counts,
    /// Of late: see [`WINDOW`].
    pub recent: Counts,
    /// What it said last: of which event, which score, and when, ms since 1970.
    pub last: Option<(Place, Option<f64>, i64)>,
    /// How it failed last: on which event, how, and when, ms since 1970.
    pub failure: Option<(Place, LastFailure, i64)>,
}

/// How all rules are doing.
#[derive(Default)]
pub(crate) struct Standings {
    by_rule: Mutex<HashMap<String, Record>>,
}

struct Record {
    /// Who did it: another revision, or another plugin, begins of late anew.
    by: Arc<RuleStamp>,
    total: Counts,
    /// A second each, the oldest first.
    seconds: VecDeque<(Instant, Counts)>,
    last: Option<(Place, Option<f64>, i64)>,
    failure: Option<(Place, LastFailure, i64)>,
}

impl Standings {
    /// Notes what the rules did with a batch.
    pub(crate) fn note(&self, of: &StreamPartition, turns: Vec<RuleTurn>) {
        let (at, now) = (now_ms(), Instant::now());
        let place = |offset: Offset| Place { partition: of.partition, offset };
        // Counts are added whole.
        let mut by_rule = self.by_rule.lock().unwrap_or_else(PoisonError::into_inner);
        for turn in turns.into_iter().filter(|turn| turn.judged > 0) {
            let record = match by_rule.get_mut(&turn.rule.rule) {
                Some(record) => record,
                None => by_rule.entry(turn.rule.rule.clone()).or_insert_with(|| Record::of(turn.rule.clone())),
            };
            record.begin_anew_for(&turn.rule);
            record.add(
                now,
                Counts {
                    judged: turn.judged as u64,
                    failed: turn.failed as u64,
                    of_plugin: turn.of_plugin as u64,
                    elapsed: turn.elapsed,
                },
            );
            record.last = turn.last.map(|last| (place(last.offset), last.score, at)).or(record.last.take());
            let failure = turn.failure.map(|failure| (place(failure.offset), failure, at));
            record.failure = failure.or(record.failure.take());
        }
    }

    /// How a rule is doing; none if it has judged nothing in this process.
    pub(crate) fn get(&self, rule: &str) -> Option<Standing> {
        let by_rule = self.by_rule.lock().unwrap_or_else(PoisonError::into_inner);
        by_rule.get(rule).map(|record| record.standing(Instant::now()))
    }

    /// What all rules did of late, and as who.
    pub(crate) fn recent(&self) -> Vec<(Arc<RuleStamp>, Counts)> {
        let now = Instant::now();
        let by_rule = self.by_rule.lock().unwrap_or_else(PoisonError::into_inner);
        by_rule.values().map(|record| (record.by.clone(), record.recent(now))).collect()
    }
}

impl Record {
    fn of(by: Arc<RuleStamp>) -> Self {
        Self { by, total: Counts::default(), seconds: VecDeque::new(), last: None, failure: None }
    }

    fn begin_anew_for(&mut self, by: &Arc<RuleStamp>) {
        if !Arc::ptr_eq(&self.by, by) {
            if (self.by.revision, &self.by.plugin) != (by.revision, &by.plugin) {
                self.seconds.clear();
            }
            self.by = by.clone();
        }
    }

    fn add(&mut self, now: Instant, counts: Counts) {
        self.total.add(counts);
        match self.seconds.back_mut() {
            Some((since, second)) if now - *since < Duration::from_secs(1) => second.add(counts),
            _ => self.seconds.push_back((now, counts)),
        }
        while self.seconds.front().is_some_and(|(since, _)| now - *since > WINDOW) {
            self.seconds.pop_front();
        }
    }

    fn recent(&self, now: Instant) -> Counts {
        let mut recent = Counts::default();
        let of_late = self.seconds.iter().filter(|(since, _)| now - *since <= WINDOW);
        of_late.for_each(|(_, second)| recent.add(*second));
        recent
    }

    fn standing(&self, now: Instant) -> Standing {
        let (last, failure) = (self.last, self.failure.clone());
        Standing { total: self.total, recent: self.recent(now), last, failure }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_a_while_ago_is_not_of_late() {
        let (begin, counts) = (Instant::now(), Counts { judged: 10, failed: 1, ..Counts::default() });
        let by = serde_json::json!({"rule": "r", "revision": 1, "mode": "active", "plugin": null, "tags": [],
            "reasons": [], "edges": [], "attributes": [], "inputs": []});
        let mut record = Record::of(Arc::new(serde_json::from_value(by).unwrap()));
        for second in 0..100 {
            record.add(begin + Duration::from_secs(second), counts);
        }
        let end = begin + Duration::from_secs(99);
        assert_eq!(record.total.judged, 1000);
        assert_eq!(record.recent(end).judged, 610, "61 seconds begin within the last 60");
        assert_eq!(record.recent(end + Duration::from_secs(61)), Counts::default());
        assert!(record.seconds.len() <= 61);
    }
}
