//! The merge of one derived stream: reads the partitions of the source, appends what the merge lets go, and saves how far
//! that is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use assay_core::names::{Offset, PartitionIndex};

use super::super::DERIVE;
use super::Assignments;
use super::appended::advance_by_log;
use super::merge::{Merge, Step};
use super::source_batch::{Router, WaitingEvent};
use crate::derived::Rekeyer;
use crate::merge_position::{MergePosition, SavedPosition, SourcePosition, load_position, save_position};
use crate::plan::{Plan, StreamPlan};
use crate::ports::log::{Durability, Records, Topic, wait_for_receipt};
use crate::ports::{PartitionId, StoreError};
use crate::progress::{DerivedProgress, SourceProgress};
use crate::retention::NeededRecord;
use crate::schema_resolution::resolve_to_newest;
use crate::shared::Shared;

/// The time between two saves of the position. Events that were appended after a save are appended again after a crash.
const SAVE_INTERVAL: Duration = Duration::from_millis(500);
/// Records that are read at once of a partition, about.
const READ_RECORDS: usize = 8_192;
/// Bytes that wait in the merge, about: each partition of the source may have its part of them.
const MAX_WAITING_BYTES: usize = 32 << 20;
/// The part of a partition is at least this, in bytes, however many there are.
const MIN_READ_BYTES: usize = 128 << 10;
/// So many events, or bytes, are appended at once. Then partitions without events are looked at again.
const MAX_ROUND_RECORDS: usize = 8_192;
const MAX_ROUND_BYTES: usize = 4 << 20;

/// The merge of one derived stream.
pub(super) struct StreamMerge {
    shared: Arc<Shared>,
    source: Arc<StreamPlan>,
    rekey: Rekeyer,
    sources: Vec<SourcePartition>,
    /// The partitions of the derived stream that this process has.
    targets: BTreeMap<PartitionIndex, Target>,
    merge: Merge<WaitingEvent>,
    /// A round failed: the log may have some of what was to be appended.
    has_failed: bool,
    /// The events that the last round was to append.
    taken: Option<TakenEvents>,
}

/// Events that a round appends.
#[derive(Clone, Debug)]
pub(super) struct TakenEvents {
    pub(super) count: usize,
    /// The last one's place in the source.
    pub(super) partition: PartitionId,
    pub(super) offset: Offset,
}

struct SourcePartition {
    id: PartitionId,
    /// The events that were read of it last.
    data: Vec<u8>,
    /// Its end, when it was looked at last.
    end: Offset,
    /// The time at which the oldest event that was read last was appended, ms since 1970.
    appended_at: Option<i64>,
}

/// The progress of a partition of a derived stream.
pub(super) struct Target {
    /// The number of its assignment to this process.
    assignment: u64,
    /// The position at which the merge has begun with it.
    start: MergePosition,
    /// All before is appended.
    appended: SavedPosition,
    saved: SavedPosition,
    save_due: Instant,
}

impl Target {
    /// The first offset in a partition of the source that it does not have.
    pub(super) fn started_at(&self, source_partition: PartitionIndex) -> Offset {
        self.start.get(source_partition.0 as usize).map_or(Offset(0), |position| position.next)
    }
}

/// The result of a round.
#[derive(Default)]
pub(super) struct Round {
    /// The number of records that were read and appended.
    pub(super) records: u64,
    /// The number of those that were appended.
    pub(super) appended: usize,
    /// The time at which a wait for a partition of the source ends.
    pub(super) wait_until: Option<Instant>,
    /// Partitions of the source that were waited for in vain.
    pub(super) given_up: Vec<PartitionId>,
}

