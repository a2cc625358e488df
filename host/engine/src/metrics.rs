//! All metrics: names, labels, units. Nothing else in the project names a metric.

use std::sync::atomic::AtomicU64;

use crate::ports::PartitionId;
use crate::rule_stats::RuleBatchStats;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Of which stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StreamLabel {
    /// The stream.
    pub stream: String,
}

/// Of which partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PartitionLabel {
    /// The stream.
    pub stream: String,
    /// The partition.
    pub partition: u32,
}

/// Of which sink.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SinkLabel {
    /// The sink.
    pub sink: String,
}

/// Who reads, of which stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
pub struct ReaderLabel {
    /// A sink, or `scoring`.
    pub reader: String,
    /// The stream.
    pub stream: String,
}

/// Of which topic of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TopicLabel {
    /// The stream.
    pub stream: String,
    /// `events` or `verdicts`.
    pub topic: &'static str,
}

/// Of which HTTP route, with which status.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RouteLabel {
    /// The method.
    pub method: String,
    /// The route's pattern, never a path with names in it.
    pub route: String,
    /// The status code.
    pub status: u16,
}

/// Of which thread.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ThreadLabel {
    /// The thread's name.
    pub thread: String,
}

/// Of which rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RuleLabel {
    /// The rule.
    pub rule: String,
}

/// Seconds, from 100 microseconds to 50 seconds.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 20))
}

/// All metrics.
pub struct Metrics {
    registry: Registry,
    /// Events that were acked to their producers.
    pub ingested: Family<StreamLabel, Counter>,
    /// Events that were refused at ingest.
    pub refused: Family<StreamLabel, Counter>,
    /// Events that went through the rules.
    pub scored: Family<StreamLabel, Counter>,
    /// Verdicts.
    pub verdicts: Family<StreamLabel, Counter>,
    /// Rules that failed on an event, and events that could not be read.
    pub failures: Family<StreamLabel, Counter>,
    /// Events that a rule was asked of.
    pub rule_judged: Family<RuleLabel, Counter>,
    /// Events that a rule could not score.
    pub rule_failed: Family<RuleLabel, Counter>,
    /// How long a rule took, seconds.
    pub rule_time: Family<RuleLabel, Counter<f64, AtomicU64>>,
    /// Events that came too late for a window, once per view.
    pub late: Family<StreamLabel, Counter>,
    /// Events that are in the log and not scored yet.
    pub lag: Family<PartitionLabel, Gauge>,
    /// Records that a sink has not carried into its store yet.
    pub sink_lag: Family<SinkLabel, Gauge>,
    /// Times that a sink's store failed.
    pub sink_errors: Family<SinkLabel, Counter>,
    /// Times that a derived stream went on without a partition of its source that had no events.
    pub derive_waits_given_up: Family<StreamLabel, Counter>,
    /// Until retention may delete the oldest record that a reader needs, seconds; only of readers that are behind.
    pub retention_left: Family<ReaderLabel, Gauge>,
    /// Partitions of which retention will soon delete what a reader needs; only of readers that are behind.
    pub near_retention: Family<ReaderLabel, Gauge>,
    /// Records that retention deleted before they were read.
    pub lost_records: Family<TopicLabel, Counter>,
    /// Records that retention deleted from the embedded log.
    pub deleted_records: Family<TopicLabel, Counter>,
    /// The bytes of these records.
    pub deleted_bytes: Family<TopicLabel, Counter>,
    /// From the append of an event to its verdict, for the oldest event of each batch.
    pub latency: Family<StreamLabel, Histogram, fn() -> Histogram>,
    /// How long scoring a batch took.
    pub batch_time: Family<StreamLabel, Histogram, fn() -> Histogram>,
    /// How long saving a checkpoint took.
    pub checkpoint_time: Histogram,
    /// Entities whose state is in memory.
    pub entities: Family<PartitionLabel, Gauge>,
    /// Parts that do not work at the moment: partitions and sinks.
    pub parts_failing: Gauge,
    /// Panics. Each was caught, or has ended a thread that does not belong to the engine.
    pub panics: Family<ThreadLabel, Counter>,
    /// The version of the catalog that is in effect.
    pub catalog_version: Gauge<u64, AtomicU64>,
    /// HTTP requests.
    pub requests: Family<RouteLabel, Counter>,
}

