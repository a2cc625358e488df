//! The edges of a node: under which names it has any, then those that a page needs, merged from both directions.
//!
//! Edges are never deleted, so what was passed once stays passed: a cursor holds how many that were, and edges that
//! came before it meanwhile are recognised and passed over. What an edge holds is read from its record, not from its
//! facets: for those Dgraph would read all edges of the node and name.

use std::collections::HashMap;

use assay_engine::ports::graph::GraphEdge;
use assay_engine::ports::{Page, StoreError};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::cursor::Place;
use super::server::again_if_aborted;
use super::text::{quoted, quoted_list};
use super::torn::{Torn, whole};
use super::{DgraphGraph, predicate, record};

/// The most edges of one page.
const LONGEST_PAGE: usize = 10_000;
const DOING: &str = "reading the edges of a node";

/// The edges of a node under one name, ordered by the other end, and how far the listing is among them.
struct Name {
    name: String,
    predicate: String,
    out: Side,
    back: Side,
}

/// The edges that begin at the node, or those that end there.
#[derive(Default)]
struct Side {
    passed: usize,
    /// Whether there may be more behind those that were passed.
    more: bool,
}

/// The other ends of the next edges of one name.
#[derive(Default, Deserialize)]
struct Ends {
    #[serde(default)]
    out: Vec<End>,
    #[serde(default)]
    back: Vec<End>,
}

#[derive(Deserialize)]
struct End {
    #[serde(default)]
    id: String,
}

/// An edge in the listing's order, and how many were passed in each direction, this one included.
struct Passed {
    edge: GraphEdge,
    out: usize,
    back: usize,
}

#[derive(Deserialize)]
struct Answer<T> {
    found: Vec<T>,
}

