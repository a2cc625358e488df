//! The state of the engine for operators: readiness, metrics, backlog, and the state of each rule.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use assay_core::rule::RuleDef;

use crate::health::{HealthComponent, PartStatus, Readiness};
use crate::metrics::{Metrics, SinkLabel, ThreadLabel, TopicLabel};
use crate::panics;
use crate::partition::Halt;
use crate::ports::PartitionId;
use crate::progress::Unscored;
use crate::rule_stats::RuleStats;
use crate::shared::Shared;

/// The state of this process's engine.
pub struct StatusService {
    shared: Arc<Shared>,
}

impl StatusService {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// All metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.shared.metrics
    }

    /// All metrics as they are now, in Prometheus's text format.
    pub fn encode_metrics(&self) -> String {
        let (shared, metrics) = (&self.shared, self.metrics());
        let lags = shared.lags();
        let failing = shared.health.readiness(&lags).parts.iter().filter(|part| !part.ok).count();
        metrics.parts_failing.set(failing as i64);
        for (partition, lag) in &lags.scoring {
            let label = Metrics::partition(partition);
            metrics.lag.get_or_create(&label).set(*lag as i64);
            if !shared.is_owned(partition) {
                // Its worker may have taken the label away a moment ago.
                metrics.lag.remove(&label);
            }
        }
        for (sink, lag) in &lags.sinks {
            let label = SinkLabel { sink: (*sink).to_owned() };
            metrics.sink_lag.get_or_create(&label).set(lag.records as i64);
        }
        for (thread, count) in panics::counts() {
            metrics.panics.get_or_create(&ThreadLabel { thread }).inner().fetch_max(count, Ordering::Relaxed);
        }
        for lost in shared.ports.log.lost() {
            let label = TopicLabel { stream: lost.stream.to_string(), topic: lost.topic.name() };
            // The log counts from the beginning; two who measure at once must not add twice.
            metrics.lost_records.get_or_create(&label).inner().fetch_max(lost.records, Ordering::Relaxed);
        }
        metrics.encode()
    }

    /// The state of each part of the engine.
    pub fn readiness(&self) -> Readiness {
        let shared = &self.shared;
        let mut readiness = shared.health.readiness(&shared.lags());
        if let Some(message) = shared.ports.log.failure() {
            readiness.ready = false;
            readiness.parts.push(PartStatus::new(HealthComponent::Log, Some(&message)));
        }
        readiness
    }

    /// The events of a partition that are not scored yet; none: it is not this process's, or not opened yet.
    pub fn unscored(&self, partition: &PartitionId) -> Option<Unscored> {
        self.shared.unscored(partition)
    }

    /// The counts of a rule in this process; none if it has judged nothing here.
    pub fn rule_stats(&self, rule: &str) -> Option<RuleStats> {
        self.shared.rule_stats.get(rule)
    }

    /// The partitions of this process that wait for a rule, and the event before which each waits.
    pub fn halts(&self, rule: &str) -> Vec<(PartitionId, Halt)> {
        // Entries are changed whole.
        let halts = self.shared.halts.lock().unwrap_or_else(PoisonError::into_inner);
        let of_rule = halts.iter().filter(|(_, halt)| halt.rule == rule);
        of_rule.map(|(partition, halt)| (partition.clone(), halt.clone())).collect()
    }

    /// The plugin that runs for a rule, as `name@version`; none: an expression scores, or the rule is paused.
    pub fn running_plugin(&self, rule: &RuleDef) -> Option<String> {
        let plan = self.shared.plan();
        let running = plan.streams.get(&rule.stream)?.rules.iter().find(|one| one.stamp.rule == rule.rule)?;
        running.stamp.plugin.as_ref().map(|plugin| format!("{}@{}", plugin.name, plugin.version))
    }
}
