//! Events with their outcomes and dead letters.

use assay_core::names::{Offset, PartitionIndex};
use assay_core::schema::{DecodeError, Written, to_json};
use assay_core::verdict::Outcome;

use super::QueryService;
use crate::ports::archive::ArchivedEvent;
use crate::ports::dead_letters::{DeadLetter, DeadLetterQuery};
use crate::ports::{Page, PartitionId, Place, StoreError};
use crate::problem::ReadError;

/// An event with its outcome and its dead letters.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// The event.
    pub event: ArchivedEvent,
    /// The event as JSON.
    pub json: serde_json::Value,
    /// Its outcome; none: it is not scored yet, or no rule judged it.
    pub outcome: Option<Outcome>,
    /// Its dead letters.
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

impl QueryService {
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
        let partitions = partitions.ok_or_else(|| ReadError::NotFound(self.describe_unknown_stream(stream)))?;
        let archive = &self.ports().archive;
        let plan = self.plan();
        let id = &plan.streams.get(stream).map_or_else(|| id.to_owned(), |stream| stream.canonical_id(id));
        let mut found = Vec::new();
        let begin = after.map_or(PartitionIndex(0), |place| place.partition);
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
        let outcome = self.outcome(partition, event.place.offset)?;
        let dead_letters = self.dead_letters_of_event(partition, event.place.offset)?;
        Ok(Explained { event, json, outcome, dead_letters })
    }

    /// An event as JSON.
    ///
    /// # Errors
    /// The stream is unknown, or the event's bytes cannot be read.
    pub fn event_json(&self, stream: &str, event: &ArchivedEvent) -> Result<serde_json::Value, ReadError> {
        let plan = self.plan();
        let found = plan.streams.get(stream);
        let stream = found.ok_or_else(|| ReadError::NotFound(plan.describe_unknown_stream(stream)))?;
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

    /// An event by its place; none: the archive does not have it.
    ///
    /// # Errors
    /// The archive fails.
    pub fn event(&self, partition: &PartitionId, offset: Offset) -> Result<Option<ArchivedEvent>, StoreError> {
        self.ports().archive.event(partition, offset)
    }

    /// The outcome of an event; none: it is not scored yet, or no rule judged it.
    ///
    /// # Errors
    /// The archive fails.
    pub fn outcome(&self, partition: &PartitionId, offset: Offset) -> Result<Option<Outcome>, StoreError> {
        self.ports().archive.outcome(partition, offset)
    }

    /// Dead letters by stream, then partition, then the newest first.
    ///
    /// # Errors
    /// The cursor is not one of this listing, or the store fails.
    pub fn dead_letters(&self, query: &DeadLetterQuery) -> Result<Page<DeadLetter>, StoreError> {
        self.ports().dead_letters.list(query)
    }

    /// The dead letters of one event.
    ///
    /// # Errors
    /// The store fails.
    pub fn dead_letters_of_event(
        &self,
        partition: &PartitionId,
        offset: Offset,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        self.ports().dead_letters.of_event(partition, offset)
    }
}

/// Reads `PARTITION-OFFSET`.
fn place_of(id: &str) -> Option<(PartitionIndex, Offset)> {
    let (partition, offset) = id.split_once('-')?;
    Some((PartitionIndex(partition.parse().ok()?), Offset(offset.parse().ok()?)))
}
