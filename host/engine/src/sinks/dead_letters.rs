//! Carries failures into the dead letters.

use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::verdict::flags;

use super::{Refusal, Sink, read_blocks_with};
use crate::plan::Plan;
use crate::ports::dead_letters::{DeadLetter, DeadLetters};
use crate::ports::log::{Records, Topic};
use crate::ports::{PartitionId, Place, StoreError};

pub(super) struct DeadLettersSink(pub(super) Arc<dyn DeadLetters>);

impl Sink for DeadLettersSink {
    fn name(&self) -> &'static str {
        "dead-letters"
    }

    fn topic(&self) -> Topic {
        Topic::Verdicts
    }

    fn position(&mut self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.0.position(partition)
    }

    fn write_records(
        &mut self,
        _: &Plan,
        partition: &PartitionId,
        records: &[Records],
        next: Offset,
    ) -> Result<Vec<Refusal>, StoreError> {
        self.0.write(partition, &letters_of(partition, records)?, next).map(|()| Vec::new())
    }

    fn examine(&mut self, partition: &PartitionId, records: &[Records]) -> Result<(), StoreError> {
        letters_of(partition, records).map(drop)
    }
}

/// The failures among verdicts.
fn letters_of(partition: &PartitionId, records: &[Records]) -> Result<Vec<DeadLetter>, StoreError> {
    let mut letters = Vec::new();
    for outcome in read_blocks_with(flags::FAILURES, partition, records)?.into_iter().flat_map(|block| block.outcomes) {
        for failure in outcome.failures {
            let by = failure.by.as_ref();
            let plugin = by.and_then(|by| by.plugin.as_ref());
            letters.push(DeadLetter {
                stream: partition.stream.to_string(),
                place: Place { partition: partition.partition, offset: outcome.offset },
                time: outcome.time,
                key: outcome.key.clone(),
                id: outcome.id.clone(),
                rule: by.map(|by| by.rule.clone()),
                sink: None,
                revision: by.map(|by| by.revision),
                plugin: plugin.map(|plugin| format!("{}@{}", plugin.name, plugin.version)),
                digest: plugin.map(|plugin| plugin.digest),
                code: failure.code,
                message: failure.message,
            });
        }
    }
    Ok(letters)
}
