//! Carries events and verdicts into the archive.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef};
use assay_core::names::{Offset, check_key};
use assay_core::schema::{Decoder, Schema};

use super::{Refusal, Sink, refused_offsets};
use crate::plan::{Plan, StreamPlan};
use crate::ports::archive::{Archive, EventEntry};
use crate::ports::log::{Records, Topic};
use crate::ports::{PartitionId, StoreError};

/// Carries events into the archive.
pub(crate) struct ArchiveEventsSink {
    archive: Arc<dyn Archive>,
    /// Per stream a decoder of key, time and id, with the schema that it was made for.
    decoders: HashMap<Arc<str>, (Schema, Decoder)>,
}

impl ArchiveEventsSink {
    pub(crate) fn new(archive: Arc<dyn Archive>) -> Self {
        Self { archive, decoders: HashMap::new() }
    }

    /// What the archive must know of events, as far as they can be read.
    pub(crate) fn read(
        &mut self,
        stream: &StreamPlan,
        partition: &PartitionId,
        records: &[Records],
    ) -> Result<Vec<EventEntry>, StoreError> {
        let has_id = stream.def.id.is_some();
        self.decoders.retain(|name, (made_for, _)| *name != partition.stream || *made_for == stream.schema);
        let (_, decoder) = match self.decoders.entry(partition.stream.clone()) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let decoder = Decoder::new(&stream.schema, &stream.identity()).map_err(|error| StoreError::Broken {
                    store: "engine",
                    message: format!("stream '{}': {error}", partition.stream),
                })?;
                entry.insert((stream.schema.clone(), decoder))
            }
        };
        let decoded = decoder.decode(records.iter().flat_map(Records::iter).map(|(_, bytes)| bytes));
        let offsets: Vec<Offset> = records.iter().flat_map(Records::iter).map(|(offset, _)| offset).collect();
        let refused = refused_offsets(records);
        let times = decoded.columns[1].as_primitive::<TimestampMillisecondType>();
        let entries = decoded.rows.iter().enumerate().filter_map(|(row, record)| {
            // Scoring has refused what cannot be a key or an id.
            let key = text(&decoded.columns[0], row).filter(|key| check_key(key).is_ok())?;
            let id = match has_id {
                true => text(&decoded.columns[2], row).filter(|id| check_key(id).is_ok())?,
                false => String::new(),
            };
            let time = times.is_valid(row).then(|| times.value(row))?;
            if refused.contains(&offsets[*record]) {
                return None;
            }
            Some(EventEntry { offset: offsets[*record], time, key, id })
        });
        Ok(entries.collect())
    }
}

/// A key or id as text; none if it is missing.
fn text(column: &ArrayRef, row: usize) -> Option<String> {
    if column.is_null(row) {
        return None;
    }
    Some(match column.as_primitive_opt::<Int64Type>() {
        Some(ints) => ints.value(row).to_string(),
        None => column.as_string::<i32>().value(row).to_owned(),
    })
}

impl Sink for ArchiveEventsSink {
    fn name(&self) -> &'static str {
        "archive-events"
    }

    fn topic(&self) -> Topic {
        Topic::Events
    }

    fn position(&mut self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.archive.events_position(partition)
    }

    fn write_records(
        &mut self,
        plan: &Plan,
        partition: &PartitionId,
        records: &[Records],
        next: Offset,
    ) -> Result<Vec<Refusal>, StoreError> {
        let Some(stream) = plan.streams.get(&*partition.stream) else { return Ok(Vec::new()) };
        let entries = self.read(stream, partition, records)?;
        self.archive.write_events(partition, &entries, records, next).map(|()| Vec::new())
    }
}

/// Carries verdicts into the archive.
pub(super) struct ArchiveVerdictsSink(pub(super) Arc<dyn Archive>);

impl Sink for ArchiveVerdictsSink {
    fn name(&self) -> &'static str {
        "archive-verdicts"
    }

    fn topic(&self) -> Topic {
        Topic::Verdicts
    }

    fn position(&mut self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.0.verdicts_position(partition)
    }

    fn write_records(
        &mut self,
        _: &Plan,
        partition: &PartitionId,
        records: &[Records],
        next: Offset,
    ) -> Result<Vec<Refusal>, StoreError> {
        self.0.write_verdicts(partition, records, next).map(|()| Vec::new())
    }
}
