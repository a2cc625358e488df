//! Sinks: plain loops that carry a log into one store each, at their own pace, idempotently.
//!
//! A store that fails stops only its own sink, which tries again until it succeeds.

mod archive;
mod dead_letters;
mod derive;
mod graph;
mod outbox;
mod panicked;
mod profiles;
mod series;
mod table;
mod task;
mod verdicts;
mod write_records;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use assay_core::failure_code::FailureCode;
use assay_core::names::Offset;
use assay_core::schema::History;

pub(crate) use archive::ArchiveEventsSink;
use panicked::PanickedRecords;
pub use table::SINK_NAMES;
use table::SinkFactory;
pub(crate) use table::{DeletionRole, SINKS};
pub(crate) use task::{SinkStep, SinkTask};

use crate::health::HealthComponent;
use crate::plan::Plan;
use crate::ports::log::{Records, Topic, WakeSignal};
use crate::ports::{PartitionId, RejectedItem, StoreError};
use crate::probe::ProbePoint;
use crate::retention::NeededRecord;
use crate::schema_resolution::resolve_to_newest;
use crate::service::Service;
use crate::shared::{MIN_RETRY_DELAY, Shared};

/// The sink that writes derived streams. It reads many partitions for each that it writes, in a loop of its own.
pub(crate) const DERIVE: &str = "derive";

/// Records that are read at once, about.
const READ_RECORDS: usize = 32_768;
/// Bytes that are read at once, about.
const READ_BYTES: usize = 8 << 20;
/// How long a sink sleeps at most when no wake signal comes.
const MAX_IDLE_WAIT: Duration = Duration::from_millis(500);

/// What one sink does with the records of its log.
trait Sink: Send {
    /// The store that it feeds, as metrics and logs name it.
    fn name(&self) -> &'static str;

    /// Which topic it follows.
    fn topic(&self) -> Topic;

    /// Whether there is anything for it in a partition.
    fn applies_to(&self, _plan: &Plan, _partition: &PartitionId) -> bool {
        true
    }

    /// Where it is in a partition.
    fn position(&mut self, partition: &PartitionId) -> Result<Offset, StoreError>;

    /// Carries records, all before `next`, into the store. Returns what the store refuses for good. If there is any, the
    /// position is not stored: the caller stores it by carrying no records. Parts of a block of verdicts are carried with
    /// the block's own offset as `next`, so that they are in the store before its position moves.
    fn write_records(
        &mut self,
        plan: &Plan,
        partition: &PartitionId,
        records: &[Records],
        next: Offset,
    ) -> Result<Vec<Refusal>, StoreError>;

    /// Waits until everything that was carried is in the store.
    fn flush(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What is not carried of an event, for good.
struct Refusal {
    offset: Offset,
    /// The code of the failure.
    code: FailureCode,
    message: String,
}

/// The events of refused items, where `offsets` has the event of each item of the write.
fn refusals(poison: Vec<RejectedItem>, offsets: &[Offset]) -> Vec<Refusal> {
    let refusal = |poison: RejectedItem| {
        Some(Refusal { offset: *offsets.get(poison.index)?, code: FailureCode::StoreRefused, message: poison.message })
    };
    poison.into_iter().filter_map(refusal).collect()
}

/// All sinks that run here.
pub(crate) fn make_all(shared: &Arc<Shared>) -> Vec<Box<dyn SinkTask>> {
    let wanted = SINKS.iter().filter(|row| shared.config.runs_sink(row.name));
    wanted.filter_map(|row| (row.make)(shared)).collect()
}

/// Starts all sinks that run here.
pub(crate) fn start(shared: &Arc<Shared>) -> std::io::Result<Vec<Service>> {
    make_all(shared).into_iter().map(|sink| task::start(sink, shared)).collect()
}

/// One sink over all partitions of this process. It does not wait: its driver does, as the steps say.
struct SinkLoop {
    sink: Box<dyn Sink>,
    make: SinkFactory,
    shared: Arc<Shared>,
    wake: Arc<WakeSignal>,
    positions: HashMap<PartitionId, Offset>,
    panicked: PanickedRecords,
    /// A batch panicked in this round: a part of it may be carried without a wait.
    retries_at_once: bool,
    /// The wait after the next failure.
    delay: Duration,
}

impl SinkTask for SinkLoop {
    fn name(&self) -> &'static str {
        self.sink.name()
    }

    fn wake(&self) -> &Arc<WakeSignal> {
        &self.wake
    }

    fn restart(&mut self) {
        self.positions.clear();
        self.sink = (self.make)();
        self.delay = MIN_RETRY_DELAY;
    }

    fn step(&mut self) -> SinkStep {
        if self.shared.is_stopping() {
            return SinkStep::Over;
        }
        self.shared.config.probe.call(ProbePoint::Round);
        match self.run_round() {
            Ok(carried) => {
                self.delay = MIN_RETRY_DELAY;
                if carried == 0 { SinkStep::Idle(MAX_IDLE_WAIT) } else { SinkStep::Busy }
            }
            Err(error) => {
                let step = task::note_failure(&self.shared, self.sink.name(), &error, &mut self.delay);
                if std::mem::take(&mut self.retries_at_once) { SinkStep::Busy } else { step }
            }
        }
    }
}

impl SinkLoop {
    fn new(make: SinkFactory, shared: Arc<Shared>) -> Self {
        let (sink, wake) = (make(), Arc::new(WakeSignal::default()));
        shared.ports.log.on_append(sink.topic(), wake.clone());
        shared.progress.add_sink(sink.name(), sink.topic());
        shared.health.note(&HealthComponent::Sink(sink.name()), None);
        let (positions, panicked) = (HashMap::new(), PanickedRecords::default());
        Self { sink, make, shared, wake, positions, panicked, retries_at_once: false, delay: MIN_RETRY_DELAY }
    }

