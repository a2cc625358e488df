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
mod verdicts;
mod write_records;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use assay_core::names::Offset;
use assay_core::schema::History;

pub(crate) use archive::ArchiveEventsSink;
use panicked::PanickedRecords;

use crate::metrics::SinkLabel;
use crate::panics::{self, Heartbeat};
use crate::plan::Plan;
use crate::ports::log::{Records, Topic, WakeSignal};
use crate::ports::{PartitionId, RejectedItem, StoreError};
use crate::probe::ProbePoint;
use crate::retention::NeededRecord;
use crate::schema_resolution::resolve_to_newest;
use crate::shared::{MAX_RETRY_DELAY, MIN_RETRY_DELAY, Shared, unreadable_block_error};

/// The names of all sinks.
pub const SINK_NAMES: [&str; 9] = [
    "archive-events",
    "archive-verdicts",
    "profiles",
    "graph",
    "dead-letters",
    "derive",
    "series-events",
    "series-verdicts",
    "outbox",
];

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

    /// Whether a change of the plan makes it begin elsewhere in a partition.
    fn is_repositioned(&self, _before: &Plan, _now: &Plan, _partition: &PartitionId) -> bool {
        false
    }

    /// Where it is in a partition.
    fn position(&mut self, partition: &PartitionId) -> Result<Offset, StoreError>;

    /// Carries records, all before `next`, into the store. Returns what the store refuses for good.
    fn write_records(
        &mut self,
        plan: &Plan,
        partition: &PartitionId,
        records: &[Records],
        next: Offset,
    ) -> Result<Vec<Refusal>, StoreError>;

    /// Does with verdicts all that `write_records` does before it writes: so it is found which of them panic.
    fn examine(&mut self, _partition: &PartitionId, _records: &[Records]) -> Result<(), StoreError> {
        Ok(())
    }

    /// Waits until everything that was carried is in the store.
    fn flush(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// There is nothing to carry now.
    fn on_idle(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What is not carried of an event, for good.
struct Refusal {
    offset: Offset,
    /// What kind of failure.
    code: &'static str,
    message: String,
}

/// Makes a sink: at the start, and anew after a panic, which may have left it half-changed.
type SinkFactory = Box<dyn Fn() -> Box<dyn Sink> + Send>;

fn sink_factory<P: ?Sized + Send + Sync + 'static>(port: &Arc<P>, make: fn(Arc<P>) -> Box<dyn Sink>) -> SinkFactory {
    let port = port.clone();
    Box::new(move || make(port.clone()))
}

/// The events of refused items, where `offsets` has the event of each item of the write.
fn refusals(poison: Vec<RejectedItem>, offsets: &[Offset]) -> Vec<Refusal> {
    let refusal = |poison: RejectedItem| {
        Some(Refusal { offset: *offsets.get(poison.index)?, code: "store-refused", message: poison.message })
    };
    poison.into_iter().filter_map(refusal).collect()
}

/// A running sink.
pub(crate) struct SinkHandle {
    wake: Arc<WakeSignal>,
    thread: Option<JoinHandle<()>>,
}

impl SinkHandle {
    /// Waits until the sink has ended. The engine must be stopping.
    pub(crate) fn join(&mut self) {
        self.wake.notify();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// All sinks that run in this process.
pub(crate) fn all(shared: &Arc<Shared>) -> Vec<SinkLoop> {
    let ports = &shared.ports;
    let mut all: Vec<SinkFactory> = vec![
        sink_factory(&ports.archive, |port| Box::new(archive::ArchiveEventsSink::new(port))),
        sink_factory(&ports.archive, |port| Box::new(archive::ArchiveVerdictsSink(port))),
        sink_factory(&ports.profiles, |port| Box::new(profiles::ProfilesSink(port))),
        sink_factory(&ports.graph, |port| Box::new(graph::GraphSink(port))),
        sink_factory(&ports.dead_letters, |port| Box::new(dead_letters::DeadLettersSink(port))),
        sink_factory(shared, |shared| Box::new(derive::DeriveSink::new(shared))),
    ];
    if let Some(series) = &ports.series {
        all.push(sink_factory(series, |port| Box::new(series::SeriesEventsSink::new(port))));
        all.push(sink_factory(series, |port| Box::new(series::SeriesVerdictsSink(port))));
    }
    if let Some(outbox) = &ports.outbox {
        all.push(sink_factory(outbox, |port| Box::new(outbox::OutboxSink(port))));
    }
    let wanted = all.into_iter().map(|make| (make(), make)).filter(|(sink, _)| shared.config.runs_sink(sink.name()));
    wanted.map(|(sink, make)| SinkLoop::new(sink, make, shared.clone())).collect()
}

/// Starts all sinks.
pub(crate) fn start(shared: &Arc<Shared>) -> std::io::Result<Vec<SinkHandle>> {
    all(shared).into_iter().map(start_one).collect()
}

fn start_one(mut runner: SinkLoop) -> std::io::Result<SinkHandle> {
    let (stopping, wake) = (runner.shared.clone(), runner.wake.clone());
    let name = format!("sink-{}", runner.name());
    let thread = panics::spawn(name, move || stopping.is_stopping(), move |heartbeat| runner.run(heartbeat))?;
    Ok(SinkHandle { wake, thread: Some(thread) })
}

/// What a sink does after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SinkStep {
    /// There may be more to carry.
    Busy,
    /// There is nothing to carry until a signal comes, or so long.
    Idle(Duration),
    /// The store failed: it is tried again after so long.
    Retry(Duration),
}

/// A sink that runs: by a thread that repeats its steps, or by whoever drives a simulation.
pub(crate) struct SinkLoop {
    sink: Box<dyn Sink>,
    make: SinkFactory,
    shared: Arc<Shared>,
    plan: Arc<Plan>,
    wake: Arc<WakeSignal>,
    positions: HashMap<PartitionId, Offset>,
    panicked: PanickedRecords,
    /// How long to wait should the store fail.
    delay: Duration,
}

impl SinkLoop {
    fn new(sink: Box<dyn Sink>, make: SinkFactory, shared: Arc<Shared>) -> Self {
        let wake = Arc::new(WakeSignal::default());
        shared.ports.log.on_append(sink.topic(), wake.clone());
        shared.progress.add_sink(sink.name(), sink.topic());
        shared.health.note(&format!("sink {}", sink.name()), None);
        let plan = shared.plan();
        let (positions, panicked) = (HashMap::new(), PanickedRecords::default());
        Self { sink, make, shared, plan, wake, positions, panicked, delay: MIN_RETRY_DELAY }
    }

    /// The store that it feeds.
    pub(crate) fn name(&self) -> &'static str {
        self.sink.name()
    }

    /// Notified when there may be something to carry.
    pub(crate) fn wake(&self) -> &WakeSignal {
        &self.wake
    }

    /// Repeats steps until the engine stops.
    fn run(&mut self, heartbeat: &Heartbeat) {
        self.restart();
        while !self.shared.is_stopping() {
            let step = self.step();
            if !matches!(step, SinkStep::Retry(_)) {
                heartbeat.mark_alive();
            }
            match step {
                SinkStep::Busy => {}
                SinkStep::Idle(at_most) => drop(self.wake.wait(at_most)),
                SinkStep::Retry(mut delay) => {
                    if !self.shared.back_off(&mut delay, &self.wake) {
                        break;
                    }
                }
            }
        }
        if let Err(error) = self.sink.on_idle() {
            tracing::debug!(sink = self.sink.name(), %error, "a sink's last write failed");
        }
    }

    /// Begins anew. After a panic only the stored positions are known to be right.
    pub(crate) fn restart(&mut self) {
        self.positions.clear();
        self.sink = (self.make)();
        self.delay = MIN_RETRY_DELAY;
    }

    /// Carries what there is to carry now.
    pub(crate) fn step(&mut self) -> SinkStep {
        self.shared.config.probe.call(ProbePoint::Round);
        let carried = self.run_round().and_then(|carried| match carried {
            0 => self.sink.on_idle().map(|()| 0),
            carried => Ok(carried),
        });
        match carried {
            Ok(carried) => {
                self.delay = MIN_RETRY_DELAY;
                if carried == 0 { SinkStep::Idle(MAX_IDLE_WAIT) } else { SinkStep::Busy }
            }
            Err(error) => {
                tracing::warn!(sink = self.sink.name(), %error, "a store fails; trying again");
                self.shared.metrics.sink_errors.get_or_create(&self.label()).inc();
                self.note(Some(&error.to_string()));
                let delay = self.delay;
                self.delay = (delay * 2).min(MAX_RETRY_DELAY);
                SinkStep::Retry(delay)
            }
        }
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

    /// Carries what each partition has, and notes how far each has come.
    fn write_all(&mut self, reached: &mut Vec<(PartitionId, Offset)>) -> Result<u64, StoreError> {
        let plan = self.shared.plan();
        let mut carried = 0;
        let before = std::mem::replace(&mut self.plan, plan.clone());
        let (name, shared) = (self.sink.name(), self.shared.clone());
        let progress = &shared.progress;
        self.positions.retain(|partition, _| {
            self.shared.is_owned(partition) && !self.sink.is_repositioned(&before, &plan, partition)
        });
        progress.retain_written(name, |partition| shared.is_owned(partition));
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
                let narrowed = self.panicked.narrow(&partition, position, &mut records);
                narrowed.map_err(|error| unreadable_block_error(&partition, position, &error))?;
                next = records.last().map_or(position, Records::next);
                // Before it is passed over: after that nobody would know of it if the process ended here.
                let first = records.first().map_or(next, |first| first.first);
                self.write_dead_letters(&partition, self.panicked.refusals(&partition, first, next))?;
                let refused = self.write_records(&plan, &partition, &records, next)?;
                self.write_dead_letters(&partition, refused)?;
                self.panicked.forget_before(&partition, next);
                carried += next.0 - position.0;
            }
            let behind = log.end(&partition.stream, topic, partition.partition)?.0.saturating_sub(next.0);
            if behind == 0 {
                self.shared.needed_records.note_none(name, &partition);
            }
            reached.push((partition, next));
        }
        self.note(None);
        Ok(carried)
    }

    fn note(&self, problem: Option<&str>) {
        self.shared.health.note(&format!("sink {}", self.sink.name()), problem);
    }

    fn label(&self) -> SinkLabel {
        SinkLabel { sink: self.sink.name().to_owned() }
    }
}

/// The offsets of records that are no events of their stream: their bytes mean nothing.
fn refused_offsets(records: &[Records]) -> HashSet<Offset> {
    let offset = |block: &Records, at: u32| Offset(block.first.0 + u64::from(at));
    records.iter().flat_map(|block| block.refused.iter().map(move |(at, _)| offset(block, *at))).collect()
}
