//! Reads that need more than one port.

use std::ops::Range;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use assay_core::event_time::MAX_EVENT_TIME_MS;
use assay_core::names::{Offset, Partition};
use assay_core::schema::{DecodeError, Written, to_json};
use assay_core::time_range::TimeRange;
use assay_core::value::Value;
use assay_core::verdict::Outcome;
use assay_core::view::{Bucket, NotKept};
use crossbeam_channel::{RecvTimeoutError, bounded};

use super::Engine;
use crate::partition::{Halt, PartitionState, ViewAnswer};
use crate::plan::StreamPlan;
use crate::ports::archive::ArchivedEvent;
use crate::ports::dead_letters::DeadLetter;
use crate::ports::state::StateStore;
use crate::ports::{PartitionId, Place, StoreError};
use crate::problem::ReadError;
use crate::rule_stats::RuleStats;
use crate::worker::Request;

/// How long a worker may take to answer between two batches.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A view's values of one entity.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewValues {
    /// The view.
    pub view: String,
    /// The entity.
    pub key: String,
    /// The time that the values are of, ms since 1970; none for an entity without events.
    pub as_of: Option<i64>,
    /// Values by measure.
    pub measures: Vec<(String, Value)>,
    /// Of a tumbling view: the begin and the end of the bucket that the values are of, ms since 1970.
    pub bucket: Option<Range<i64>>,
}

/// The buckets that a tumbling view keeps of one entity.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewBuckets {
    /// The view.
    pub view: String,
    /// The entity.
    pub key: String,
    /// The time of the newest event that was counted, ms since 1970; none for an entity without events.
    pub as_of: Option<i64>,
    /// The names of the measures, in the order of the buckets' values.
    pub measures: Vec<String>,
    /// Those that have events, oldest first.
    pub buckets: Vec<Bucket>,
}

/// All that is known of one event.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// The event.
    pub event: ArchivedEvent,
    /// The event as JSON.
    pub json: serde_json::Value,
    /// What was said of it; none: it is not scored yet, or no rule judged it.
    pub outcome: Option<Outcome>,
    /// Why rules failed on it.
    pub dead_letters: Vec<DeadLetter>,
}

/// Some of the events with an id.
#[derive(Clone, Debug, PartialEq)]
pub struct ExplainedPage {
    /// By partition, then the oldest first.
    pub events: Vec<Explained>,
    /// The event to go on after; none: these were the last.
    pub last: Option<Place>,
}

impl Engine {
    /// How a rule is doing in this process; none if it has judged nothing here.
    pub fn rule_stats(&self, rule: &str) -> Option<RuleStats> {
        self.inner.shared.rule_stats.get(rule)
    }

    /// Where a rule wants this process's partitions to wait.
    pub fn halts(&self, rule: &str) -> Vec<(PartitionId, Halt)> {
        // Entries are changed whole.
        let halts = self.inner.shared.halts.lock().unwrap_or_else(PoisonError::into_inner);
        let of_rule = halts.iter().filter(|(_, halt)| halt.rule == rule);
        of_rule.map(|(partition, halt)| (partition.clone(), halt.clone())).collect()
    }

    /// The partition of an entity; none for an unknown stream.
    pub fn partition_of(&self, stream: &str, key: &str) -> Option<PartitionId> {
        let plan = self.plan();
        let partitions = plan.streams.get(stream)?.partitions;
        Some(PartitionId { stream: stream.into(), partition: self.ports().log.partition_of(key, partitions) })
    }

    /// An entity's key as the events of a stream have it: a UUID may be asked for in capital letters.
    pub fn canonical_key(&self, stream: &str, key: &str) -> String {
        self.plan().streams.get(stream).map_or_else(|| key.to_owned(), |stream| stream.canonical_key(key))
    }

    /// All partitions of a stream; none for an unknown stream.
    pub fn partitions_of(&self, stream: &str) -> Option<Vec<PartitionId>> {
        let plan = self.plan();
        plan.streams.get(stream)?;
        Some(plan.partitions().filter(|partition| &*partition.stream == stream).collect())
    }

