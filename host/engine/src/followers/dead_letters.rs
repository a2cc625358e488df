//! Carries failures into the dead letters.

use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::verdict::flags;

use super::{Follow, Refusal, blocks_with};
use crate::plan::Plan;
use crate::ports::dead_letters::{DeadLetter, DeadLetters};
use crate::ports::log::{Records, Topic};
use crate::ports::{Place, StoreError, StreamPartition};

pub(super) struct Follower(pub(super) Arc<dyn DeadLetters>);

impl Follow for Follower {
    fn name(&self) -> &'static str {
        "dead-letters"
    }

    fn topic(&self) -> Topic {
        Topic::Verdicts
    }

    fn position(&mut self, of: &StreamPartition) -> Result<Offset, StoreError> {
        self.0.position(of)
    }

    fn carry(
        &mut self,
        _: &Plan,
        of: &StreamPartition,
        records: &[Records],
        next: Offset,
    ) -> Result<Vec<Refusal>, StoreError> {
        let mut letters = Vec::new();
        for outcome in blocks_with(flags::FAILURES, of, records)?.into_iter().flat_map(|block| block.outcomes) {
            for failure in outcome.failures {
                let by = failure.by.as_ref();
                let plugin = by.and_then(|by| by.plugin.as_ref());
                letters.push(DeadLetter {
                    stream: of.stream.to_string(),
                    place: Place { partition: of.partition, offset: outcome.offset },
                    time: outcome.time,
                    key: outcome.key.clone(),
                    id: outcome.id.clone(),
                    rule: by.map(|by| by.rule.clone()),
                    revision: by.map(|by| by.revision),
                    plugin: plugin.map(|plugin| format!("{}@{}", plugin.name, plugin.version)),
                    digest: plugin.map(|plugin| plugin.digest),
                    code: failure.code,
                    message: failure.message,
                });
            }
        }
        self.0.write(of, &letters, next).map(|()| Vec::new())
    }
}