impl StreamMerge {
    /// Begins behind what the partitions of a derived stream have: in each partition of the source with the one that is
    /// least far. None: the stream, or its source, is not in the plan, or events of the stream are of a later plan or
    /// cannot be read yet.
    pub(super) fn open(
        shared: &Arc<Shared>,
        plan: &Plan,
        name: &str,
        targets: &Assignments,
    ) -> Result<Option<Self>, StoreError> {
        let Some((source, to)) = find_streams(plan, name) else { return Ok(None) };
        let mut found = BTreeMap::new();
        for (partition, assignment) in targets {
            let saved = load_position(&*shared.ports.state, name, *partition, source.partitions)?;
            let Some(appended) = advance_by_log(&*shared.ports.log, &to, *partition, saved.clone())? else {
                return Ok(None);
            };
            let save_due = shared.config.clock.now() + SAVE_INTERVAL;
            let (start, assignment) = (appended.position.clone(), *assignment);
            found.insert(*partition, Target { assignment, start, appended, saved, save_due });
        }
        let least = |source: u32| {
            let positions = found.values().filter_map(|target: &Target| target.start.get(source as usize));
            positions.min_by_key(|position| position.next).copied().unwrap_or_default()
        };
        let position = (0..source.partitions).map(least).collect();
        let source_name: Arc<str> = source.def.stream.as_str().into();
        let partition = |partition| SourcePartition {
            id: PartitionId { stream: source_name.clone(), partition: PartitionIndex(partition) },
            data: Vec::new(),
            end: Offset(0),
            appended_at: None,
        };
        Ok(Some(Self {
            shared: shared.clone(),
            sources: (0..source.partitions).map(partition).collect(),
            rekey: make_rekeyer(&source, &to)?,
            source,
            targets: found,
            merge: Merge::new(position, shared.config.derive_wait),
            has_failed: false,
            taken: None,
        }))
    }

    /// True if it can go on: it is of this plan, writes these partitions of the derived stream and has since their assignment,
    /// and no round failed.
    pub(super) fn is_current(&self, plan: &Plan, targets: &Assignments) -> bool {
        let streams = find_streams(plan, &self.rekey.to.def.stream);
        let has_streams = |(source, to)| Arc::ptr_eq(&source, &self.source) && Arc::ptr_eq(&to, &self.rekey.to);
        !self.has_failed
            && streams.is_none_or(has_streams)
            && self.targets.iter().map(|(partition, target)| (partition, &target.assignment)).eq(targets)
    }

    /// Reads, and appends what can be appended now, at most so many events. After an error it has to be opened anew.
    pub(super) fn run_round(&mut self, max_records: usize) -> Result<Round, StoreError> {
        self.has_failed = true;
        self.taken = None;
        let (mut round, mut given_up) = (Round::default(), Vec::new());
        let mut batches: BTreeMap<PartitionIndex, Records> = BTreeMap::new();
        let (mut taken, mut bytes) = (0, 0);
        self.merge.look_again();
        let mut last = None;
        while taken < max_records.min(MAX_ROUND_RECORDS) && bytes < MAX_ROUND_BYTES {
            match self.merge.step(self.shared.config.clock.now(), &mut given_up) {
                Step::Take(source, event) => {
                    let data = self.sources[source].data.get(event.start..event.end).unwrap_or_default();
                    let batch = batches.entry(event.target).or_default();
                    if batch.is_empty() {
                        batch.appended_at = event.stored_at;
                        batch.schema = self.rekey.to.history.newest();
                    }
                    batch.push(data);
                    taken += 1;
                    bytes += data.len();
                    last = Some((source, event.offset));
                }
                Step::Read(source) => round.records += self.read(source)?,
                Step::Wait(until) => {
                    round.wait_until = until;
                    break;
                }
            }
        }
        self.taken = last.map(|(source, offset)| {
            let partition = self.sources[source].id.clone();
            TakenEvents { count: taken, partition, offset }
        });
        if !batches.is_empty() {
            let (log, stream) = (&self.shared.ports.log, &self.rekey.to.def.stream);
            let receipt = log.append(stream, Topic::Events, batches.into_iter().collect(), Durability::Ordered)?;
            for batch in wait_for_receipt(receipt, &self.shared.config.clock, || self.shared.is_stopping())? {
                if let (Some(target), Some(first)) = (self.targets.get_mut(&batch.partition), batch.place(0)) {
                    target.appended.log_from = first.offset;
                }
            }
        }
        self.note_appended();
        self.has_failed = false;
        round.records += taken as u64;
        round.appended = taken;
        round.given_up = given_up.into_iter().filter_map(|at| Some(self.sources.get(at)?.id.clone())).collect();
        Ok(round)
    }

    /// The events that the last round was to append; none if it came to nothing before that.
    pub(super) fn taken(&self) -> Option<&TakenEvents> {
        self.taken.as_ref()
    }

    /// Passes over what the last round was to append. It must be dead letters.
    pub(super) fn pass_over_taken(&mut self) -> Result<(), StoreError> {
        self.note_appended();
        self.save(true)?;
        self.has_failed = false;
        Ok(())
    }

    /// Everything that was taken is appended.
    fn note_appended(&mut self) {
        let position = self.merge.position();
        for target in self.targets.values_mut() {
            let farther = |(start, position): (&SourcePosition, &SourcePosition)| {
                if start.next > position.next { *start } else { *position }
            };
            target.appended.position = target.start.iter().zip(&position).map(farther).collect();
        }
    }