    /// A view's values of an entity at a time, or as of its newest event. Blocks: the worker that owns the entity
    /// answers between two batches. When another process owns it, the values are those of its last checkpoint.
    ///
    /// # Errors
    /// The view is unknown, it does not keep all that its value at that time covers, or the state store fails.
    pub fn view(&self, view: &str, key: &str, at: Option<i64>) -> Result<ViewValues, ReadError> {
        if let Some(at) = at.filter(|at| !(-MAX_EVENT_TIME_MS..=MAX_EVENT_TIME_MS).contains(at)) {
            let message = format!("at: no event has the time {at}: expected -2^60 to 2^60 ms since 1970");
            return Err(ReadError::Bad(message));
        }
        let stream = self.stream_of(view)?;
        let key = &stream.canonical_key(key);
        let asked = (view.to_owned(), key.clone());
        let read =
            move |partition: &mut PartitionState, state: &dyn StateStore| partition.view(&asked.0, &asked.1, at, state);
        let seen = match self.read_from_owner(&stream, key, read)? {
            ViewAnswer::Measured(seen) => seen,
            ViewAnswer::Unknown => return Err(unknown(view)),
            ViewAnswer::NotKept(NotKept { from }) => {
                let (view, key, at) = (view.to_owned(), key.to_owned(), at.unwrap_or_default());
                return Err(ReadError::NotKept { view, key, at, from });
            }
        };
        Ok(ViewValues {
            view: view.to_owned(),
            key: key.to_owned(),
            as_of: seen.as_of,
            measures: seen.values,
            bucket: seen.bucket,
        })
    }

    /// The buckets that a tumbling view keeps of an entity and that have some of these times. Blocks, and comes from
    /// where [`Engine::view`] does.
    ///
    /// # Errors
    /// The view is unknown or has no buckets, or the state store fails.
    pub fn buckets(&self, view: &str, key: &str, times: TimeRange) -> Result<ViewBuckets, ReadError> {
        let stream = self.stream_of(view)?;
        if !stream.views.iter().any(|plan| plan.def.view == view && plan.def.is_tumbling()) {
            let message = format!("view '{view}' has no buckets: only views with 'every' do");
            return Err(ReadError::Bad(message));
        }
        let key = &stream.canonical_key(key);
        let asked = (view.to_owned(), key.clone());
        let read = move |partition: &mut PartitionState, state: &dyn StateStore| {
            partition.buckets(&asked.0, &asked.1, times, state)
        };
        let kept = self.read_from_owner(&stream, key, read)?.ok_or_else(|| unknown(view))?;
        Ok(ViewBuckets {
            view: view.to_owned(),
            key: key.to_owned(),
            as_of: kept.as_of,
            measures: kept.measures,
            buckets: kept.buckets,
        })
    }

    /// The stream of a view.
    fn stream_of(&self, view: &str) -> Result<Arc<StreamPlan>, ReadError> {
        let plan = self.plan();
        let has = |stream: &&Arc<StreamPlan>| stream.views.iter().any(|plan| plan.def.view == view);
        plan.streams.values().find(has).cloned().ok_or_else(|| unknown(view))
    }