impl DgraphGraph {
    pub(super) fn list_neighbours(
        &self,
        node: &str,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<GraphEdge>, StoreError> {
        let place = cursor.map(Place::read).transpose()?;
        let limit = limit.min(LONGEST_PAGE);
        let mut items = Vec::new();
        let mut last = None;
        let uid = if limit == 0 { None } else { self.uid(node)? };
        let Some(uid) = uid else {
            return Ok(Page { items, cursor: None });
        };
        for mut name in self.names(&uid, place.as_ref())? {
            let mut behind = place.as_ref().filter(|place| place.predicate == name.predicate);
            if let Some(place) = behind {
                (name.out.passed, name.back.passed) = (place.out, place.back);
            }
            while name.out.more || name.back.more {
                let wanted = limit + 1 - items.len();
                let ends = self.ends(&uid, &name, wanted)?;
                let edges = merge(node, &mut name, ends, wanted);
                let seen = behind.map_or(0, |place| place.seen(node, edges.iter().map(|passed| &passed.edge)));
                behind = behind.filter(|_| seen == edges.len());
                for passed in edges.into_iter().skip(seen) {
                    if items.len() == limit {
                        return Ok(Page { items: self.with_facets(items)?, cursor: last });
                    }
                    if items.len() + 1 == limit {
                        last = Some(self.cursor(node, &name, &passed)?);
                    }
                    items.push(passed.edge);
                }
            }
        }
        Ok(Page { items: self.with_facets(items)?, cursor: None })
    }

    /// The node of an external id, if it is there.
    fn uid(&self, node: &str) -> Result<Option<String>, StoreError> {
        #[derive(Deserialize)]
        struct Node {
            uid: String,
        }
        self.schema.predicates(&self.server)?;
        let found: Vec<Node> =
            self.ask(&format!("func: eq({}.id, {})", self.server.namespace(), quoted(node)), "uid")?;
        Ok(found.into_iter().next().map(|node| node.uid))
    }

    /// The names under which a node has edges, in order, from the cursor's on.
    fn names(&self, uid: &str, place: Option<&Place>) -> Result<Vec<Name>, StoreError> {
        let from = place.and_then(|place| predicate::decode(&place.predicate)).unwrap_or_default();
        let predicates = self.schema.fresh_predicates(&self.server)?;
        let mut names: Vec<(String, String)> = predicates
            .into_iter()
            .filter_map(|predicate| Some((predicate::decode(&predicate)?, predicate)))
            .filter(|(name, _)| *name >= from)
            .collect();
        names.sort_unstable();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let any: String = (names.iter().enumerate())
            .map(|(at, (_, predicate))| {
                format!("o{at}: <{predicate}> (first: 1) {{ uid }} i{at}: <~{predicate}> (first: 1) {{ uid }}\n")
            })
            .collect();
        let found: Vec<HashMap<String, serde::de::IgnoredAny>> = self.ask(&format!("func: uid({uid})"), &any)?;
        let found = found.into_iter().next().unwrap_or_default();
        let side = |key: String| Side { passed: 0, more: found.contains_key(&key) };
        let names = names.into_iter().enumerate().map(|(at, (name, predicate))| Name {
            name,
            predicate,
            out: side(format!("o{at}")),
            back: side(format!("i{at}")),
        });
        Ok(names.filter(|name| name.out.more || name.back.more).collect())
    }

    /// The other ends of the next edges of a name: so many of each direction.
    fn ends(&self, uid: &str, name: &Name, first: usize) -> Result<Ends, StoreError> {
        let part = |alias: &str, direction: &str, side: &Side| {
            let (predicate, offset, ns) = (&name.predicate, side.passed, self.server.namespace());
            let order = format!("(orderasc: {ns}.id, first: {first}, offset: {offset})");
            if side.more {
                format!("{alias}: <{direction}{predicate}> {order} {{ id: {ns}.id }}\n")
            } else {
                String::new()
            }
        };
        let parts = part("out", "", &name.out) + &part("back", "~", &name.back);
        let found: Vec<Ends> = self.ask(&format!("func: uid({uid})"), &parts)?;
        Ok(found.into_iter().next().unwrap_or_default())
    }

    /// Edges with what their records hold.
    fn with_facets(&self, mut edges: Vec<GraphEdge>) -> Result<Vec<GraphEdge>, StoreError> {
        #[derive(Deserialize)]
        struct Record {
            id: String,
            latest: String,
        }
        let ids: Vec<String> = edges.iter().map(record::id).collect();
        if ids.is_empty() {
            return Ok(edges);
        }
        let (ns, wanted) = (self.server.namespace(), quoted_list(ids.iter().map(String::as_str)));
        let what = format!("id: {ns}.edge latest: {ns}.edge.latest");
        let records: Vec<Record> = self.ask(&format!("func: eq({ns}.edge, {wanted})"), &what)?;
        let records: HashMap<String, String> = records.into_iter().map(|record| (record.id, record.latest)).collect();
        for (edge, id) in edges.iter_mut().zip(&ids) {
            // An edge without a record was drawn by somebody else.
            let Some(holds) = records.get(id).and_then(|latest| record::read(latest)) else { continue };
            (edge.time, edge.score, edge.rule, edge.facets) = (holds.time, holds.score, holds.rule, holds.facets);
        }
        Ok(edges)
    }

    fn ask<T: DeserializeOwned>(&self, which: &str, what: &str) -> Result<Vec<T>, StoreError> {
        let query = format!("{{ found({which}) {{ {what} }} }}");
        let found = again_if_aborted(|| whole(self.server.read::<Answer<Torn<T>>>(DOING, &query)?.found));
        found.map_err(|failure| self.failed(DOING, failure))
    }

    /// The cursor behind an edge.
    fn cursor(&self, node: &str, name: &Name, passed: &Passed) -> Result<String, StoreError> {
        let place = Place::behind(&name.predicate, (passed.out, passed.back), node, &passed.edge);
        place.write().map_err(|error| self.server.broken(DOING, &format!("a cursor has no JSON form: {error}")))
    }
}

/// Both directions in one order, as far as both are known when so many of each were asked for.
fn merge(node: &str, name: &mut Name, ends: Ends, first: usize) -> Vec<Passed> {
    let Name { name, out, back, .. } = name;
    (out.more, back.more) = (ends.out.len() == first, ends.back.len() == first);
    let mut merged = Vec::with_capacity(ends.out.len() + ends.back.len());
    let (mut targets, mut sources) = (ends.out.into_iter().peekable(), ends.back.into_iter().peekable());
    loop {
        let out_is_next = match (targets.peek(), sources.peek()) {
            (Some(target), Some(source)) => target.id <= source.id,
            (Some(_), None) if !back.more => true,
            (None, Some(_)) if !out.more => false,
            _ => break,
        };
        let Some(End { id }) = (if out_is_next { targets.next() } else { sources.next() }) else { break };
        (if out_is_next { &mut *out } else { &mut *back }).passed += 1;
        // An edge from the node to itself is in both lists.
        if !out_is_next && id == node {
            continue;
        }
        let (source, target) = if out_is_next { (node, &*id) } else { (&*id, node) };
        let edge = GraphEdge::between(source, name, target);
        merged.push(Passed { edge, out: out.passed, back: back.passed });
    }
    out.more |= targets.peek().is_some();
    back.more |= sources.peek().is_some();
    merged
}
