//! The graph port: one edge per name and ends.

use std::collections::BTreeMap;

use assay_core::names::Offset;

use super::client::{Client, Port};
use super::cursor;
use super::tables::{Extent, Positions};
use super::world::Write;
use crate::ports::graph::{Graph, GraphEdge};
use crate::ports::{Page, PartitionId, RejectedItem, StoreError};

const LISTING: &str = "neighbours";

/// All edges.
#[derive(Clone, Default)]
pub(super) struct GraphTable {
    /// By name, source and target.
    edges: BTreeMap<[String; 3], GraphEdge>,
    positions: Positions,
}

fn place_of(edge: &GraphEdge) -> [String; 3] {
    [edge.name.clone(), edge.source.clone(), edge.target.clone()]
}

impl GraphTable {
    fn write(&mut self, partition: &PartitionId, edges: &[GraphEdge], next: Offset, extent: Extent) {
        if next <= self.positions.get(partition) {
            return;
        }
        for edge in extent.stored_items(edges) {
            let place = place_of(edge);
            if self.edges.get(&place).is_none_or(|have| edge.is_later_than(have)) {
                self.edges.insert(place, edge.clone());
            }
        }
        self.positions.advance(partition, next, extent);
    }

    /// Deletes edges as far as they are there just so: one that a later event made again is that event's. Returns how
    /// many.
    pub(super) fn remove(&mut self, edges: &[GraphEdge]) -> u64 {
        let had = self.edges.len();
        for edge in edges {
            let place = place_of(edge);
            if self.edges.get(&place) == Some(edge) {
                self.edges.remove(&place);
            }
        }
        (had - self.edges.len()) as u64
    }

    fn neighbours(&self, node: &str, limit: usize, after: Option<&str>) -> Result<Page<GraphEdge>, StoreError> {
        // By name, then by the other end; an edge that begins at the node comes before one that ends there.
        type Place = (String, String, bool);
        let after: Option<Place> = cursor::read(LISTING, after)?;
        let place = |edge: &GraphEdge| {
            let is_incoming = edge.source != node;
            let other = if is_incoming { &edge.source } else { &edge.target };
            (edge.name.clone(), other.clone(), is_incoming)
        };
        let at_node = self.edges.values().filter(|edge| edge.source == node || edge.target == node);
        let mut found: BTreeMap<Place, &GraphEdge> = at_node.map(|edge| (place(edge), edge)).collect();
        if let Some(after) = after {
            found.retain(|place, _| *place > after);
        }
        Ok(cursor::page(LISTING, found.into_values().cloned(), limit, place))
    }
}

impl Graph for Client {
    fn position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.query(Port::Graph, |tables| Ok(tables.graph.positions.get(partition)))
    }

    fn write(
        &self,
        partition: &PartitionId,
        edges: Vec<GraphEdge>,
        next: Offset,
    ) -> Result<Vec<RejectedItem>, StoreError> {
        let (partition, count) = (partition.clone(), edges.len());
        let write = Write::new(Port::Graph, move |tables, extent| {
            tables.graph.write(&partition, &edges, next, extent);
            Ok(Vec::new())
        });
        self.execute(write.divisible(count))
    }

    fn neighbours(&self, node: &str, limit: usize, cursor: Option<&str>) -> Result<Page<GraphEdge>, StoreError> {
        self.query(Port::Graph, |tables| tables.graph.neighbours(node, limit, cursor))
    }
}
