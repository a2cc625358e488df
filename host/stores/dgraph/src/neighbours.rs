//! Lists the edges of a node: first the names under which it has edges, then the edges of a page, merged from both
//! directions.
//!
//! Edges are never deleted. So a cursor can hold the number of listed edges, and edges that were added before its
//! position meanwhile are recognised and skipped. The value of an edge is read from its record, not from its facets: to
//! read facets Dgraph reads all edges of the node and name.

use std::collections::HashMap;

use assay_engine::ports::graph::GraphEdge;
use assay_engine::ports::{Page, StoreError};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::cursor::ListPosition;
use super::graph::DgraphGraph;
use super::index_race::{IndexRead, require_complete};
use super::server::retry_if_aborted;
use super::text::{quote, quote_list};
use super::{predicate, record};

/// A larger limit is lowered to this.
const MAX_PAGE_ITEMS: usize = 10_000;
const DOING: &str = "reading the edges of a node";

/// The progress of the listing among the edges of one name. They are ordered by the other end.
struct NameProgress {
    name: String,
    predicate: String,
    out: DirectionProgress,
    back: DirectionProgress,
}

/// The progress among the edges that begin at the node, or among those that end there.
#[derive(Default)]
struct DirectionProgress {
    listed: usize,
    /// True if there may be further edges.
    has_more: bool,
}

/// The other ends of the next edges of one name.
#[derive(Default, Deserialize)]
struct OtherEnds {
    #[serde(default)]
    out: Vec<OtherEnd>,
    #[serde(default)]
    back: Vec<OtherEnd>,
}

#[derive(Deserialize)]
struct OtherEnd {
    #[serde(default)]
    id: String,
}

/// An edge in the listing's order, and the number of listed edges in each direction up to it.
struct ListedEdge {
    edge: GraphEdge,
    out: usize,
    back: usize,
}

#[derive(Deserialize)]
struct QueryAnswer<T> {
    found: Vec<T>,
}

