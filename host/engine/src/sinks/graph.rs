//! Carries the edges of verdicts into the graph.

use std::collections::BTreeMap;
use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::rule::Mode;
use assay_core::verdict::flags;

use super::{Refusal, Sink, read_blocks_with, refusals};
use crate::plan::Plan;
use crate::ports::graph::{Graph, GraphEdge};
use crate::ports::log::{Records, Topic};
use crate::ports::{PartitionId, StoreError};

pub(super) struct GraphSink(pub(super) Arc<dyn Graph>);

impl Sink for GraphSink {
    fn name(&self) -> &'static str {
        "graph"
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
        let (offsets, edges): (Vec<Offset>, Vec<GraphEdge>) = edges_of(partition, records)?.into_iter().unzip();
        Ok(refusals(self.0.write(partition, edges, next)?, &offsets))
    }

    fn examine(&mut self, partition: &PartitionId, records: &[Records]) -> Result<(), StoreError> {
        edges_of(partition, records).map(drop)
    }
}

/// The latest edges that verdicts make, each with its event.
fn edges_of(partition: &PartitionId, records: &[Records]) -> Result<Vec<(Offset, GraphEdge)>, StoreError> {
    let mut edges: BTreeMap<(String, String, String), (Offset, GraphEdge)> = BTreeMap::new();
    for outcome in read_blocks_with(flags::EDGES, partition, records)?.into_iter().flat_map(|block| block.outcomes) {
        for verdict in outcome.verdicts.into_iter().filter(|verdict| verdict.by.mode == Mode::Active) {
            for edge in verdict.edges {
                let identity = (edge.source.clone(), edge.name.clone(), edge.target.clone());
                let newer = GraphEdge::made(edge, &verdict.by, verdict.score, outcome.time);
                if edges.get(&identity).is_none_or(|(_, before)| newer.is_later_than(before)) {
                    edges.insert(identity, (outcome.offset, newer));
                }
            }
        }
    }
    Ok(edges.into_values().collect())
}