    /// One round over all partitions. Returns how many records were carried.
    fn run_round(&mut self) -> Result<u64, StoreError> {
        let mut reached = Vec::new();
        let carried = self.write_all(&mut reached);
        // What was carried before something failed is waited for too: it is not carried again.
        let flushed = self.sink.flush();
        for (partition, next) in reached {
            match flushed {
                Ok(()) => {
                    self.shared.progress.note_written(self.sink.name(), &partition, next);
                    self.positions.insert(partition, next)
                }
                Err(_) => self.positions.remove(&partition),
            };
        }
        flushed.and(carried)
    }

    /// Reads all positions that are not known, before anything is carried: the lag of a partition has to be known also
    /// while the store fails at another one.
    fn read_positions(&mut self, plan: &Plan) -> Result<(), StoreError> {
        for partition in self.shared.owned_partitions() {
            let is_new = !self.positions.contains_key(&partition);
            if is_new && plan.streams.contains_key(&*partition.stream) && self.sink.applies_to(plan, &partition) {
                let position = self.sink.position(&partition)?;
                self.shared.progress.note_written(self.sink.name(), &partition, position);
                self.positions.insert(partition, position);
            }
        }
        Ok(())
    }

    /// Carries what each partition has, and notes how far each has come.
    fn write_all(&mut self, reached: &mut Vec<(PartitionId, Offset)>) -> Result<u64, StoreError> {
        let plan = self.shared.plan();
        let mut carried = 0;
        let (name, shared) = (self.sink.name(), self.shared.clone());
        let progress = &shared.progress;
        self.positions.retain(|partition, _| shared.is_owned(partition));
        progress.retain_written(name, |partition| shared.is_owned(partition));
        self.read_positions(&plan)?;
        for partition in self.shared.owned_partitions() {
            if self.shared.is_stopping() {
                return Ok(0);
            }
            if !plan.streams.contains_key(&*partition.stream) || !self.sink.applies_to(&plan, &partition) {
                self.shared.needed_records.note_none(name, &partition);
                progress.note_not_applicable(name, &partition);
                continue;
            }
            let position = match self.positions.get(&partition) {
                Some(position) => *position,
                // It has come to this process since the round began.
                None => self.sink.position(&partition)?,
            };
            progress.note_written(name, &partition, position);
            let log = &shared.ports.log;
            let topic = self.sink.topic();
            let mut next = position;
            let end = log.end(&partition.stream, topic, partition.partition)?;
            if end > position {
                let history = plan.streams.get(&*partition.stream).map(|stream| &stream.history);
                let history = history.filter(|_| topic == Topic::Events);
                let mut records = match history.map(History::newest) {
                    None if topic == Topic::Verdicts => {
                        log.read_verdicts(&partition.stream, partition.partition, position, READ_RECORDS, READ_BYTES)?
                    }
                    None => {
                        log.read(&partition.stream, topic, partition.partition, position, READ_RECORDS, READ_BYTES)?
                    }
                    Some(newest) => log.read_events(
                        &partition.stream,
                        partition.partition,
                        position,
                        newest,
                        READ_RECORDS,
                        READ_BYTES,
                    )?,
                };
                if let Some(first) = records.first() {
                    let need = NeededRecord::new(name, &partition, topic, position, first);
                    self.shared.needed_records.note(need);
                }
                if let Some(history) = history {
                    records = resolve_to_newest(history, records);
                }
                self.panicked.narrow(&partition, &mut records);
                next = records.last().map_or(position, Records::next);
                let refused = self.write_records(&plan, &partition, &records, next)?;
                if !refused.is_empty() {
                    // Before the position moves: after that nobody would know of it if the process ended here. A second
                    // time, the letters are the same.
                    self.write_dead_letters(&partition, refused)?;
                    self.sink.write_records(&plan, &partition, &[], next)?;
                }
                self.panicked.note_carried(&partition, next);
                carried += next.0 - position.0;
            }
            let behind = log.end(&partition.stream, topic, partition.partition)?.0.saturating_sub(next.0);
            if behind == 0 {
                self.shared.needed_records.note_none(name, &partition);
            }
            reached.push((partition, next));
        }
        self.shared.health.note(&HealthComponent::Sink(name), None);
        Ok(carried)
    }
}

/// The offsets of records that are no events of their stream: their bytes mean nothing.
fn refused_offsets(records: &[Records]) -> HashSet<Offset> {
    let offset = |block: &Records, at: u32| Offset(block.first.0 + u64::from(at));
    records.iter().flat_map(|block| block.refused.iter().map(move |(at, _)| offset(block, *at))).collect()
}
