//! Carries the edges of verdicts into the graph.

use std::collections::BTreeMap;
use std::sync::Arc;

use assay_core::names::Offset;
use assay_core::rule::Mode;
use assay_core::verdict::flags;

use super::{Follow, blocks_with};
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

    fn position(&self, of: &StreamPartition) -> Result<Offset, StoreError> {
        self.0.position(of)
    }

    fn carry(&mut self, _: &Plan, of: &StreamPartition, records: &[Records], next: Offset) -> Result<(), StoreError> {
        let mut edges: BTreeMap<(String, String, String), GraphEdge> = BTreeMap::new();
        for outcome in blocks_with(flags::EDGES, of, records)?.into_iter().flat_map(|block| block.outcomes) {
            for verdict in outcome.verdicts.into_iter().filter(|verdict| verdict.by.mode == Mode::Active) {
                for edge in verdict.edges {
                    let identity = (edge.source.clone(), edge.name.clone(), edge.target.clone());
                    let newer = GraphEdge {
                        source: edge.source,
                        name: edge.name,
                        target: edge.target,
                        score: verdict.score,
                        time: outcome.time,
                        rule: verdict.by.rule.clone(),
                    };
                    // Of one edge's events the latest counts; of equally late ones the one that came last.
                    if edges.get(&identity).is_none_or(|before| before.time <= newer.time) {
                        edges.insert(identity, newer);
                    }
                }
            }
        }
        let refused = self.0.write(of, edges.into_values().collect(), next)?;
        if let Some(first) = refused.first() {
            let (follower, edges) = (self.name(), refused.len());
            tracing::warn!(follower, partition = %of, edges, first = %first.message, "edges are refused for good");
        }
        Ok(())
    }
}
