//! The edges of a node: how many it has under each name, then those that a page needs, merged from both directions.
//!
//! Edges are never deleted, so what was passed once stays passed: a cursor holds how many that were, and edges that
//! came before it meanwhile are recognised and passed over.

use std::collections::HashMap;

use assay_engine::ports::graph::GraphEdge;
use assay_engine::ports::{Page, StoreError};
use serde::Deserialize;

use super::cursor::Place;
use super::text::quoted;
use super::{DgraphGraph, predicate};

/// The most edges of one page.
const LONGEST_PAGE: usize = 10_000;
const DOING: &str = "reading the edges of a node";

/// The edges of a node under one name: how many begin at it, and how many end there.
struct Name {
    name: String,
    predicate: String,
    out: usize,
    back: usize,
}

/// Edges of one name in both directions, each list ordered by the other end.
#[derive(Default, Deserialize)]
struct Sides {
    #[serde(default)]
    out: Vec<OtherEnd>,
    #[serde(default)]
    back: Vec<OtherEnd>,
}

/// The other end of an edge, and the edge's facets.
#[derive(Deserialize)]
struct OtherEnd {
    #[serde(default)]
    id: String,
    #[serde(alias = "out|score", alias = "back|score")]
    score: Option<f64>,
    #[serde(alias = "out|time", alias = "back|time")]
    time: Option<i64>,
    #[serde(alias = "out|rule", alias = "back|rule")]
    rule: Option<String>,
}

/// An edge in the listing's order, and how many were passed in each direction, this one included.
struct Passed {
    edge: GraphEdge,
    out: usize,
    back: usize,
}

#[derive(Deserialize)]
struct Answer<T> {
    node: Vec<T>,
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
        for name in self.names(&uid, place.as_ref())? {
            let mut behind = place.as_ref().filter(|place| place.predicate == name.predicate);
            let (mut out, mut back) = behind.map_or((0, 0), |place| (place.out, place.back));
            while out < name.out || back < name.back {
                let wanted = limit + 1 - items.len();
                let sides = self.sides(&uid, &name, (out, back), wanted)?;
                let edges = merge(node, &name, sides, (&mut out, &mut back));
                let Some(length) = Some(edges.len()).filter(|length| *length > 0) else { break };
                let seen = behind.map_or(0, |place| place.seen(node, edges.iter().map(|passed| &passed.edge)));
                behind = behind.filter(|_| seen == length);
                for passed in edges.into_iter().skip(seen) {
                    if items.len() == limit {
                        return Ok(Page { items, cursor: last });
                    }
                    if items.len() + 1 == limit {
                        last = Some(self.cursor(node, &name, &passed)?);
                    }
                    items.push(passed.edge);
                }
            }
        }
        Ok(Page { items, cursor: None })
    }

    /// The node of an external id, if it is there.
    fn uid(&self, node: &str) -> Result<Option<String>, StoreError> {
        #[derive(Deserialize)]
        struct Node {
            uid: String,
        }
        self.schema.predicates(&self.server)?;
        let query = format!("{{ node(func: eq(assay.id, {})) {{ uid }} }}", quoted(node));
        let found: Answer<Node> = self.server.read(DOING, &query).map_err(|failure| self.failed(DOING, failure))?;
        Ok(found.node.into_iter().next().map(|node| node.uid))
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
        let counts: String = (names.iter().enumerate())
            .map(|(at, (_, predicate))| format!("o{at}: count(<{predicate}>) i{at}: count(<~{predicate}>)\n"))
            .collect();
        let query = format!("{{ node(func: uid({uid})) {{ {counts} }} }}");
        let found: Result<Answer<HashMap<String, usize>>, _> = self.server.read(DOING, &query);
        let found = found.map_err(|failure| self.failed(DOING, failure))?;
        let counts = found.node.into_iter().next().unwrap_or_default();
        let count = |key: String| counts.get(&key).copied().unwrap_or(0);
        let names = names.into_iter().enumerate().map(|(at, (name, predicate))| Name {
            name,
            predicate,
            out: count(format!("o{at}")),
            back: count(format!("i{at}")),
        });
        Ok(names.filter(|name| name.out + name.back > 0).collect())
    }

    /// The next edges of a name in both directions, behind so many.
    fn sides(&self, uid: &str, name: &Name, behind: (usize, usize), first: usize) -> Result<Sides, StoreError> {
        let side = |alias: &str, direction: &str, offset: usize| {
            format!(
                "{alias}: <{direction}{}> @facets(score, time, rule) \
                 (orderasc: assay.id, first: {first}, offset: {offset}) {{ id: assay.id }}\n",
                name.predicate
            )
        };
        let out = if behind.0 < name.out { side("out", "", behind.0) } else { String::new() };
        let back = if behind.1 < name.back { side("back", "~", behind.1) } else { String::new() };
        let query = format!("{{ node(func: uid({uid})) {{ {out}{back} }} }}");
        let found: Answer<Sides> = self.server.read(DOING, &query).map_err(|failure| self.failed(DOING, failure))?;
        Ok(found.node.into_iter().next().unwrap_or_default())
    }

    /// The cursor behind an edge.
    fn cursor(&self, node: &str, name: &Name, passed: &Passed) -> Result<String, StoreError> {
        let place = Place::behind(&name.predicate, (passed.out, passed.back), node, &passed.edge);
        place.write().map_err(|error| self.server.broken(DOING, &format!("a cursor has no JSON form: {error}")))
    }
}

/// Both directions in one order, as far as both are known, and how many of each are passed then.
fn merge(node: &str, name: &Name, sides: Sides, passed: (&mut usize, &mut usize)) -> Vec<Passed> {
    let (out_passed, back_passed) = passed;
    let mut merged = Vec::with_capacity(sides.out.len() + sides.back.len());
    let (mut out, mut back) = (sides.out.into_iter().peekable(), sides.back.into_iter().peekable());
    loop {
        let out_is_next = match (out.peek(), back.peek()) {
            (Some(target), Some(source)) => target.id <= source.id,
            (Some(_), None) if *back_passed >= name.back => true,
            (None, Some(_)) if *out_passed >= name.out => false,
            _ => return merged,
        };
        let end = if out_is_next { out.next() } else { back.next() };
        let Some(OtherEnd { id, score, time, rule }) = end else { return merged };
        *(if out_is_next { &mut *out_passed } else { &mut *back_passed }) += 1;
        // An edge from the node to itself is in both lists.
        if !out_is_next && id == node {
            continue;
        }
        let (source, target) = if out_is_next { (node.to_owned(), id) } else { (id, node.to_owned()) };
        let (time, rule) = (time.unwrap_or(0), rule.unwrap_or_default());
        let edge = GraphEdge { source, name: name.name.clone(), target, score, time, rule };
        merged.push(Passed { edge, out: *out_passed, back: *back_passed });
    }
}
