//! The sink that writes derived streams: the owner of a partition of a derived stream merges all partitions of the source in
//! the order of time and appends the events of its entities. See `derived`.
//!
//! The merge is before the log of the derived stream, so the order of that log is the order of folding, and a recovery
//! needs nothing else: also a wait that was given up is in that order. One merge per derived stream serves all of its
//! partitions that this process has, and reads every partition of the source, also those of other processes.
//!
//! **Repeated events.** Each partition of a derived stream has a position: an offset per partition of the source. It is
//! saved now and then. A writer begins at the saved position, moved behind the events that the log has already
//! (`appended.rs`), so that nothing is appended again after a crash. Only a replaced owner that is late can repeat events.
//! For that, a writer appends the events of one source partition in their order and without gaps: wherever several writers
//! append, the first occurrence of an event comes after the first occurrences of all earlier events of its source
//! partition, because the writer appended them itself, or they are before the position that it began at. That is all that
//! the marks of the derived worker need (`partition/prepare.rs`), which keeps an offset per source partition; the order
//! between source partitions is free. A writer that repeats may order events of different source partitions otherwise than
//! before, after another wait; only first occurrences count, in the order of the log.

mod appended;
mod merge;
mod source_batch;
mod stream_merge;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_core::names::{Offset, PartitionIndex};

use super::panicked::{MAX_PANICS_ALONE, PanickedRecords, SinkPanic};
use super::task::note_failure;
use super::write_records::write_dead_letters;
use super::{DERIVE, SinkStep, SinkTask};
use crate::health::HealthComponent;
use crate::metrics::Metrics;
use crate::plan::Plan;
use crate::ports::log::{Topic, WakeSignal};
use crate::ports::{PartitionId, StoreError};
use crate::probe::ProbePoint;
use crate::retention::NeededRecord;
use crate::shared::{MIN_RETRY_DELAY, Shared};
use stream_merge::{Round, StreamMerge};

/// The longest sleep of the sink when no wake signal comes.
const MAX_IDLE_WAIT: Duration = Duration::from_millis(500);
/// The same while another process has a partition of a source: a log need not notify of appends to it.
const FOREIGN_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// A wait that was given up is shown for this time, and logged at most once in it.
const WARNING_TIME: Duration = Duration::from_secs(60);
/// The component whose state is that of the sink.
const COMPONENT: HealthComponent = HealthComponent::Sink(DERIVE);

/// The sink of all derived streams.
pub(super) struct DeriveSink {
    shared: Arc<Shared>,
    wake: Arc<WakeSignal>,
    /// By derived stream.
    merges: BTreeMap<String, StreamMerge>,
    /// The partitions of sources of which something is needed.
    needed: BTreeSet<PartitionId>,
    /// By derived stream.
    given_up: HashMap<String, GivenUp>,
    /// The limits are by derived stream, as its partition 0.
    panicked: PanickedRecords,
    /// The wait after the next failure.
    delay: Duration,
}

/// The waits of a derived stream that were given up lately.
#[derive(Default)]
struct GivenUp {
    /// The partitions of the source, and when.
    partitions: BTreeMap<PartitionId, Instant>,
    logged_at: Option<Instant>,
}

impl SinkTask for DeriveSink {
    fn name(&self) -> &'static str {
        DERIVE
    }

    fn wake(&self) -> &Arc<WakeSignal> {
        &self.wake
    }

    fn restart(&mut self) {
        self.merges.clear();
        self.delay = MIN_RETRY_DELAY;
    }

    fn step(&mut self) -> SinkStep {
        if self.shared.is_stopping() {
            self.save_all();
            return SinkStep::Over;
        }
        self.shared.config.probe.call(ProbePoint::Round);
        let outcome = self.run_round();
        self.note_progress();
        match outcome {
            Ok(round) => {
                self.delay = MIN_RETRY_DELAY;
                self.shared.health.note(&COMPONENT, None);
                if round.records == 0 { SinkStep::Idle(self.idle_wait(round.wait_until)) } else { SinkStep::Busy }
            }
            Err(error) => note_failure(&self.shared, DERIVE, &error, &mut self.delay),
        }
    }
}

