//! Carries the edges of verdicts into the graph.

use std::collections::BTreeMap;
use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::rule::Mode;
use assay_core::verdict::flags;

use super::{Follow, Refusal, blocks_with, refusals};
use crate::plan::Plan;
use crate::ports::graph::{Graph, GraphEdge};
use crate::ports::log::{Records, Topic};
use crate::ports::{StoreError, StreamPartition};

pub(super) struct Follower(pub(super) Arc<dyn Graph>);

impl Follow for Follower {
    fn name(&self) -> &'static str {
        "graph"
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
        let mut edges: BTreeMap<(String, String, String), (Offset, GraphEdge)> = BTreeMap::new();
        for outcome in blocks_with(flags::EDGES, of, records)?.into_iter().flat_map(|block| block.outcomes) {
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
        let (offsets, edges): (Vec<Offset>, Vec<GraphEdge>) = edges.into_values().unzip();
        Ok(refusals(self.0.write(of, edges, next)?, &offsets))
    }
}