    /// Reads from the partition that has an entity: the worker's, or what was saved if another process owns it.
    fn read_from_owner<T: Send + 'static>(
        &self,
        stream: &Arc<StreamPlan>,
        key: &str,
        read: impl Fn(&mut PartitionState, &dyn StateStore) -> Result<T, StoreError> + Clone + Send + 'static,
    ) -> Result<T, ReadError> {
        let partition = self.ports().log.partition_of(key, stream.partitions);
        let partition_id = PartitionId { stream: stream.def.stream.as_str().into(), partition };
        let state = self.ports().state.clone();
        let (answer, answered) = bounded(1);
        if let Some(worker) = self.inner.ownership.worker_of(&partition_id) {
            let (state, read) = (state.clone(), read.clone());
            let read = move |partition: &mut PartitionState| drop(answer.send(read(partition, &*state)));
            worker.send(Request::Read(partition_id.clone(), Box::new(read)));
        } else {
            drop(answer);
        }
        match answered.recv_timeout(ANSWER_TIMEOUT) {
            Ok(seen) => Ok(seen?),
            Err(RecvTimeoutError::Disconnected) => {
                let saved = PartitionState::new(partition_id, stream.clone(), self.plan().snapshot.version);
                Ok(read(&mut saved.map_err(|error| ReadError::Bad(error.to_string()))?, &*state)?)
            }
            Err(RecvTimeoutError::Timeout) => {
                let message = "the worker that owns the entity does not answer".to_owned();
                Err(StoreError::Unavailable { store: "engine", message }.into())
            }
        }
    }

    /// All that is known of the events with an id, at most `limit` of them and those after a place: more than one if a
    /// producer sent it again. Without an id of its own an event is found by its place, written `PARTITION-OFFSET`.
    ///
    /// # Errors
    /// The stream is unknown or a store fails.
    pub fn explain(
        &self,
        stream: &str,
        id: &str,
        after: Option<Place>,
        limit: usize,
    ) -> Result<ExplainedPage, ReadError> {
        let partitions = self.partitions_of(stream);
        let partitions = partitions.ok_or_else(|| ReadError::NotFound(format!("there is no stream '{stream}'")))?;
        let archive = &self.ports().archive;
        let plan = self.plan();
        let id = &plan.streams.get(stream).map_or_else(|| id.to_owned(), |stream| stream.canonical_id(id));
        let mut found = Vec::new();
        let begin = after.map_or(Partition(0), |place| place.partition);
        for partition_id in partitions.iter().filter(|partition_id| partition_id.partition >= begin) {
            let after = after.filter(|place| place.partition == partition_id.partition).map(|place| place.offset);
            // One more than wanted tells whether there is another page.
            for event in archive.by_id(partition_id, id, after, limit + 1 - found.len())? {
                found.push((partition_id, event));
            }
            if found.len() > limit {
                break;
            }
        }
        if let (true, None, Some((partition, offset))) = (found.is_empty(), after, place_of(id)) {
            let partition_id = partitions.iter().find(|partition_id| partition_id.partition == partition);
            if let Some((partition_id, event)) = partition_id
                .and_then(|partition_id| Some((partition_id, archive.event(partition_id, offset).transpose()?)))
            {
                found.push((partition_id, event?));
            }
        }
        let has_more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| has_more).map(|(_, event)| event.place);
        let events = found.into_iter().map(|(partition_id, event)| self.explain_event(partition_id, event));
        Ok(ExplainedPage { events: events.collect::<Result<_, _>>()?, last })
    }

    fn explain_event(&self, partition: &PartitionId, event: ArchivedEvent) -> Result<Explained, ReadError> {
        let json = self.event_json(&partition.stream, &event)?;
        let outcome = self.ports().archive.outcome(partition, event.place.offset)?;
        let dead_letters = self.ports().dead_letters.of_event(partition, event.place.offset)?;
        Ok(Explained { event, json, outcome, dead_letters })
    }

    /// An event as JSON.
    ///
    /// # Errors
    /// The stream is unknown, or the event's bytes cannot be read.
    pub fn event_json(&self, stream: &str, event: &ArchivedEvent) -> Result<serde_json::Value, ReadError> {
        let plan = self.plan();
        let stream =
            plan.streams.get(stream).ok_or_else(|| ReadError::NotFound(format!("there is no stream '{stream}'")))?;
        let bad = |error: DecodeError| ReadError::Bad(error.to_string());
        match stream.history.written(event.schema) {
            Written::Now => to_json(&stream.schema, &event.bytes).map_err(bad),
            Written::Earlier(resolver) => {
                let mut bytes = Vec::new();
                resolver.resolve(&event.bytes, &mut bytes).map_err(bad)?;
                to_json(&stream.schema, &bytes).map_err(bad)
            }
            Written::Later => {
                let message = "the event is of a schema that is not in effect here yet: ask again".to_owned();
                Err(ReadError::Bad(message))
            }
        }
    }
}

fn unknown(view: &str) -> ReadError {
    ReadError::NotFound(format!("there is no view '{view}'"))
}

/// Reads `PARTITION-OFFSET`.
fn place_of(id: &str) -> Option<(Partition, Offset)> {
    let (partition, offset) = id.split_once('-')?;
    Some((Partition(partition.parse().ok()?), Offset(offset.parse().ok()?)))
}
