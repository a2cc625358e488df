//! Carries the edges of verdicts into the graph.

use std::collections::BTreeMap;
use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::rule::Mode;
use assay_core::verdict::{Outcome, flags};

use super::verdicts::VerdictSink;
use super::{Refusal, refusals};
use crate::ports::graph::{Graph, GraphEdge};
use crate::ports::{PartitionId, StoreError};

pub(super) struct GraphSink(pub(super) Arc<dyn Graph>);

impl VerdictSink for GraphSink {
    const NAME: &'static str = "graph";
    const FLAGS: u8 = flags::EDGES;
    type Items = Vec<(Offset, GraphEdge)>;

    fn position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.0.position(partition)
    }

    /// The latest edges that verdicts make, each with its event.
    fn convert(_: &PartitionId, outcomes: impl Iterator<Item = (Offset, Outcome)>) -> Self::Items {
        let mut edges: BTreeMap<(String, String, String), (Offset, GraphEdge)> = BTreeMap::new();
        for (_, outcome) in outcomes {
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
        edges.into_values().collect()
    }

    fn write(&self, partition: &PartitionId, edges: Self::Items, next: Offset) -> Result<Vec<Refusal>, StoreError> {
        let (offsets, edges): (Vec<Offset>, Vec<GraphEdge>) = edges.into_iter().unzip();
        Ok(refusals(self.0.write(partition, edges, next)?, &offsets))
    }
}