impl DgraphGraph {
    pub(super) fn list_neighbours(
        &self,
        node: &str,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<GraphEdge>, StoreError> {
        let position = cursor.map(ListPosition::read).transpose()?;
        let limit = limit.min(MAX_PAGE_ITEMS);
        let mut items = Vec::new();
        let mut last = None;
        let uid = if limit == 0 { None } else { self.find_uid(node)? };
        let Some(uid) = uid else {
            return Ok(Page { items, cursor: None });
        };
        for mut name in self.list_names(&uid, position.as_ref())? {
            let mut after = position.as_ref().filter(|position| position.predicate == name.predicate);
            if let Some(position) = after {
                (name.out.listed, name.back.listed) = (position.out, position.back);
            }
            while name.out.has_more || name.back.has_more {
                // One more edge than the page holds tells whether there is another page.
                let count = limit + 1 - items.len();
                let ends = self.read_other_ends(&uid, &name, count)?;
                let edges = merge_directions(node, &mut name, ends, count);
                let seen =
                    after.map_or(0, |position| position.count_seen(node, edges.iter().map(|listed| &listed.edge)));
                after = after.filter(|_| seen == edges.len());
                for listed in edges.into_iter().skip(seen) {
                    if items.len() == limit {
                        return Ok(Page { items: self.fill_from_records(items)?, cursor: last });
                    }
                    if items.len() + 1 == limit {
                        last = Some(self.write_cursor(node, &name, &listed)?);
                    }
                    items.push(listed.edge);
                }
            }
        }
        Ok(Page { items: self.fill_from_records(items)?, cursor: None })
    }

    /// The uid of the node of an external id, if there is one.
    fn find_uid(&self, node: &str) -> Result<Option<String>, StoreError> {
        #[derive(Deserialize)]
        struct Node {
            uid: String,
        }
        self.schema.predicates(&self.server)?;
        let found: Vec<Node> =
            self.query_found(&format!("func: eq({}.id, {})", self.server.namespace(), quote(node)), "uid")?;
        Ok(found.into_iter().next().map(|node| node.uid))
    }

    /// The names under which a node has edges, in order, from the cursor's name on.
    fn list_names(&self, uid: &str, position: Option<&ListPosition>) -> Result<Vec<NameProgress>, StoreError> {
        let from = position.and_then(|position| predicate::decode(&position.predicate)).unwrap_or_default();
        let predicates = self.schema.read_predicates(&self.server)?;
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
        let found: Vec<HashMap<String, serde::de::IgnoredAny>> =
            self.query_found(&format!("func: uid({uid})"), &any)?;
        let found = found.into_iter().next().unwrap_or_default();
        let progress = |key: String| DirectionProgress { listed: 0, has_more: found.contains_key(&key) };
        let names = names.into_iter().enumerate().map(|(at, (name, predicate))| NameProgress {
            name,
            predicate,
            out: progress(format!("o{at}")),
            back: progress(format!("i{at}")),
        });
        Ok(names.filter(|name| name.out.has_more || name.back.has_more).collect())
    }

    /// The other ends of the next `first` edges of a name in each direction.
    fn read_other_ends(&self, uid: &str, name: &NameProgress, first: usize) -> Result<OtherEnds, StoreError> {
        let part = |alias: &str, direction: &str, progress: &DirectionProgress| {
            let (predicate, offset, ns) = (&name.predicate, progress.listed, self.server.namespace());
            let order = format!("(orderasc: {ns}.id, first: {first}, offset: {offset})");
            if progress.has_more {
                format!("{alias}: <{direction}{predicate}> {order} {{ id: {ns}.id }}\n")
            } else {
                String::new()
            }
        };
        let parts = part("out", "", &name.out) + &part("back", "~", &name.back);
        let found: Vec<OtherEnds> = self.query_found(&format!("func: uid({uid})"), &parts)?;
        Ok(found.into_iter().next().unwrap_or_default())
    }

    /// Fills in time, score, rule and facets of edges from their records.
    fn fill_from_records(&self, mut edges: Vec<GraphEdge>) -> Result<Vec<GraphEdge>, StoreError> {
        #[derive(Deserialize)]
        struct Record {
            id: String,
            latest: String,
        }
        let ids: Vec<String> = edges.iter().map(record::id).collect();
        if ids.is_empty() {
            return Ok(edges);
        }
        let (ns, listed_ids) = (self.server.namespace(), quote_list(ids.iter().map(String::as_str)));
        let fields = format!("id: {ns}.edge latest: {ns}.edge.latest");
        let records: Vec<Record> = self.query_found(&format!("func: eq({ns}.edge, {listed_ids})"), &fields)?;
        let records: HashMap<String, String> = records.into_iter().map(|record| (record.id, record.latest)).collect();
        for (edge, id) in edges.iter_mut().zip(&ids) {
            // An edge without a record was written by another client of Dgraph.
            let Some(stored) = records.get(id).and_then(|latest| record::read(latest)) else { continue };
            (edge.time, edge.score, edge.rule, edge.facets) = (stored.time, stored.score, stored.rule, stored.facets);
        }
        Ok(edges)
    }

    /// Runs a query: `root` is its root function, `fields` the fields of each found node.
    fn query_found<T: DeserializeOwned>(&self, root: &str, fields: &str) -> Result<Vec<T>, StoreError> {
        let query = format!("{{ found({root}) {{ {fields} }} }}");
        let found =
            retry_if_aborted(|| require_complete(self.server.read::<QueryAnswer<IndexRead<T>>>(DOING, &query)?.found));
        found.map_err(|failure| self.to_store_error(DOING, failure))
    }

    /// The cursor that continues after an edge.
    fn write_cursor(&self, node: &str, name: &NameProgress, listed: &ListedEdge) -> Result<String, StoreError> {
        let position = ListPosition::after(&name.predicate, (listed.out, listed.back), node, &listed.edge);
        position.write().map_err(|error| self.server.broken(DOING, &format!("a cursor has no JSON form: {error}")))
    }
}

/// Merges both directions into the listing's order. `first` ends of each were requested: where that many came, the
/// direction may have more, and the merge stops once it would need them.
fn merge_directions(node: &str, name: &mut NameProgress, ends: OtherEnds, first: usize) -> Vec<ListedEdge> {
    let NameProgress { name, out, back, .. } = name;
    (out.has_more, back.has_more) = (ends.out.len() == first, ends.back.len() == first);
    let mut merged = Vec::with_capacity(ends.out.len() + ends.back.len());
    let (mut targets, mut sources) = (ends.out.into_iter().peekable(), ends.back.into_iter().peekable());
    loop {
        let is_out_next = match (targets.peek(), sources.peek()) {
            (Some(target), Some(source)) => target.id <= source.id,
            (Some(_), None) if !back.has_more => true,
            (None, Some(_)) if !out.has_more => false,
            _ => break,
        };
        let Some(OtherEnd { id }) = (if is_out_next { targets.next() } else { sources.next() }) else { break };
        (if is_out_next { &mut *out } else { &mut *back }).listed += 1;
        // An edge from the node to itself is in both lists; it is listed once.
        if !is_out_next && id == node {
            continue;
        }
        let (source, target) = if is_out_next { (node, &*id) } else { (&*id, node) };
        let edge = GraphEdge::between(source, name, target);
        merged.push(ListedEdge { edge, out: out.listed, back: back.listed });
    }
    out.has_more |= targets.peek().is_some();
    back.has_more |= sources.peek().is_some();
    merged
}
