//! Rules that take more than their share of a worker's time.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use assay_core::verdict::RuleStamp;

use super::{AllRuleStats, time_share};

/// A rule that takes more than its share.
pub(crate) struct BudgetOverrun {
    pub(crate) by: Arc<RuleStamp>,
    pub(crate) how: OverrunKind,
}

/// How a rule takes more than its share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum OverrunKind {
    /// Calls that ran out of time or memory took so much of a worker's time over the last second.
    Exhausted {
        /// From 0 to 1.
        share: f64,
    },
    /// It takes longer for an event than it may, and its stream waits for it.
    Slow {
        /// The mean over the last ten seconds.
        per_event: Duration,
        /// All events of the last ten seconds had waited at least so long.
        behind: Duration,
    },
}

/// What calls that ran out of time or memory took of one thread.
#[derive(Default)]
struct ThreadTime<'r> {
    total: Duration,
    /// The rule with the largest part, and that part.
    most: Option<(&'r Arc<RuleStamp>, Duration)>,
}

impl AllRuleStats {
    /// Where calls of the running rules that ran out of time or memory together took at least `share` of a worker's time
    /// over the last second, the rule that took the most of it.
    pub(crate) fn rules_exhausting_limits(
        &self,
        share: f64,
        is_running: impl Fn(&RuleStamp) -> bool,
    ) -> Vec<BudgetOverrun> {
        let now = Instant::now();
        let by_rule = self.by_rule.lock().unwrap_or_else(PoisonError::into_inner);
        let mut by_thread: HashMap<ThreadId, ThreadTime<'_>> = HashMap::new();
        for record in by_rule.values().filter(|record| is_running(&record.by)) {
            for (thread, time) in record.time_share.exhausted(now) {
                let of_thread = by_thread.entry(thread).or_default();
                of_thread.total += time;
                if of_thread.most.is_none_or(|(_, most)| time > most) {
                    of_thread.most = Some((&record.by, time));
                }
            }
        }
        let is_too_much = |total: Duration| total.as_secs_f64() >= share * time_share::SHORT_WINDOW.as_secs_f64();
        let found = by_thread.into_values().filter(|of_thread| is_too_much(of_thread.total));
        let found = found.filter_map(|of_thread| of_thread.most).map(|(by, time)| {
            let share = (time.as_secs_f64() / time_share::SHORT_WINDOW.as_secs_f64()).min(1.0);
            BudgetOverrun { by: by.clone(), how: OverrunKind::Exhausted { share } }
        });
        found.collect()
    }

    /// Rules that took at least `share` of a worker's time over the last ten seconds while all their events waited for
    /// at least as long, with the mean time per event.
    pub(crate) fn rules_holding_up(&self, share: f64) -> Vec<BudgetOverrun> {
        let now = Instant::now();
        let by_rule = self.by_rule.lock().unwrap_or_else(PoisonError::into_inner);
        let long = time_share::LONG_WINDOW;
        let found = by_rule.values().flat_map(|record| {
            let times = record.time_share.long_times(now).filter(move |time| {
                time.judged > 0 && time.min_age >= long && time.elapsed.as_secs_f64() >= share * long.as_secs_f64()
            });
            times.map(|time| {
                let per_event = time.cpu.div_f64(time.judged as f64);
                let how = OverrunKind::Slow { per_event, behind: time.min_age };
                BudgetOverrun { by: record.by.clone(), how }
            })
        });
        found.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{PluginTime, RuleBatchStats};
    use super::*;
    use crate::ports::PartitionId;

    fn stamp(rule: &str) -> Arc<RuleStamp> {
        let by = serde_json::json!({"rule": rule, "revision": 1, "mode": "active", "plugin": null, "tags": [],
            "reasons": [], "edges": [], "attributes": [], "inputs": []});
        Arc::new(serde_json::from_value(by).unwrap())
    }

    fn partition() -> PartitionId {
        PartitionId { stream: "payments".into(), partition: assay_core::names::PartitionIndex(0) }
    }

    fn turn(rule: &Arc<RuleStamp>, ms: u64, exhausted_ms: u64) -> RuleBatchStats {
        let (elapsed, exhausted) = (Duration::from_millis(ms), Duration::from_millis(exhausted_ms));
        let time = PluginTime { cpu: elapsed, elapsed, exhausted };
        let (rule, elapsed) = (rule.clone(), time.cpu);
        RuleBatchStats { rule, judged: 1, failed: 0, of_plugin: 0, elapsed, time, last: None, failure: None }
    }

    #[test]
    fn the_rule_whose_endless_calls_take_the_most_is_named_alone() {
        let (rule_stats, [loops, traps, fine]) = (AllRuleStats::default(), ["loops", "traps", "fine"].map(stamp));
        let named = |is_running: fn(&RuleStamp) -> bool| {
            let named = rule_stats.rules_exhausting_limits(0.5, is_running).into_iter();
            named.map(|found| (found.by.rule.clone(), found.how)).collect::<Vec<_>>()
        };
        for _ in 0..39 {
            let turns = [turn(&loops, 10, 10), turn(&traps, 2, 1), turn(&fine, 5, 0)];
            rule_stats.note(&partition(), Duration::ZERO, turns.to_vec());
        }
        assert_eq!(named(|_| true), [], "39 * 11 ms");
        rule_stats.note_given_up(&loops, Duration::from_millis(200));
        let how = OverrunKind::Exhausted { share: 0.59 };
        assert_eq!(named(|_| true), [("loops".to_owned(), how)]);
        assert_eq!(named(|rule| rule.rule != "loops"), [], "of those that still run none takes much");
    }

    #[test]
    fn a_rule_that_holds_its_stream_up_is_slow() {
        let (rule_stats, slow) = (AllRuleStats::default(), stamp("slow"));
        rule_stats.note(&partition(), Duration::from_secs(30), vec![turn(&slow, 9_000, 0)]);
        assert_eq!(rule_stats.rules_holding_up(0.5).len(), 0, "ten seconds have not gone by");

        let (now, thread) = (Instant::now(), std::thread::current().id());
        let time = PluginTime {
            cpu: Duration::from_millis(600),
            elapsed: Duration::from_millis(600),
            ..PluginTime::default()
        };
        let mut by_rule = rule_stats.by_rule.lock().unwrap();
        let record = by_rule.get_mut("slow").unwrap();
        record.time_share = super::super::TimeShare::default();
        for second in (0..10).rev() {
            let ended = now.checked_sub(Duration::from_secs(second)).unwrap();
            record.time_share.add(ended, thread, 400, time, Duration::from_secs(20 - second));
        }
        drop(by_rule);
        let found: Vec<OverrunKind> = rule_stats.rules_holding_up(0.5).into_iter().map(|found| found.how).collect();
        let (per_event, behind) = (Duration::from_micros(1_500), Duration::from_secs(11));
        assert_eq!(found, [OverrunKind::Slow { per_event, behind }]);
        assert_eq!(rule_stats.rules_holding_up(0.7).len(), 0, "it takes less than that");
    }
}
