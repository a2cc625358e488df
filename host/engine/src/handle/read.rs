//! Reads that need more than one port.

use std::time::Duration;

use assay_core::names::{Offset, Partition};
use assay_core::schema::to_json;
use assay_core::value::Value;
use assay_core::verdict::Outcome;
use crossbeam_channel::{RecvTimeoutError, bounded};

use super::Engine;
use crate::partition::Partition as Scoring;
use crate::plan::StreamPlan;
use crate::ports::archive::ArchivedEvent;
use crate::ports::dead_letters::DeadLetter;
use crate::ports::{StoreError, StreamPartition};
use crate::problem::ReadError;
use crate::worker::Request;

/// How long a worker may take to answer between two batches.
const ANSWER: Duration = Duration::from_secs(10);

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

impl Engine {
    /// The partition of an entity; none for an unknown stream.
    pub fn partition_of(&self, stream: &str, key: &str) -> Option<StreamPartition> {
        let plan = self.plan();
        let partitions = plan.streams.get(stream)?.partitions;
        Some(StreamPartition { stream: stream.into(), partition: self.ports().log.partition_of(key, partitions) })
    }

    /// All partitions of a stream; none for an unknown stream.
    pub fn partitions_of(&self, stream: &str) -> Option<Vec<StreamPartition>> {
        let plan = self.plan();
        plan.streams.get(stream)?;
        Some(plan.partitions().filter(|of| &*of.stream == stream).collect())
    }

    /// A view's values of an entity at a time, or as of its newest event. Blocks: the worker that owns the entity
    /// answers between two batches. When another process owns it, the values are those of its last checkpoint.
    ///
    /// # Errors
    /// The view is unknown, or the state store fails.
    pub fn view(&self, view: &str, key: &str, at: Option<i64>) -> Result<ViewValues, ReadError> {
        let unknown = || ReadError::NotFound(format!("there is no view '{view}'"));
        let plan = self.plan();
        let has = |stream: &&std::sync::Arc<StreamPlan>| stream.views.iter().any(|plan| plan.def.view == view);
        let stream = plan.streams.values().find(has).ok_or_else(unknown)?;
        let partition = self.ports().log.partition_of(key, stream.partitions);
        let of = StreamPartition { stream: stream.def.stream.as_str().into(), partition };
        let (answer, answered) = bounded(1);
        if let Some(worker) = self.inner.ownership.worker_of(&of) {
            let of = of.clone();
            worker.ask(Request::View { of, view: view.to_owned(), key: key.to_owned(), at, answer });
        } else {
            drop(answer);
        }
        let seen = match answered.recv_timeout(ANSWER) {
            Ok(seen) => seen?,
            Err(RecvTimeoutError::Disconnected) => {
                let saved = Scoring::new(of, stream.clone(), plan.snapshot.version);
                saved.map_err(|error| ReadError::Bad(error.to_string()))?.view(view, key, at, &*self.ports().state)?
            }
            Err(RecvTimeoutError::Timeout) => {
                let message = "the worker that owns the entity does not answer".to_owned();
                return Err(StoreError::Unavailable { store: "engine", message }.into());
            }
        };
        let seen = seen.ok_or_else(unknown)?;
        Ok(ViewValues { view: view.to_owned(), key: key.to_owned(), as_of: seen.as_of, measures: seen.values })
    }

    /// All that is known of the events with an id: more than one if a producer sent it again. Without an id of its own
    /// an event is found by its place, written `PARTITION-OFFSET`.
    ///
    /// # Errors
    /// The stream is unknown or a store fails.
    pub fn explain(&self, stream: &str, id: &str) -> Result<Vec<Explained>, ReadError> {
        let partitions = self.partitions_of(stream);
        let partitions = partitions.ok_or_else(|| ReadError::NotFound(format!("there is no stream '{stream}'")))?;
        let archive = &self.ports().archive;
        let mut found = Vec::new();
        for of in &partitions {
            for event in archive.by_id(of, id)? {
                found.push(self.explain_event(of, event)?);
            }
        }
        if let (true, Some((partition, offset))) = (found.is_empty(), place_of(id)) {
            let of = partitions.iter().find(|of| of.partition == partition);
            if let Some((of, event)) = of.and_then(|of| Some((of, archive.event(of, offset).transpose()?))) {
                found.push(self.explain_event(of, event?)?);
            }
        }
        Ok(found)
    }

    fn explain_event(&self, of: &StreamPartition, event: ArchivedEvent) -> Result<Explained, ReadError> {
        let json = self.event_json(&of.stream, &event)?;
        let outcome = self.ports().archive.outcome(of, event.place.offset)?;
        let dead_letters = self.ports().dead_letters.of_event(of, event.place.offset)?;
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
        to_json(&stream.schema, &event.bytes).map_err(|error| ReadError::Bad(error.to_string()))
    }
}

/// Reads `PARTITION-OFFSET`.
fn place_of(id: &str) -> Option<(Partition, Offset)> {
    let (partition, offset) = id.split_once('-')?;
    Some((Partition(partition.parse().ok()?), Offset(offset.parse().ok()?)))
}
