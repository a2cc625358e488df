//! The graph port: edges between nodes, upserted by name and ends.

use assay_core::names::Offset;
use serde::{Deserialize, Serialize};

use super::{Page, Poison, StoreError, StreamPartition};

/// An edge as the graph keeps it: one per (source, name, target), with the facets of its latest event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GraphEdge {
    /// Where it begins.
    pub source: String,
    /// Its name.
    pub name: String,
    /// Where it ends.
    pub target: String,
    /// The score of the verdict that made it, if there was one.
    pub score: Option<f64>,
    /// The event's time, ms since 1970.
    pub time: i64,
    /// The rule that made it.
    pub rule: String,
}

impl GraphEdge {
    /// Which of two edges with the same ends and name stays: the later one; of equally late ones any, but always the
    /// same.
    pub fn is_later_than(&self, have: &Self) -> bool {
        let score = |edge: &Self| edge.score.unwrap_or(f64::NEG_INFINITY);
        let by_score = || score(self).total_cmp(&score(have));
        self.time.cmp(&have.time).then_with(by_score).then_with(|| self.rule.cmp(&have.rule)).is_gt()
    }
}

/// Edges between nodes.
pub trait Graph: Send + Sync {
    /// The offset of the verdicts topic from which on blocks are not in the graph yet.
    ///
    /// # Errors
    /// The store fails.
    fn position(&self, of: &StreamPartition) -> Result<Offset, StoreError>;

    /// Upserts edges, each (source, name, target) once; all verdict blocks before `next` are in then. Among edges from
    /// several partitions the one with the latest time stays. Returns the edges that the store refuses for good, by
    /// rising index.
    ///
    /// # Errors
    /// The store fails.
    fn write(&self, of: &StreamPartition, edges: Vec<GraphEdge>, next: Offset) -> Result<Vec<Poison>, StoreError>;

    /// The edges that begin or end at a node, ordered by name, then by the other end.
    ///
    /// # Errors
    /// The store fails, or the cursor is not one of ours.
    fn neighbours(&self, node: &str, limit: usize, cursor: Option<&str>) -> Result<Page<GraphEdge>, StoreError>;
}
