//! How each rule is doing in this process: how much it judges, how long that takes, what it said last, how it fails, and
//! which rules take more than their share.

mod overruns;
mod time_share;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use assay_core::failure_code::FailureCode;
use assay_core::names::Offset;
use assay_core::verdict::RuleStamp;

use crate::clock::now_ms;
use crate::ports::catalog::{Kind, Revision, Snapshot};
use crate::ports::{PartitionId, Place};
pub(crate) use overruns::{BudgetOverrun, OverrunKind};
use time_share::TimeShare;

/// What "of late" means.
pub const RECENT_WINDOW: Duration = Duration::from_secs(60);

/// What one rule did with a batch.
#[derive(Clone, Debug)]
pub struct RuleBatchStats {
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
    /// What its plugin took of that.
    pub time: PluginTime,
    /// What it said last.
    pub last: Option<LastVerdict>,
    /// How it failed last.
    pub failure: Option<LastFailure>,
}

/// How long calls of a plugin took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PluginTime {
    /// CPU time.
    pub cpu: Duration,
    /// Wall time: others of the worker wait for so long.
    pub elapsed: Duration,
    /// Wall time of those that ran out of time or memory.
    pub exhausted: Duration,
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
    /// The code of the failure.
    pub code: FailureCode,
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
pub struct RuleStats {
    /// Since the process began.
    pub total: Counts,
    /// Of late: see [`RECENT_WINDOW`].
    pub recent: Counts,
    /// What it said last: of which event, which score, and when, ms since 1970.
    pub last: Option<(Place, Option<f64>, i64)>,
    /// How it failed last: on which event, how, and when, ms since 1970.
    pub failure: Option<(Place, LastFailure, i64)>,
}

/// How all rules are doing.
#[derive(Default)]
pub(crate) struct AllRuleStats {
    by_rule: Mutex<HashMap<String, RuleRecord>>,
}

struct RuleRecord {
    /// Who did it: another revision, or another plugin, begins of late anew.
    by: Arc<RuleStamp>,
    total: Counts,
    /// A second each, the oldest first.
    seconds: VecDeque<(Instant, Counts)>,
    last: Option<(Place, Option<f64>, i64)>,
    failure: Option<(Place, LastFailure, i64)>,
    time_share: TimeShare,
}

impl AllRuleStats {
    /// Notes what the rules did with a batch, on the thread that did it. `age` is how long ago the oldest event of the
    /// batch was appended.
    pub(crate) fn note(&self, partition: &PartitionId, age: Duration, batch_stats: Vec<RuleBatchStats>) {
        let (at, now) = (now_ms(), Instant::now());
        let thread = std::thread::current().id();
        let place = |offset: Offset| Place { partition: partition.partition, offset };
        // Counts are added whole.
        let mut by_rule = self.by_rule.lock().unwrap_or_else(PoisonError::into_inner);
        for stats in batch_stats.into_iter().filter(|stats| stats.judged > 0) {
            let record = match by_rule.get_mut(&stats.rule.rule) {
                Some(record) => record,
                None => by_rule.entry(stats.rule.rule.clone()).or_insert_with(|| RuleRecord::of(stats.rule.clone())),
            };
            record.reset_unless_same(&stats.rule);
            record.time_share.add(now, thread, stats.judged as u64, stats.time, age);
            record.add(
                now,
                Counts {
                    judged: stats.judged as u64,
                    failed: stats.failed as u64,
                    of_plugin: stats.of_plugin as u64,
                    elapsed: stats.elapsed,
                },
            );
            record.last = stats.last.map(|last| (place(last.offset), last.score, at)).or(record.last.take());
            let failure = stats.failure.map(|failure| (place(failure.offset), failure, at));
            record.failure = failure.or(record.failure.take());
        }
    }

    /// Notes how long a rule's calls ran out of time in a batch that was given up.
    pub(crate) fn note_given_up(&self, rule: &Arc<RuleStamp>, exhausted: Duration) {
        let mut by_rule = self.by_rule.lock().unwrap_or_else(PoisonError::into_inner);
        let record = by_rule.entry(rule.rule.clone()).or_insert_with(|| RuleRecord::of(rule.clone()));
        record.reset_unless_same(rule);
        let time = PluginTime { cpu: exhausted, elapsed: exhausted, exhausted };
        record.time_share.add(Instant::now(), std::thread::current().id(), 0, time, Duration::ZERO);
    }

    /// Forgets rules that were deleted, also if rules of their names were made again: these begin from nothing.
    pub(crate) fn forget_deleted(&self, before: &Snapshot, now: &Snapshot) {
        let is_there = |rule: &Revision| {
            now.get(Kind::Rule, &rule.name).is_some_and(|now| now.created_at_version == rule.created_at_version)
        };
        let mut by_rule = self.by_rule.lock().unwrap_or_else(PoisonError::into_inner);
        before.of(Kind::Rule).filter(|rule| !is_there(rule)).for_each(|rule| drop(by_rule.remove(&rule.name)));
    }

    /// How a rule is doing; none if it has judged nothing in this process.
    pub(crate) fn get(&self, rule: &str) -> Option<RuleStats> {
        let by_rule = self.by_rule.lock().unwrap_or_else(PoisonError::into_inner);
        by_rule.get(rule).map(|record| record.rule_stats(Instant::now()))
    }

    /// What all rules did of late, and as who.
    pub(crate) fn recent(&self) -> Vec<(Arc<RuleStamp>, Counts)> {
        let now = Instant::now();
        let by_rule = self.by_rule.lock().unwrap_or_else(PoisonError::into_inner);
        by_rule.values().map(|record| (record.by.clone(), record.recent(now))).collect()
    }
}

impl RuleRecord {
    fn of(by: Arc<RuleStamp>) -> Self {
        let (total, seconds, time_share) = (Counts::default(), VecDeque::new(), TimeShare::default());
        Self { by, total, seconds, last: None, failure: None, time_share }
    }

    fn reset_unless_same(&mut self, by: &Arc<RuleStamp>) {
        if !Arc::ptr_eq(&self.by, by) {
            if (self.by.revision, &self.by.plugin) != (by.revision, &by.plugin) {
                self.seconds.clear();
                self.time_share = TimeShare::default();
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
        while self.seconds.front().is_some_and(|(since, _)| now - *since > RECENT_WINDOW) {
            self.seconds.pop_front();
        }
    }

    fn recent(&self, now: Instant) -> Counts {
        let mut recent = Counts::default();
        let of_late = self.seconds.iter().filter(|(since, _)| now - *since <= RECENT_WINDOW);
        of_late.for_each(|(_, second)| recent.add(*second));
        recent
    }

    fn rule_stats(&self, now: Instant) -> RuleStats {
        let (last, failure) = (self.last, self.failure.clone());
        RuleStats { total: self.total, recent: self.recent(now), last, failure }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(rule: &str) -> Arc<RuleStamp> {
        let by = serde_json::json!({"rule": rule, "revision": 1, "mode": "active", "plugin": null, "tags": [],
            "reasons": [], "edges": [], "attributes": [], "inputs": []});
        Arc::new(serde_json::from_value(by).unwrap())
    }

    #[test]
    fn what_happened_a_while_ago_is_not_of_late() {
        let (begin, counts) = (Instant::now(), Counts { judged: 10, failed: 1, ..Counts::default() });
        let mut record = RuleRecord::of(stamp("r"));
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
