//! Writes edges in batches, one transaction each. An aborted transaction is repeated; a refused batch is halved until the
//! refused edges are alone.

use std::collections::HashMap;

use assay_core::names::Offset;
use assay_engine::ports::graph::GraphEdge;
use assay_engine::ports::{PartitionId, RejectedItem, StoreError};
use serde::Deserialize;

use super::graph::DgraphGraph;
use super::index_race::{IndexRead, require_complete};
use super::server::{Failure, retry_if_aborted};
use super::text::quote;
use super::transaction;

/// Bounds the texts of one transaction. A single edge may have more.
const MAX_BATCH_BYTES: usize = 2 << 20;

/// An edge and its index in the write.
type IndexedEdge = (usize, GraphEdge);

impl DgraphGraph {
    /// The offset of the verdicts topic from which on a partition's blocks are not in the graph; 0 if none was written.
    pub(super) fn read_position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        #[derive(Deserialize)]
        struct FoundPositions {
            position: Vec<IndexRead<Position>>,
        }
        #[derive(Deserialize)]
        struct Position {
            next: u64,
        }
        self.schema.predicates(&self.server)?;
        let (ns, partition) = (self.server.namespace(), quote(&partition.to_string()));
        let query = format!("{{ position(func: eq({ns}.position, {partition})) {{ next: {ns}.position.next }} }}");
        let doing = "reading a position";
        let found = retry_if_aborted(|| require_complete(self.server.read::<FoundPositions>(doing, &query)?.position));
        let found = found.map_err(|failure| self.to_store_error(doing, failure))?;
        Ok(Offset(found.first().map_or(0, |position| position.next)))
    }

    /// Writes edges and then the position. Returns the edges that Dgraph rejects for good, by rising index.
    ///
    /// The position is committed with the last batch: after a crash before that, all batches are written again, which
    /// changes nothing.
    pub(super) fn write_edges(
        &self,
        partition: &PartitionId,
        edges: Vec<GraphEdge>,
        next: Offset,
    ) -> Result<Vec<RejectedItem>, StoreError> {
        if next <= self.read_position(partition)? {
            return Ok(Vec::new());
        }
        let refused = self.schema.add_missing_predicates(&self.server, edges.iter())?;
        let mut rejected = Vec::new();
        let mut latest: HashMap<(String, String, String), IndexedEdge> = HashMap::with_capacity(edges.len());
        for (index, mut edge) in edges.into_iter().enumerate() {
            if let Some(reason) = refused.get(&edge.name) {
                rejected.push(RejectedItem { index, message: format!("edge '{}': {reason}", edge.name) });
                continue;
            }
            // Dgraph has no form for infinite facets.
            edge.score = edge.score.filter(|score| score.is_finite());
            let identity = (edge.source.clone(), edge.name.clone(), edge.target.clone());
            if latest.get(&identity).is_none_or(|(_, have)| edge.is_later_than(have)) {
                latest.insert(identity, (index, edge));
            }
        }
        let mut edges: Vec<IndexedEdge> = latest.into_values().collect();
        edges.sort_unstable_by_key(|(index, _)| *index);
        let mut batches = split_into_batches(&edges, self.batch_edges);
        let last = batches.pop().unwrap_or(&[]);
        for batch in batches {
            self.write_batch(partition, batch, None, &mut rejected)?;
        }
        let next = rejected.is_empty().then_some(next);
        self.write_batch(partition, last, next, &mut rejected)?;
        rejected.sort_by_key(|rejected| rejected.index);
        Ok(rejected)
    }

    /// Writes a batch in one transaction. If Dgraph refuses it, its halves are tried, until each refused edge is alone.
    fn write_batch(
        &self,
        partition: &PartitionId,
        batch: &[IndexedEdge],
        next: Option<Offset>,
        rejected: &mut Vec<RejectedItem>,
    ) -> Result<(), StoreError> {
        let Err(reason) = self.commit_batch(partition, batch, next)? else { return Ok(()) };
        // An empty transaction tells whether Dgraph refuses these edges or any write: in the latter case no edge may be
        // rejected, for rejected edges are not written again.
        self.schema.invalidate();
        self.schema.predicates(&self.server)?;
        if let Err(reason) = self.commit_batch(partition, &[], None)? {
            return Err(self.server.broken("writing edges", &reason));
        }
        let mut refused = vec![(batch, reason)];
        while let Some((part, reason)) = refused.pop() {
            if let [(index, edge)] = part {
                let message = format!("edge '{}' from '{}' to '{}': {reason}", edge.name, edge.source, edge.target);
                rejected.push(RejectedItem { index: *index, message });
                continue;
            }
            let (first, second) = part.split_at(part.len() / 2);
            for half in [first, second] {
                if let Err(reason) = self.commit_batch(partition, half, None)? {
                    refused.push((half, reason));
                }
            }
        }
        // The position stays if edges are refused.
        match self.commit_batch(partition, &[], next.filter(|_| rejected.is_empty()))? {
            Ok(()) => Ok(()),
            Err(reason) => Err(self.server.broken("writing a position", &reason)),
        }
    }

    /// Commits a batch and repeats aborted transactions. The inner error is the reason why Dgraph refuses the batch.
    fn commit_batch(
        &self,
        partition: &PartitionId,
        batch: &[IndexedEdge],
        next: Option<Offset>,
    ) -> Result<Result<(), String>, StoreError> {
        let edges: Vec<&GraphEdge> = batch.iter().map(|(_, edge)| edge).collect();
        match retry_if_aborted(|| transaction::upsert_edges(&self.server, partition, &edges, next)) {
            Ok(()) => Ok(Ok(())),
            Err(Failure::Refused(reason)) => Ok(Err(reason)),
            Err(failure) => Err(self.server.to_store_error("writing edges", failure)),
        }
    }

    /// The error of the port for a failure. A refusal may come from a dropped schema, so the next call applies it again.
    pub(super) fn to_store_error(&self, doing: &str, failure: Failure) -> StoreError {
        if matches!(failure, Failure::Refused(_)) {
            self.schema.invalidate();
        }
        self.server.to_store_error(doing, failure)
    }
}

/// Splits edges into batches of at most `max_edges` edges and [`MAX_BATCH_BYTES`] bytes.
fn split_into_batches(edges: &[IndexedEdge], max_edges: usize) -> Vec<&[IndexedEdge]> {
    let mut batches = Vec::new();
    let (mut first, mut bytes) = (0, 0);
    for (next, (_, edge)) in edges.iter().enumerate() {
        let length = edge.source.len() + edge.target.len() + edge.rule.len();
        if next - first == max_edges || (next > first && bytes + length > MAX_BATCH_BYTES) {
            batches.push(&edges[first..next]);
            (first, bytes) = (next, 0);
        }
        bytes += length;
    }
    if first < edges.len() {
        batches.push(&edges[first..]);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded() {
        let edge = |length: usize| (0, GraphEdge::between(&"x".repeat(length), "paid", ""));
        let lengths =
            |edges: &[IndexedEdge]| split_into_batches(edges, 3).iter().map(|batch| batch.len()).collect::<Vec<_>>();
        assert!(lengths(&[]).is_empty());
        assert_eq!(lengths(&vec![edge(1); 7]), [3, 3, 1]);
        assert_eq!(
            lengths(&[edge(1), edge(MAX_BATCH_BYTES), edge(1), edge(1), edge(MAX_BATCH_BYTES + 1)]),
            [1, 1, 2, 1]
        );
    }
}
