//! Carries failures into the dead letters.

use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::verdict::{Outcome, flags};

use super::Refusal;
use super::verdicts::VerdictSink;
use crate::ports::dead_letters::{DeadLetter, DeadLetters};
use crate::ports::{PartitionId, Place, StoreError};

pub(super) struct DeadLettersSink(pub(super) Arc<dyn DeadLetters>);

impl VerdictSink for DeadLettersSink {
    const NAME: &'static str = "dead-letters";
    const FLAGS: u8 = flags::FAILURES;
    type Items = Vec<DeadLetter>;

    fn position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.0.position(partition)
    }

    fn convert(partition: &PartitionId, outcomes: impl Iterator<Item = (Offset, Outcome)>) -> Vec<DeadLetter> {
        let mut letters = Vec::new();
        for (_, outcome) in outcomes {
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
        letters
    }

    fn write(
        &self,
        partition: &PartitionId,
        letters: Vec<DeadLetter>,
        next: Offset,
    ) -> Result<Vec<Refusal>, StoreError> {
        self.0.write(partition, &letters, next).map(|()| Vec::new())
    }
}
