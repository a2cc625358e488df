//! The graph: every edge twice, under the node where it begins and under the one where it ends.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use assay_core::names::Offset;
use assay_engine::ports::graph::{Graph, GraphEdge};
use assay_engine::ports::{Page, Poison, StoreError, StreamPartition};

use super::commits::Batch;
use super::cursor::{self, Listing};
use super::database::{Database, Durability};
use super::error::{broken, failed};
use super::keys::{self, Whose};

/// The most edges of one page.
const LONGEST_PAGE: usize = 10_000;

/// The graph on the embedded database.
pub struct EmbeddedGraph {
    database: Arc<Database>,
    /// Edges are read, compared and written: one follower at a time, or a later edge could be lost to an earlier one.
    writer: Mutex<()>,
}

/// Which end of an edge a row is under.
#[derive(Clone, Copy)]
enum End {
    Source = 0,
    Target = 1,
}

impl EmbeddedGraph {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database, writer: Mutex::default() }
    }

    /// To be held while edges are read, compared and written.
    pub(super) fn lock(&self) -> MutexGuard<'_, ()> {
        // The lock guards no data of its own, so what a panic left behind does not matter.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the removal of edges to a batch, as far as they are there just so: one that a later event made again is
    /// that event's. Returns how many.
    pub(super) fn erase(&self, batch: &mut Batch, edges: Vec<GraphEdge>) -> Result<u64, StoreError> {
        let mut gone = HashSet::new();
        for edge in edges {
            let key = row_key(End::Source, &edge);
            let have = self.database.get(&self.database.graph, &key, "reading an edge")?;
            if have.map(|have| decode(&have)).transpose()?.is_some_and(|have| have == edge) && gone.insert(key.clone())
            {
                batch.remove(&self.database.graph, row_key(End::Target, &edge));
                batch.remove(&self.database.graph, key);
            }
        }
        Ok(gone.len() as u64)
    }
}

impl Graph for EmbeddedGraph {
    fn position(&self, of: &StreamPartition) -> Result<Offset, StoreError> {
        let id = self.database.streams.find_partition(of);
        id.map_or(Ok(Offset(0)), |id| self.database.position(Whose::Graph, id).map(Offset))
    }

    fn write(&self, of: &StreamPartition, edges: Vec<GraphEdge>, next: Offset) -> Result<Vec<Poison>, StoreError> {
        let id = self.database.streams.number_partition(&self.database, of)?;
        let _writer = self.lock();
        if next.0 <= self.database.position(Whose::Graph, id)? {
            return Ok(Vec::new());
        }
        let mut latest: HashMap<Vec<u8>, GraphEdge> = HashMap::with_capacity(edges.len());
        for edge in edges {
            let key = row_key(End::Source, &edge);
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
            batch.insert(&self.database.graph, row_key(End::Target, &edge), &value[..]);
            batch.insert(&self.database.graph, key, value);
        }
        self.database.put_position(&mut batch, Whose::Graph, id, next.0);
        self.database.commit(batch, Durability::Process, format_args!("writing edges of {of}"))?;
        Ok(Vec::new())
    }

    fn neighbours(&self, node: &str, limit: usize, cursor: Option<&str>) -> Result<Page<GraphEdge>, StoreError> {
        let behind = cursor.map(|cursor| cursor::read(Listing::Neighbours, cursor)).transpose()?;
        let limit = limit.min(LONGEST_PAGE);
        if limit == 0 {
            return Ok(Page { items: Vec::new(), cursor: None });
        }
        // Both lists are in the order of the listing: the first of their first entries comes next.
        let mut out = self.edges(End::Source, node, behind.as_deref()).peekable();
        let mut back = self.edges(End::Target, node, behind.as_deref()).peekable();
        let mut items = Vec::new();
        let mut last = Vec::new();
        loop {
            let next = match (out.peek(), back.peek()) {
                (Some(Ok((a, _))), Some(Ok((b, _)))) if a > b => back.next(),
                (Some(_), _) => out.next(),
                (None, _) => back.next(),
            };
            let Some((place, edge)) = next.transpose()? else {
                return Ok(Page { items, cursor: None });
            };
            // An edge from a node to itself is in both lists.
            if edge.source == edge.target && place.last() == Some(&(End::Target as u8)) {
                continue;
            }
            if items.len() == limit {
                return Ok(Page { items, cursor: Some(cursor::write(Listing::Neighbours, &last)) });
            }
            items.push(edge);
            last = place;
        }
    }
}

impl EmbeddedGraph {
    /// The edges at one end of a node behind some place in the listing, each with its own place: the key without the
    /// node, then the end.
    fn edges(
        &self,
        end: End,
        node: &str,
        behind: Option<&[u8]>,
    ) -> impl Iterator<Item = Result<(Vec<u8>, GraphEdge), StoreError>> {
        let prefix = node_key(end, node);
        let length = prefix.len();
        let mut start = prefix.clone();
        // The place ends with the end; without it, it is where to begin, and what is not behind it is passed over.
        start.extend_from_slice(behind.and_then(|place| place.split_last()).map_or(&[], |(_, place)| place));
        let behind = behind.map(<[u8]>::to_vec);
        let rows = self.database.graph.range(start..).map(move |row| {
            let (key, value) = row.into_inner().map_err(|error| failed("reading edges", &error))?;
            Ok((key, value))
        });
        let rows = rows.take_while(move |row| row.as_ref().map_or(true, |(key, _)| key.starts_with(&prefix)));
        rows.filter_map(move |row| {
            let row = row.and_then(|(key, value)| {
                let mut place = key[length..].to_vec();
                place.push(end as u8);
                Ok((place, decode(&value)?))
            });
            match (&row, &behind) {
                (Ok((place, _)), Some(behind)) if place <= behind => None,
                _ => Some(row),
            }
        })
    }
}

fn node_key(end: End, node: &str) -> Vec<u8> {
    let mut key = vec![end as u8];
    keys::push_text(&mut key, node);
    key
}

fn row_key(end: End, edge: &GraphEdge) -> Vec<u8> {
    let (node, other) = match end {
        End::Source => (&edge.source, &edge.target),
        End::Target => (&edge.target, &edge.source),
    };
    let mut key = node_key(end, node);
    keys::push_text(&mut key, &edge.name);
    keys::push_text(&mut key, other);
    key
}

fn decode(value: &[u8]) -> Result<GraphEdge, StoreError> {
    serde_json::from_slice(value).map_err(|error| broken(format!("an edge cannot be read: {error}")))
}
