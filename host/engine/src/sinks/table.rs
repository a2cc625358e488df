//! The table of sinks. Their start, retention, deletion and the configuration iterate it.

use std::sync::Arc;

use assay_core::names::Offset;

use super::{DERIVE, Sink, SinkLoop, SinkTask, archive, dead_letters, derive, graph, outbox, profiles, series};
use crate::merge_position::derived_up_to;
use crate::plan::Plan;
use crate::ports::log::Topic;
use crate::ports::{PartitionId, Ports, StoreError};
use crate::shared::Shared;

/// Makes what a sink does with records: at the start, and anew after a panic, which may have left it half-changed.
pub(super) type SinkFactory = Box<dyn Fn() -> Box<dyn Sink> + Send>;

/// The part of a sink in the deletion of an entity's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeletionRole {
    /// Without it the places of the data are not known: it must run here, and is waited for.
    Required,
    /// Its store holds such data: it is waited for where it runs.
    Awaited,
    /// Nothing is deleted from its store.
    NotAwaited,
}

/// One sink.
pub(crate) struct SinkRow {
    /// As configuration, metrics, health and logs name it.
    pub(crate) name: &'static str,
    /// The topic that it carries.
    pub(crate) topic: Topic,
    /// Its position in a partition, as its store has it; none if there is nothing for it.
    pub(crate) position: fn(&Ports, &Plan, &PartitionId) -> Result<Option<Offset>, StoreError>,
    pub(crate) deletion: DeletionRole,
    /// None if its store is not configured.
    pub(super) make: fn(&Arc<Shared>) -> Option<Box<dyn SinkTask>>,
}

/// All sinks.
pub(crate) const SINKS: [SinkRow; 9] = [
    SinkRow {
        name: "archive-events",
        topic: Topic::Events,
        position: |ports, _, partition| ports.archive.events_position(partition).map(Some),
        deletion: DeletionRole::Required,
        make: |shared| {
            Some(sink_loop(shared, &shared.ports.archive, |port| Box::new(archive::ArchiveEventsSink::new(port))))
        },
    },
    SinkRow {
        name: "archive-verdicts",
        topic: Topic::Verdicts,
        position: |ports, _, partition| ports.archive.verdicts_position(partition).map(Some),
        deletion: DeletionRole::Required,
        make: |shared| {
            Some(sink_loop(shared, &shared.ports.archive, |port| Box::new(archive::ArchiveVerdictsSink(port))))
        },
    },
    SinkRow {
        name: "profiles",
        topic: Topic::Verdicts,
        position: |ports, _, partition| ports.profiles.position(partition).map(Some),
        deletion: DeletionRole::Awaited,
        make: |shared| Some(sink_loop(shared, &shared.ports.profiles, |port| Box::new(profiles::ProfilesSink(port)))),
    },
    SinkRow {
        name: "graph",
        topic: Topic::Verdicts,
        position: |ports, _, partition| ports.graph.position(partition).map(Some),
        deletion: DeletionRole::Awaited,
        make: |shared| Some(sink_loop(shared, &shared.ports.graph, |port| Box::new(graph::GraphSink(port)))),
    },
    SinkRow {
        name: "dead-letters",
        topic: Topic::Verdicts,
        position: |ports, _, partition| ports.dead_letters.position(partition).map(Some),
        deletion: DeletionRole::Awaited,
        make: |shared| {
            Some(sink_loop(shared, &shared.ports.dead_letters, |port| Box::new(dead_letters::DeadLettersSink(port))))
        },
    },
    SinkRow {
        name: DERIVE,
        topic: Topic::Events,
        position: derive_position,
        deletion: DeletionRole::Awaited,
        make: |shared| Some(Box::new(derive::DeriveSink::new(shared))),
    },
    SinkRow {
        name: "series-events",
        topic: Topic::Events,
        position: |ports, _, partition| {
            ports.series.as_ref().map(|series| series.events_position(partition)).transpose()
        },
        deletion: DeletionRole::NotAwaited,
        make: |shared| {
            let series = shared.ports.series.as_ref()?;
            Some(sink_loop(shared, series, |port| Box::new(series::SeriesEventsSink::new(port))))
        },
    },
    SinkRow {
        name: "series-verdicts",
        topic: Topic::Verdicts,
        position: |ports, _, partition| {
            ports.series.as_ref().map(|series| series.verdicts_position(partition)).transpose()
        },
        deletion: DeletionRole::NotAwaited,
        make: |shared| {
            let series = shared.ports.series.as_ref()?;
            Some(sink_loop(shared, series, |port| Box::new(series::SeriesVerdictsSink(port))))
        },
    },
    SinkRow {
        name: "outbox",
        topic: Topic::Verdicts,
        position: |ports, _, partition| ports.outbox.as_ref().map(|outbox| outbox.position(partition)).transpose(),
        deletion: DeletionRole::NotAwaited,
        make: |shared| {
            let outbox = shared.ports.outbox.as_ref()?;
            Some(sink_loop(shared, outbox, |port| Box::new(outbox::OutboxSink(port))))
        },
    },
];

/// The names of all sinks.
pub const SINK_NAMES: [&str; SINKS.len()] = {
    let mut names = [""; SINKS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = SINKS[at].name;
        at += 1;
    }
    names
};

fn sink_loop<P: ?Sized + Send + Sync + 'static>(
    shared: &Arc<Shared>,
    port: &Arc<P>,
    make: fn(Arc<P>) -> Box<dyn Sink>,
) -> Box<dyn SinkTask> {
    let port = port.clone();
    Box::new(SinkLoop::new(Box::new(move || make(port.clone())), shared.clone()))
}

/// The least of the positions of all streams that are derived from the partition's.
fn derive_position(ports: &Ports, plan: &Plan, partition: &PartitionId) -> Result<Option<Offset>, StoreError> {
    let mut least: Option<Offset> = None;
    for derived in plan.streams.get(&*partition.stream).iter().flat_map(|stream| &stream.derived) {
        // Also of the partitions of the derived stream that other processes have.
        let partitions = plan.streams.get(derived).map_or(0, |derived| derived.partitions);
        let at = derived_up_to(&*ports.state, derived, partitions, partition.partition)?;
        least = Some(least.map_or(at, |least| least.min(at)));
    }
    Ok(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_docs_name_the_sinks_of_the_table() {
        let docs = include_str!("../../../../docs/configuration.md");
        let listed = docs.split_once("The sinks are ").and_then(|(_, rest)| rest.split_once(". Each")).unwrap().0;
        let documented: Vec<&str> = listed.split('`').skip(1).step_by(2).collect();
        assert_eq!(documented, SINK_NAMES);
    }
}