    /// Reads the next events of a partition of the source. Returns how many records there were.
    fn read(&mut self, at: usize) -> Result<u64, StoreError> {
        let (log, next) = (&self.shared.ports.log, self.merge.next_read(at));
        let max_bytes = (MAX_WAITING_BYTES / self.sources.len().max(1)).max(MIN_READ_BYTES);
        let Some(source) = self.sources.get_mut(at) else { return Ok(0) };
        let (stream, partition) = (&*source.id.stream, source.id.partition);
        // A log may know only by a read if a partition of another process has more.
        let is_owned = self.shared.is_owned(&source.id);
        if is_owned {
            source.end = log.end(stream, Topic::Events, partition)?;
            if source.end <= next {
                self.merge.note_end(at);
                return Ok(0);
            }
        }
        let history = &self.source.history;
        let read = log.read_events(stream, partition, next, history.newest(), READ_RECORDS, max_bytes)?;
        let is_at_end = read.is_empty() && !is_owned;
        let records = resolve_to_newest(history, read);
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            if is_at_end {
                source.end = next;
                self.merge.note_end(at);
            } else {
                self.merge.note_delayed(at);
            }
            return Ok(0);
        };
        if !is_owned {
            source.end = log.end(stream, Topic::Events, partition)?.max(last.next());
        }
        source.appended_at = Some(first.appended_at);
        let router = Router { shared: &self.shared, source: &self.source, rekey: &self.rekey, targets: &self.targets };
        router.accept(&mut self.merge, &source.id, &records, &mut source.data)?;
        Ok(records.iter().map(|block| block.len() as u64).sum())
    }

    /// Saves how far it has come, where that is due.
    pub(super) fn save(&mut self, at_once: bool) -> Result<(), StoreError> {
        let (state, name) = (&*self.shared.ports.state, &self.rekey.to.def.stream);
        let now = self.shared.config.clock.now();
        for (partition, target) in &mut self.targets {
            if target.saved != target.appended && (at_once || now >= target.save_due) {
                save_position(state, name, *partition, &target.appended)?;
                target.saved.clone_from(&target.appended);
                target.save_due = now + SAVE_INTERVAL;
            }
        }
        Ok(())
    }

    /// True if other processes have partitions of the source.
    pub(super) fn reads_foreign_partitions(&self) -> bool {
        self.sources.iter().any(|source| !self.shared.is_owned(&source.id))
    }

    /// How far it is.
    pub(super) fn progress(&self) -> DerivedProgress {
        let stream: Arc<str> = self.rekey.to.def.stream.as_str().into();
        let target = |partition: &PartitionIndex| PartitionId { stream: stream.clone(), partition: *partition };
        let sources = self.sources.iter().enumerate();
        let source = |(at, source): (usize, &SourcePartition)| {
            (source.id.clone(), SourceProgress { next: self.least_appended(at), end: source.end })
        };
        DerivedProgress {
            partitions: self.targets.keys().map(target).collect(),
            sources: sources.map(source).collect(),
        }
    }

    /// The records of the source that it needs.
    pub(super) fn needs(&self) -> Vec<NeededRecord> {
        let need = |(at, source): (usize, &SourcePartition)| {
            let next = self.least_appended(at);
            let appended_at = source.appended_at.filter(|_| next < source.end)?;
            Some(NeededRecord {
                reader: DERIVE,
                partition: source.id.clone(),
                topic: Topic::Events,
                at: next,
                appended_at,
            })
        };
        self.sources.iter().enumerate().filter_map(need).collect()
    }

    fn least_appended(&self, source: usize) -> Offset {
        let positions = self.targets.values().filter_map(|target| target.appended.position.get(source));
        positions.map(|position| position.next).min().unwrap_or_default()
    }
}

/// The source of a derived stream, and the stream.
fn find_streams(plan: &Plan, name: &str) -> Option<(Arc<StreamPlan>, Arc<StreamPlan>)> {
    let to = plan.streams.get(name)?;
    let source = plan.streams.get(to.def.from.as_ref()?)?;
    Some((source.clone(), to.clone()))
}

fn make_rekeyer(source: &StreamPlan, to: &Arc<StreamPlan>) -> Result<Rekeyer, StoreError> {
    Rekeyer::new(source, to.clone())
        .map_err(|error| StoreError::Broken { store: "engine", message: format!("{}: {error}", to.def.stream) })
}