impl DeriveSink {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        let wake = Arc::new(WakeSignal::default());
        shared.ports.log.on_append(Topic::Events, wake.clone());
        shared.progress.note_derived(BTreeMap::new());
        shared.health.note(&COMPONENT, None);
        Self {
            shared: shared.clone(),
            wake,
            merges: BTreeMap::new(),
            needed: BTreeSet::new(),
            given_up: HashMap::new(),
            panicked: PanickedRecords::default(),
            delay: MIN_RETRY_DELAY,
        }
    }

    fn save_all(&mut self) {
        for merge in self.merges.values_mut() {
            if let Err(error) = merge.save(true) {
                tracing::debug!(sink = DERIVE, %error, "a sink's last write failed");
            }
        }
    }

    /// One round over all derived streams. A failure of one does not keep the others from going on.
    fn run_round(&mut self) -> Result<Round, StoreError> {
        let plan = self.shared.plan();
        let mut wanted = owned_targets(&self.shared, &plan);
        // What is not wanted any more is another process's now, or deleted.
        self.merges.retain(|name, _| wanted.contains_key(name));
        let mut all = Round::default();
        let mut failed = Ok(());
        for (name, targets) in std::mem::take(&mut wanted) {
            if self.shared.is_stopping() {
                break;
            }
            match self.run_merge(&plan, &name, &targets) {
                Ok(round) => {
                    all.records += round.records;
                    all.wait_until = [all.wait_until, round.wait_until].into_iter().flatten().min();
                    self.note_given_up(&name, &round.given_up);
                }
                Err(error) => failed = Err(error),
            }
        }
        failed.map(|()| all)
    }

    fn run_merge(&mut self, plan: &Plan, name: &str, targets: &Assignments) -> Result<Round, StoreError> {
        let is_current = match self.merges.get_mut(name) {
            Some(merge) if merge.is_current(plan, targets) => true,
            Some(merge) => {
                merge.save(true)?;
                false
            }
            None => false,
        };
        if !is_current {
            let Some(merge) = StreamMerge::open(&self.shared, plan, name, targets)? else {
                return Ok(Round::default());
            };
            self.merges.insert(name.to_owned(), merge);
        }
        let Some(merge) = self.merges.get_mut(name) else { return Ok(Round::default()) };
        let appended_to = PartitionId { stream: name.into(), partition: PartitionIndex(0) };
        let max_records = self.panicked.limit(&appended_to).unwrap_or(usize::MAX);
        let round = match merge.run_round(max_records) {
            Err(StoreError::Panicked { store, message }) => {
                return self.recover_from_panic(&appended_to, SinkPanic { store: Some(store), message });
            }
            round => round?,
        };
        if round.appended > 0 {
            self.panicked.note_success();
            self.panicked.note_carried(&appended_to, Offset(0));
        }
        merge.save(round.records == 0)?;
        Ok(round)
    }

    /// After a panic of the log fewer events are appended at once. An event that panics alone becomes a dead letter.
    fn recover_from_panic(&mut self, appended_to: &PartitionId, panic: SinkPanic) -> Result<Round, StoreError> {
        let merge = self.merges.get_mut(&*appended_to.stream);
        let taken = merge.as_ref().and_then(|merge| merge.taken().cloned());
        let (Some(merge), Some(taken)) = (merge, taken) else { return Err(panic.into_error(DERIVE, appended_to)) };
        let (partition, count, panicked) = (&taken.partition, taken.count, &panic.message);
        tracing::error!(sink = DERIVE, stream = %appended_to.stream, %partition, count, panicked, "a panic in an append");
        if count > 1 {
            self.panicked.note_batch(appended_to, Offset(0), count);
            // What the log has after all is found when the merge is opened anew.
            return Ok(Round { records: count as u64, ..Round::default() });
        }
        let copied_from = PartitionId { partition: partition.partition, ..appended_to.clone() };
        if self.panicked.note_alone(&copied_from, taken.offset) < MAX_PANICS_ALONE {
            return Err(panic.into_error(DERIVE, appended_to));
        }
        let refusal = self.panicked.set_aside(partition, taken.offset, panic)?;
        // Before it is passed over: after that nobody would know of it if the process ended here.
        write_dead_letters(&self.shared, DERIVE, partition, vec![refusal])?;
        merge.pass_over_taken()?;
        self.panicked.note_carried(appended_to, Offset(0));
        Ok(Round { records: 1, ..Round::default() })
    }

    /// The longest sleep before the next round.
    fn idle_wait(&self, until: Option<Instant>) -> Duration {
        let has_foreign = self.merges.values().any(StreamMerge::reads_foreign_partitions);
        let at_most = if has_foreign { FOREIGN_POLL_INTERVAL } else { MAX_IDLE_WAIT };
        let now = self.shared.config.clock.now();
        until.map_or(at_most, |until| until.saturating_duration_since(now).min(at_most))
    }

    /// Tells how far all derived streams are, and what of their sources they need.
    fn note_progress(&mut self) {
        let derived = self.merges.iter().map(|(name, merge)| (name.clone(), merge.progress()));
        self.shared.progress.note_derived(derived.collect());
        let mut needs: BTreeMap<PartitionId, NeededRecord> = BTreeMap::new();
        for need in self.merges.values().flat_map(StreamMerge::needs) {
            let least = needs.entry(need.partition.clone()).or_insert_with(|| need.clone());
            if need.at < least.at {
                *least = need;
            }
        }
        for partition in self.needed.iter().filter(|partition| !needs.contains_key(*partition)) {
            self.shared.needed_records.note_none(DERIVE, partition);
        }
        self.needed = needs.keys().cloned().collect();
        needs.into_values().for_each(|need| self.shared.needed_records.note(need));
    }

    /// Counts, logs and shows the partitions of a source that were waited for in vain.
    fn note_given_up(&mut self, name: &str, given_up: &[PartitionId]) {
        let now = self.shared.config.clock.now();
        let is_recent = |at: Instant| now.saturating_duration_since(at) < WARNING_TIME;
        if !given_up.is_empty() {
            let counter = self.shared.metrics.derive_waits_given_up.get_or_create(&Metrics::stream(name)).clone();
            counter.inc_by(given_up.len() as u64);
            let known = self.given_up.entry(name.to_owned()).or_default();
            known.partitions.extend(given_up.iter().map(|partition| (partition.clone(), now)));
            if !known.logged_at.is_some_and(is_recent) {
                tracing::warn!(sink = DERIVE, stream = name, "{}", self.warning(name).unwrap_or_default());
                self.given_up.entry(name.to_owned()).or_default().logged_at = Some(now);
            }
        }
        if let Some(known) = self.given_up.get_mut(name) {
            known.partitions.retain(|_, at| is_recent(*at));
        }
        let warnings: Vec<String> = self.given_up.keys().filter_map(|name| self.warning(name)).collect();
        self.shared.health.set_own_warning(&COMPONENT, Some(warnings.join("; ")).filter(|text| !text.is_empty()));
    }

    fn warning(&self, name: &str) -> Option<String> {
        let known = self.given_up.get(name).filter(|known| !known.partitions.is_empty())?;
        let partitions: Vec<String> = known.partitions.keys().map(ToString::to_string).collect();
        Some(format!(
            "{name} went on without {}, which had no events for {:?}: events that come there with an earlier time are late \
             in {name}",
            partitions.join(", "),
            self.shared.config.derive_wait
        ))
    }
}

/// Partitions of a derived stream, each with the number of its assignment: another process may have written to one that was
/// lost and came back.
type Assignments = BTreeMap<PartitionIndex, u64>;

/// The partitions of derived streams that this process has.
fn owned_targets(shared: &Shared, plan: &Plan) -> BTreeMap<String, Assignments> {
    let mut targets: BTreeMap<String, Assignments> = BTreeMap::new();
    for (partition, assignment) in shared.assigned_partitions() {
        if plan.streams.get(&*partition.stream).is_some_and(|stream| stream.def.from.is_some()) {
            targets.entry(partition.stream.to_string()).or_default().insert(partition.partition, assignment);
        }
    }
    targets
}
