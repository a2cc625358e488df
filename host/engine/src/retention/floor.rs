//! Up to where nobody needs a partition's records any more: asked of the stores, which know it also after a restart.

use assay_core::names::Offset;

use super::SCORING;
use crate::merge_position::derived_up_to;
use crate::ports::log::Topic;
use crate::ports::{PartitionId, StoreError};
use crate::shared::Shared;
use crate::sinks::DERIVE;

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
    let mut search = FloorSearch { shared, least: RetentionFloor { at: Offset(0), reader: SCORING } };
    match topic {
        Topic::Events => {
            search.least.at = checkpoint.events;
            search.consider("archive-events", || ports.archive.events_position(partition))?;
            if let Some(series) = &ports.series {
                search.consider("series-events", || series.events_position(partition))?;
            }
            let plan = shared.plan();
            for derived in plan.streams.get(&*partition.stream).iter().flat_map(|stream| &stream.derived) {
                // Also of the partitions of the derived stream that other processes have.
                let partitions = plan.streams.get(derived).map_or(0, |derived| derived.partitions);
                let position = || derived_up_to(&*ports.state, derived, partitions, partition.partition);
                search.consider(DERIVE, position)?;
            }
        }
        Topic::Verdicts => {
            search.least.at = checkpoint.verdicts;
            search.consider("archive-verdicts", || ports.archive.verdicts_position(partition))?;
            search.consider("profiles", || ports.profiles.position(partition))?;
            search.consider("graph", || ports.graph.position(partition))?;
            search.consider("dead-letters", || ports.dead_letters.position(partition))?;
            if let Some(series) = &ports.series {
                search.consider("series-verdicts", || series.verdicts_position(partition))?;
            }
            if let Some(outbox) = &ports.outbox {
                search.consider("outbox", || outbox.position(partition))?;
            }
        }
    }
    Ok(search.least)
}

struct FloorSearch<'s> {
    shared: &'s Shared,
    least: RetentionFloor,
}

impl FloorSearch<'_> {
    /// A sink that does not run here waits for nothing.
    fn consider(
        &mut self,
        reader: &'static str,
        position: impl FnOnce() -> Result<Offset, StoreError>,
    ) -> Result<(), StoreError> {
        if self.shared.config.runs_sink(reader) {
            let at = position()?;
            if at < self.least.at {
                self.least = RetentionFloor { at, reader };
            }
        }
        Ok(())
    }
}
