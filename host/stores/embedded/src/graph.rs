//! The graph: every edge has two rows, one under its source and one under its target.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use assay_core::names::Offset;
use assay_engine::ports::graph::{Graph, GraphEdge};
use assay_engine::ports::{Page, PartitionId, RejectedItem, StoreError};

use super::commits::Batch;
use super::cursor::{self, Listing};
use super::database::{Database, Durability};
use super::error::{broken, failed};
use super::keys::{self, PositionOwner};

/// A larger limit is lowered to this.
const MAX_PAGE_ITEMS: usize = 10_000;

/// The graph on the embedded database.
pub(super) struct EmbeddedGraph {
    database: Arc<Database>,
    /// Locked while edges are read, compared and written. Without it a concurrent write could replace a later edge by an
    /// earlier one.
    writer: Mutex<()>,
}

/// The end of an edge under which a row stands. The numbers are part of the keys.
#[derive(Clone, Copy)]
enum EdgeEnd {
    Source = 0,
    Target = 1,
}

impl EmbeddedGraph {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database, writer: Mutex::default() }
    }

    /// Locks the edges for reading, comparing and writing.
    pub(super) fn lock(&self) -> MutexGuard<'_, ()> {
        // A poisoned lock is safe: it guards no data of its own.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the removal of edges to a batch, and returns their number. An edge that differs from the stored one is kept:
    /// a later event wrote it again.
    pub(super) fn erase(&self, batch: &mut Batch, edges: Vec<GraphEdge>) -> Result<u64, StoreError> {
        let mut gone = HashSet::new();
        for edge in edges {
            let key = row_key(EdgeEnd::Source, &edge);
            let have = self.database.get(&self.database.graph, &key, "reading an edge")?;
            if have.map(|have| decode(&have)).transpose()?.is_some_and(|have| have == edge) && gone.insert(key.clone())
            {
                batch.remove(&self.database.graph, row_key(EdgeEnd::Target, &edge));
                batch.remove(&self.database.graph, key);
            }
        }
        Ok(gone.len() as u64)
    }
}

impl Graph for EmbeddedGraph {
    fn position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        let id = self.database.streams.find_partition(partition);
        id.map_or(Ok(Offset(0)), |id| self.database.position(PositionOwner::Graph, id).map(Offset))
    }

    fn write(
        &self,
        partition: &PartitionId,
        edges: Vec<GraphEdge>,
        next: Offset,
    ) -> Result<Vec<RejectedItem>, StoreError> {
        let id = self.database.streams.find_or_add_partition(&self.database, partition)?;
        let _writer = self.lock();
        // At the stored position the parts of a block are added, so only an older one is outdated.
        if next.0 < self.database.position(PositionOwner::Graph, id)? {
            return Ok(Vec::new());
        }
        let mut latest: HashMap<Vec<u8>, GraphEdge> = HashMap::with_capacity(edges.len());
        for edge in edges {
            let key = row_key(EdgeEnd::Source, &edge);
            if latest.get(&key).is_none_or(|have| edge.is_later_than(have)) {
                latest.insert(key, edge);
            }
        }
        let mut batch = self.database.batch(2 * latest.len() + 1);
        for (key, edge) in latest {
            if let Some(have) = self.database.get(&self.database.graph, &key, "reading an edge")?
                && !edge.is_later_than(&decode(&have)?)
            {
                continue;
            }
            let value =
                serde_json::to_vec(&edge).map_err(|error| broken(format!("an edge has no JSON form: {error}")))?;
            batch.insert(&self.database.graph, row_key(EdgeEnd::Target, &edge), &value[..]);
            batch.insert(&self.database.graph, key, value);
        }
        self.database.put_position(&mut batch, PositionOwner::Graph, id, next.0);
        self.database.commit(batch, Durability::Process, format_args!("writing edges of {partition}"))?;
        Ok(Vec::new())
    }

    fn neighbours(&self, node: &str, limit: usize, cursor: Option<&str>) -> Result<Page<GraphEdge>, StoreError> {
        let after = cursor.map(|cursor| cursor::read(Listing::Neighbours, cursor)).transpose()?;
        let limit = limit.min(MAX_PAGE_ITEMS);
        if limit == 0 {
            return Ok(Page { items: Vec::new(), cursor: None });
        }
        // Both directions are in the order of the listing, so the smaller of the two next edges comes next.
        let mut out = self.scan_edges(EdgeEnd::Source, node, after.as_deref()).peekable();
        let mut back = self.scan_edges(EdgeEnd::Target, node, after.as_deref()).peekable();
        let mut items = Vec::new();
        let mut last = Vec::new();
        loop {
            let next = match (out.peek(), back.peek()) {
                (Some(Ok((a, _))), Some(Ok((b, _)))) if a > b => back.next(),
                (Some(_), _) => out.next(),
                (None, _) => back.next(),
            };
            let Some((position, edge)) = next.transpose()? else {
                return Ok(Page { items, cursor: None });
            };
            // An edge from a node to itself is in both lists.
            if edge.source == edge.target && position.last() == Some(&(EdgeEnd::Target as u8)) {
                continue;
            }
            if items.len() == limit {
                return Ok(Page { items, cursor: Some(cursor::write(Listing::Neighbours, &last)) });
            }
            items.push(edge);
            last = position;
        }
    }
}

impl EmbeddedGraph {
    /// The edges at one end of a node after a position of the listing, each with its own position. A position is the row's
    /// key without the node, and then the end.
    fn scan_edges(
        &self,
        end: EdgeEnd,
        node: &str,
        after: Option<&[u8]>,
    ) -> impl Iterator<Item = Result<(Vec<u8>, GraphEdge), StoreError>> {
        let prefix = node_key(end, node);
        let length = prefix.len();
        let mut start = prefix.clone();
        // A position without its last byte, the end, is the key to start from. Rows up to the position are skipped below.
        start.extend_from_slice(after.and_then(|position| position.split_last()).map_or(&[], |(_, position)| position));
        let after = after.map(<[u8]>::to_vec);
        let rows = self.database.graph.range(start..).map(move |row| {
            let (key, value) = row.into_inner().map_err(|error| failed("reading edges", &error))?;
            Ok((key, value))
        });
        let rows = rows.take_while(move |row| row.as_ref().map_or(true, |(key, _)| key.starts_with(&prefix)));
        rows.filter_map(move |row| {
            let row = row.and_then(|(key, value)| {
                let mut position = key[length..].to_vec();
                position.push(end as u8);
                Ok((position, decode(&value)?))
            });
            match (&row, &after) {
                (Ok((position, _)), Some(after)) if position <= after => None,
                _ => Some(row),
            }
        })
    }
}

fn node_key(end: EdgeEnd, node: &str) -> Vec<u8> {
    let mut key = vec![end as u8];
    keys::push_text(&mut key, node);
    key
}

fn row_key(end: EdgeEnd, edge: &GraphEdge) -> Vec<u8> {
    let (node, other) = match end {
        EdgeEnd::Source => (&edge.source, &edge.target),
        EdgeEnd::Target => (&edge.target, &edge.source),
    };
    let mut key = node_key(end, node);
    keys::push_text(&mut key, &edge.name);
    keys::push_text(&mut key, other);
    key
}

fn decode(value: &[u8]) -> Result<GraphEdge, StoreError> {
    serde_json::from_slice(value).map_err(|error| broken(format!("an edge cannot be read: {error}")))
}
