//! Up to where nobody needs a partition's records any more: asked of the stores, which know it also after a restart.

use assay_core::names::Offset;

use super::SCORING;
use crate::ports::log::Topic;
use crate::ports::{PartitionId, StoreError};
use crate::shared::Shared;
use crate::sinks::SINKS;

/// The first record that is still needed, and who needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RetentionFloor {
    pub(super) at: Offset,
    pub(super) reader: &'static str,
}

/// The first record of a partition of a topic that is still needed.
pub(super) fn find_floor(shared: &Shared, partition: &PartitionId, topic: Topic) -> Result<RetentionFloor, StoreError> {
    let ports = &shared.ports;
    let checkpoint = ports.state.checkpoint(partition)?.unwrap_or_default();
    let at = match topic {
        Topic::Events => checkpoint.events,
        Topic::Verdicts => checkpoint.verdicts,
    };
    let mut floor = RetentionFloor { at, reader: SCORING };
    let plan = shared.plan();
    // A sink that does not run here waits for nothing.
    for sink in SINKS.iter().filter(|sink| sink.topic == topic && shared.config.runs_sink(sink.name)) {
        match (sink.position)(ports, &plan, partition)? {
            Some(at) if at < floor.at => floor = RetentionFloor { at, reader: sink.name },
            _ => {}
        }
    }
    Ok(floor)
}
