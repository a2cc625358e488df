//! Writing edges: in transactions that begin again when somebody else's came first, halved where Dgraph refuses some.

use std::collections::HashMap;

use assay_core::names::Offset;
use assay_engine::ports::graph::GraphEdge;
use assay_engine::ports::{Poison, StoreError, StreamPartition};
use serde::Deserialize;

use super::server::{Failure, again_if_aborted};
use super::text::quoted;
use super::torn::{Torn, whole};
use super::{DgraphGraph, transaction};

/// The most bytes of texts in one transaction, unless one edge has more.
const LONGEST_BATCH: usize = 2 << 20;

/// An edge, and its index in the write.
type Indexed = (usize, GraphEdge);

impl DgraphGraph {
    /// How far a partition's follower is.
    pub(super) fn read_position(&self, of: &StreamPartition) -> Result<Offset, StoreError> {
        #[derive(Deserialize)]
        struct Found {
            position: Vec<Torn<Position>>,
        }
        #[derive(Deserialize)]
        struct Position {
            next: u64,
        }
        self.schema.predicates(&self.server)?;
        let (ns, of) = (self.server.namespace(), quoted(&of.to_string()));
        let query = format!("{{ position(func: eq({ns}.position, {of})) {{ next: {ns}.position.next }} }}");
        let doing = "reading a position";
        let found = again_if_aborted(|| whole(self.server.read::<Found>(doing, &query)?.position));
        let found = found.map_err(|failure| self.failed(doing, failure))?;
        Ok(Offset(found.first().map_or(0, |position| position.next)))
    }

    /// Writes edges and the position behind them. Returns the edges that are refused for good, by rising index.
    pub(super) fn write_edges(
        &self,
        of: &StreamPartition,
        edges: Vec<GraphEdge>,
        next: Offset,
    ) -> Result<Vec<Poison>, StoreError> {
        if next <= self.read_position(of)? {
            return Ok(Vec::new());
        }
        let refused = self.schema.make(&self.server, edges.iter())?;
        let mut poison = Vec::new();
        let mut latest: HashMap<(String, String, String), Indexed> = HashMap::with_capacity(edges.len());
        for (index, mut edge) in edges.into_iter().enumerate() {
            if let Some(said) = refused.get(&edge.name) {
                poison.push(Poison { index, message: format!("edge '{}': {said}", edge.name) });
                continue;
            }
            // A facet cannot be infinite.
            edge.score = edge.score.filter(|score| score.is_finite());
            let identity = (edge.source.clone(), edge.name.clone(), edge.target.clone());
            if latest.get(&identity).is_none_or(|(_, have)| edge.is_later_than(have)) {
                latest.insert(identity, (index, edge));
            }
        }
        let mut edges: Vec<Indexed> = latest.into_values().collect();
        edges.sort_unstable_by_key(|(index, _)| *index);
        let mut batches = batches(&edges, self.batch_edges);
        let last = batches.pop().unwrap_or(&[]);
        for batch in batches {
            self.write_batch(of, batch, None, &mut poison)?;
        }
        self.write_batch(of, last, Some(next), &mut poison)?;
        poison.sort_by_key(|poison| poison.index);
        Ok(poison)
    }

    /// Writes a batch in one transaction; where it is refused, its halves, until the edges to blame are alone.
    fn write_batch(
        &self,
        of: &StreamPartition,
        batch: &[Indexed],
        next: Option<Offset>,
        poison: &mut Vec<Poison>,
    ) -> Result<(), StoreError> {
        let Err(said) = self.commit(of, batch, next)? else { return Ok(()) };
        // Is it the edges, or would Dgraph refuse anything now?
        self.schema.forget();
        self.schema.predicates(&self.server)?;
        if let Err(said) = self.commit(of, &[], None)? {
            return Err(self.server.broken("writing edges", &said));
        }
        let mut todo = vec![(batch, said)];
        while let Some((part, said)) = todo.pop() {
            if let [(index, edge)] = part {
                let message = format!("edge '{}' from '{}' to '{}': {said}", edge.name, edge.source, edge.target);
                poison.push(Poison { index: *index, message });
                continue;
            }
            let (first, second) = part.split_at(part.len() / 2);
            for half in [first, second] {
                if let Err(said) = self.commit(of, half, None)? {
                    todo.push((half, said));
                }
            }
        }
        match self.commit(of, &[], next)? {
            Ok(()) => Ok(()),
            Err(said) => Err(self.server.broken("writing a position", &said)),
        }
    }

    /// Commits a batch, beginning again when somebody else's transaction came first. What is inside says why Dgraph
    /// refuses it.
    fn commit(
        &self,
        of: &StreamPartition,
        batch: &[Indexed],
        next: Option<Offset>,
    ) -> Result<Result<(), String>, StoreError> {
        let edges: Vec<&GraphEdge> = batch.iter().map(|(_, edge)| edge).collect();
        match again_if_aborted(|| transaction::run(&self.server, of, &edges, next)) {
            Ok(()) => Ok(Ok(())),
            Err(Failure::Refused(said)) => Ok(Err(said)),
            Err(failure) => Err(self.server.failed("writing edges", failure)),
        }
    }

    /// A failure as an error. What is known of the schema is forgotten if that may be the reason.
    pub(super) fn failed(&self, doing: &str, failure: Failure) -> StoreError {
        if matches!(failure, Failure::Refused(_)) {
            self.schema.forget();
        }
        self.server.failed(doing, failure)
    }
}

/// Edges, cut into batches of so many at most, and of a bounded length.
fn batches(edges: &[Indexed], most: usize) -> Vec<&[Indexed]> {
    let mut batches = Vec::new();
    let (mut first, mut bytes) = (0, 0);
    for (next, (_, edge)) in edges.iter().enumerate() {
        let length = edge.source.len() + edge.target.len() + edge.rule.len();
        if next - first == most || (next > first && bytes + length > LONGEST_BATCH) {
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
        let lengths = |edges: &[Indexed]| batches(edges, 3).iter().map(|batch| batch.len()).collect::<Vec<_>>();
        assert!(lengths(&[]).is_empty());
        assert_eq!(lengths(&vec![edge(1); 7]), [3, 3, 1]);
        assert_eq!(lengths(&[edge(1), edge(LONGEST_BATCH), edge(1), edge(1), edge(LONGEST_BATCH + 1)]), [1, 1, 2, 1]);
    }
}