impl Metrics {
    /// All metrics, at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            ingested: Family::default(),
            refused: Family::default(),
            scored: Family::default(),
            verdicts: Family::default(),
            failures: Family::default(),
            rule_judged: Family::default(),
            rule_failed: Family::default(),
            rule_time: Family::default(),
            late: Family::default(),
            lag: Family::default(),
            sink_lag: Family::default(),
            sink_errors: Family::default(),
            derive_waits_given_up: Family::default(),
            retention_left: Family::default(),
            near_retention: Family::default(),
            lost_records: Family::default(),
            deleted_records: Family::default(),
            deleted_bytes: Family::default(),
            latency: Family::new_with_constructor(seconds),
            batch_time: Family::new_with_constructor(seconds),
            checkpoint_time: seconds(),
            entities: Family::default(),
            parts_failing: Gauge::default(),
            panics: Family::default(),
            catalog_version: Gauge::default(),
            requests: Family::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = self.registry.sub_registry_with_prefix("assay");
        registry.register("events_ingested", "Events acked to their producers", self.ingested.clone());
        registry.register("events_refused", "Events refused at ingest", self.refused.clone());
        registry.register("events_scored", "Events that went through the rules", self.scored.clone());
        registry.register("verdicts", "Verdicts given", self.verdicts.clone());
        registry.register("failures", "Failures of a rule on an event, and unreadable events", self.failures.clone());
        registry.register("rule_events", "Events that a rule was asked of", self.rule_judged.clone());
        registry.register("rule_failures", "Events that a rule could not score", self.rule_failed.clone());
        registry.register_with_unit("rule_time", "How long a rule took", Unit::Seconds, self.rule_time.clone());
        registry.register("events_late", "Events too late for a window, once per view", self.late.clone());
        registry.register("events_lag", "Events in the log and not scored yet", self.lag.clone());
        registry.register("sink_lag", "Records not written to the sink's store yet", self.sink_lag.clone());
        registry.register("sink_errors", "Failures of the sink's store", self.sink_errors.clone());
        let given_up = "Times that a derived stream went on without a partition of its source that had no events";
        registry.register("derive_waits_given_up", given_up, self.derive_waits_given_up.clone());
        let left = "Until retention may delete the oldest record that a reader needs, while it is behind";
        registry.register_with_unit("retention_left", left, Unit::Seconds, self.retention_left.clone());
        let near = "Partitions of which retention will soon delete what a reader needs; /readyz says more";
        registry.register("partitions_near_retention", near, self.near_retention.clone());
        let lost = "Records that retention deleted before they were read";
        registry.register("log_lost_records", lost, self.lost_records.clone());
        let deleted = "Records that retention deleted from the data folder";
        registry.register("log_deleted_records", deleted, self.deleted_records.clone());
        let deleted = "Bytes that retention deleted from the data folder";
        registry.register_with_unit("log_deleted", deleted, Unit::Bytes, self.deleted_bytes.clone());
        let latency = "From append to verdict, for the oldest event of each batch";
        registry.register_with_unit("verdict_latency", latency, Unit::Seconds, self.latency.clone());
        registry.register_with_unit("batch_time", "Scoring of a batch", Unit::Seconds, self.batch_time.clone());
        let checkpoint = "Saving of a checkpoint";
        registry.register_with_unit("checkpoint_time", checkpoint, Unit::Seconds, self.checkpoint_time.clone());
        let failing = "Partitions and sinks that do not work at the moment; /readyz says why";
        registry.register("parts_failing", failing, self.parts_failing.clone());
        registry.register("panics", "Panics, by thread; the log says where and why", self.panics.clone());
        registry.register("entities_in_memory", "Entities whose state is in memory", self.entities.clone());
        registry.register("catalog_version", "Version of the catalog in effect", self.catalog_version.clone());
        registry.register("http_requests", "HTTP requests answered", self.requests.clone());
    }

    /// All metrics in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// Counts what the rules did with a batch.
    pub(crate) fn note_rules(&self, rules: &[RuleBatchStats]) {
        for stats in rules.iter().filter(|stats| stats.judged > 0) {
            let label = RuleLabel { rule: stats.rule.rule.clone() };
            self.rule_judged.get_or_create(&label).inc_by(stats.judged as u64);
            self.rule_failed.get_or_create(&label).inc_by(stats.failed as u64);
            self.rule_time.get_or_create(&label).inc_by(stats.elapsed.as_secs_f64());
        }
    }

    /// The label of a partition.
    pub(crate) fn partition(partition: &PartitionId) -> PartitionLabel {
        PartitionLabel { stream: partition.stream.to_string(), partition: partition.partition.0 }
    }

    /// The label of a stream.
    pub fn stream(stream: &str) -> StreamLabel {
        StreamLabel { stream: stream.to_owned() }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
