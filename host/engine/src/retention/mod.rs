//! Retention: deletes what a log that leaves that to the engine need not keep, and warns before a log that deletes by
//! itself takes what a sink, or the recovery of a partition, still needs.
//!
//! A thread of its own looks, so that nobody who scores or follows waits for the log's answers.

mod floor;
mod needed_records;
mod risk;
mod trim;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::health::HealthComponent;
use crate::metrics::ReaderLabel;
use crate::ports::StoreError;
use crate::ports::log::WakeSignal;
use crate::probe::ProbePoint;
use crate::service::Service;
use crate::shared::Shared;
use crate::sinks::DERIVE;
pub(crate) use needed_records::{NeededRecord, NeededRecords, SCORING};
use risk::{RetentionRisk, assess_risk};
use trim::Trimmer;

/// The interval of the checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// The interval at which a warning that still holds is logged again.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);
/// A reader that needs nothing older than this, in ms, is not behind: the log is not asked about it.
const MIN_AGE_BEHIND_MS: i64 = 10_000;

/// The thread that checks retention.
pub(crate) struct RetentionThread(Service);

impl RetentionThread {
    pub(crate) fn start(shared: &Arc<Shared>) -> std::io::Result<Self> {
        let wake = Arc::new(WakeSignal::default());
        let mut monitor = RetentionMonitor::new(shared);
        let own_wake = wake.clone();
        let stopping = shared.clone();
        let service = Service::start(
            "retention",
            wake,
            move || stopping.is_stopping(),
            move |heartbeat| {
                while !monitor.shared.is_stopping() {
                    monitor.shared.config.probe.call(ProbePoint::Round);
                    monitor.check_retention();
                    heartbeat.mark_alive();
                    own_wake.wait(CHECK_INTERVAL);
                }
            },
        )?;
        Ok(Self(service))
    }

    /// Waits until the thread has ended. The engine must be stopping.
    pub(crate) fn join(self) {
        self.0.join();
    }
}

/// Checks the retention of the partitions of this process.
pub(crate) struct RetentionMonitor {
    shared: Arc<Shared>,
    trimmer: Trimmer,
    /// When a reader was warned of last.
    warned: HashMap<ReaderLabel, Instant>,
    /// When it was last said that the log does not answer.
    last_error_at: Option<Instant>,
}

/// The state of a reader in the partitions of a stream that this process has.
#[derive(Default)]
struct ReaderRetention {
    /// Until retention may delete what it needs, ms; none: no limit by time.
    left: Option<i64>,
    /// In how many partitions it is in danger.
    in_danger: u64,
    /// The warning about the worst of them.
    danger: Option<String>,
}

impl RetentionMonitor {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        let trimmer = Trimmer::new(shared.clone());
        Self { shared: shared.clone(), trimmer, warned: HashMap::new(), last_error_at: None }
    }

    /// Deletes what may be deleted now, and tells which readers are in danger.
    pub(crate) fn check_retention(&mut self) {
        let held = self.trimmer.trim_partitions();
        let risks = match self.assess_readers() {
            Ok(risks) => risks,
            Err(error) => {
                // The earlier warnings stay as they are.
                if is_warning_due(self.last_error_at) {
                    tracing::warn!(%error, "cannot tell whether retention outruns a reader; looking again");
                    self.last_error_at = Some(Instant::now());
                }
                return;
            }
        };
        let mut readers: BTreeMap<ReaderLabel, ReaderRetention> = BTreeMap::new();
        let mut warnings: BTreeMap<HealthComponent, String> = BTreeMap::new();
        // The worst come first, and the first of each is what is told.
        for (need, risk) in risks {
            let reader = readers.entry(need.label()).or_default();
            reader.left = reader.left.or(risk.left);
            if let Some(danger) = risk.danger {
                reader.in_danger += 1;
                warnings.entry(need.component()).or_insert_with(|| danger.clone());
                reader.danger.get_or_insert(danger);
            }
        }
        for (component, warning) in held {
            warnings.entry(component).or_insert(warning);
        }
        self.measure(&readers);
        self.warn(readers);
        self.shared.health.set_warnings(warnings);
    }

    /// The risks of all readers that are behind, the worst first.
    fn assess_readers(&self) -> Result<Vec<(NeededRecord, RetentionRisk)>, StoreError> {
        let (shared, now) = (&self.shared, self.shared.config.clock.now_ms());
        let (plan, log) = (shared.plan(), &shared.ports.log);
        let is_ours = |need: &NeededRecord| {
            // The sink of derived streams reads the source's partitions of all processes; it removes its needs itself.
            (shared.is_owned(&need.partition) || need.reader == DERIVE)
                && plan.streams.contains_key(&*need.partition.stream)
        };
        let mut asked = HashMap::new();
        let mut risks = Vec::new();
        for need in shared.needed_records.of_all(is_ours) {
            if now - need.appended_at < MIN_AGE_BEHIND_MS {
                continue;
            }
            if shared.is_stopping() {
                break;
            }
            let (partition, topic) = (&need.partition, need.topic);
            let (kept, end) = match asked.get(&(partition.clone(), topic)) {
                Some(known) => *known,
                None => {
                    let kept = log.kept(&partition.stream, topic, partition.partition)?;
                    let end = log.end(&partition.stream, topic, partition.partition)?;
                    asked.insert((partition.clone(), topic), (kept, end));
                    (kept, end)
                }
            };
            let risk = assess_risk(&need, &kept, end, now);
            risks.push((need, risk));
        }
        risks.sort_by_key(|(_, risk)| risk.left.unwrap_or(i64::MAX));
        Ok(risks)
    }

    /// Sets the metrics. Readers that are not behind any more have none.
    fn measure(&self, readers: &BTreeMap<ReaderLabel, ReaderRetention>) {
        let metrics = &self.shared.metrics;
        metrics.retention_left.clear();
        metrics.near_retention.clear();
        for (label, reader) in readers {
            metrics.near_retention.get_or_create(label).set(reader.in_danger as i64);
            if let Some(left) = reader.left {
                metrics.retention_left.get_or_create(label).set(left.max(0) / 1000);
            }
        }
    }

    /// Logs warnings when they begin, and every minute while they hold.
    fn warn(&mut self, readers: BTreeMap<ReaderLabel, ReaderRetention>) {
        for (label, reader) in readers {
            let Some(danger) = reader.danger else { continue };
            if is_warning_due(self.warned.get(&label).copied()) {
                let partitions = reader.in_danger;
                tracing::warn!(reader = label.reader, stream = label.stream, partitions, "{danger}");
                self.warned.insert(label, Instant::now());
            }
        }
    }
}

fn is_warning_due(last_warned: Option<Instant>) -> bool {
    last_warned.is_none_or(|at| at.elapsed() >= WARNING_INTERVAL)
}
