//! The graph port: edges between nodes, upserted by name and ends.

use assay_core::names::Offset;
use assay_core::verdict::{Edge, Facets, RuleStamp};
use serde::{Deserialize, Serialize};

use super::{Page, PartitionId, RejectedItem, StoreError};

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
    /// What else the rule keeps with it.
    #[serde(default, skip_serializing_if = "Facets::is_empty")]
    pub facets: Facets,
}

impl GraphEdge {
    /// An edge that holds nothing yet.
    pub fn between(source: &str, name: &str, target: &str) -> Self {
        let (source, name, target) = (source.to_owned(), name.to_owned(), target.to_owned());
        Self { source, name, target, score: None, time: 0, rule: String::new(), facets: Facets::new() }
    }

    /// The edge that a verdict made of an event at a time.
    pub fn made(edge: Edge, by: &RuleStamp, score: Option<f64>, time: i64) -> Self {
        let Edge { name, source, target, facets } = edge;
        Self { source, name, target, score, time, rule: by.rule.clone(), facets }
    }

    /// Which of two edges with the same ends and name stays: the later one; of equally late ones any, but always the
    /// same.
    pub fn is_later_than(&self, have: &Self) -> bool {
        let score = |edge: &Self| edge.score.unwrap_or(f64::NEG_INFINITY);
        let facets = |edge: &Self| serde_json::to_string(&edge.facets).unwrap_or_default();
        let by_score = || score(self).total_cmp(&score(have));
        let by_facets = || facets(self).cmp(&facets(have));
        let by_rule = || self.rule.cmp(&have.rule).then_with(by_facets);
        self.time.cmp(&have.time).then_with(by_score).then_with(by_rule).is_gt()
    }
}

/// Edges between nodes.
pub trait Graph: Send + Sync {
    /// The offset of the verdicts topic from which on blocks are not in the graph yet.
    ///
    /// # Errors
    /// The store fails.
    fn position(&self, partition: &PartitionId) -> Result<Offset, StoreError>;

    /// Upserts edges, each (source, name, target) once; all verdict blocks before `next` are in then. Among edges from
    /// several partitions the one with the latest time stays. Returns the edges that the store refuses for good, by
    /// rising index. If there are any, the position is not stored: see [`RejectedItem`].
    ///
    /// # Errors
    /// The store fails.
    fn write(
        &self,
        partition: &PartitionId,
        edges: Vec<GraphEdge>,
        next: Offset,
    ) -> Result<Vec<RejectedItem>, StoreError>;

    /// The edges that begin or end at a node, ordered by name, then by the other end.
    ///
    /// # Errors
    /// The store fails, or the cursor is not one of ours.
    fn neighbours(&self, node: &str, limit: usize, cursor: Option<&str>) -> Result<Page<GraphEdge>, StoreError>;
}

/// No graph: for servers without a store for one. Its sink is not to run.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoGraph;

impl NoGraph {
    fn none() -> StoreError {
        let message = "this server has none: set dgraph.url".to_owned();
        StoreError::Unavailable { store: "graph", message }
    }
}

impl Graph for NoGraph {
    fn position(&self, _partition: &PartitionId) -> Result<Offset, StoreError> {
        Err(Self::none())
    }

    fn write(
        &self,
        _partition: &PartitionId,
        _edges: Vec<GraphEdge>,
        _next: Offset,
    ) -> Result<Vec<RejectedItem>, StoreError> {
        Err(Self::none())
    }

    fn neighbours(&self, _node: &str, _limit: usize, _cursor: Option<&str>) -> Result<Page<GraphEdge>, StoreError> {
        Err(Self::none())
    }
}
