//! Up to where nobody needs a partition's records any more: asked of the stores, which know it also after a restart.

use assay_core::names::Offset;

use super::SCORING;
use crate::derived::progress_of;
use crate::ports::log::Topic;
use crate::ports::{StoreError, StreamPartition};
use crate::shared::Shared;

/// The first record that is still needed, and who needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Floor {
    pub(super) at: Offset,
    pub(super) reader: &'static str,
}

/// The first record of a partition of a topic that is still needed.
pub(super) fn floor(shared: &Shared, of: &StreamPartition, topic: Topic) -> Result<Floor, StoreError> {
    let ports = &shared.ports;
    let checkpoint = ports.state.checkpoint(of)?.unwrap_or_default();
    let mut needs = Needed { shared, least: Floor { at: Offset(0), reader: SCORING } };
    match topic {
        Topic::Events => {
            needs.least.at = checkpoint.events;
            needs.by("archive-events", || ports.archive.events_position(of))?;
            if let Some(series) = &ports.series {
                needs.by("series-events", || series.events_position(of))?;
            }
            let plan = shared.plan();
            for derived in plan.streams.get(&*of.stream).iter().flat_map(|stream| &stream.derived) {
                let progress = progress_of(derived, of.partition);
                needs.by("derive", || Ok(ports.state.checkpoint(&progress)?.unwrap_or_default().events))?;
            }
        }
        Topic::Verdicts => {
            needs.least.at = checkpoint.verdicts;
            needs.by("archive-verdicts", || ports.archive.verdicts_position(of))?;
            needs.by("profiles", || ports.profiles.position(of))?;
            needs.by("graph", || ports.graph.position(of))?;
            needs.by("dead-letters", || ports.dead_letters.position(of))?;
            if let Some(series) = &ports.series {
                needs.by("series-verdicts", || series.verdicts_position(of))?;
            }
            if let Some(outbox) = &ports.outbox {
                needs.by("outbox", || outbox.position(of))?;
            }
        }
    }
    Ok(needs.least)
}

struct Needed<'s> {
    shared: &'s Shared,
    least: Floor,
}

impl Needed<'_> {
    /// A follower that does not run here waits for nothing.
    fn by(
        &mut self,
        reader: &'static str,
        position: impl FnOnce() -> Result<Offset, StoreError>,
    ) -> Result<(), StoreError> {
        if self.shared.config.follows(reader) {
            let at = position()?;
            if at < self.least.at {
                self.least = Floor { at, reader };
            }
        }
        Ok(())
    }
}
