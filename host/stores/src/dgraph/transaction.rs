//! One transaction: reads what Dgraph has of some edges, compares, and writes what is later.

use std::collections::HashMap;
use std::fmt::Write;

use assay_core::names::{Digest, Offset};
use assay_engine::ports::StreamPartition;
use assay_engine::ports::graph::GraphEdge;
use serde::Deserialize;

use super::predicate;
use super::server::{Failure, Server};
use super::text::{quoted, quoted_list};

/// What a batch of edges needs to know.
#[derive(Default, Deserialize)]
struct Found {
    #[serde(default)]
    position: Vec<Position>,
    #[serde(default)]
    edges: Vec<Named>,
    #[serde(default)]
    nodes: Vec<Named>,
}

#[derive(Deserialize)]
struct Position {
    uid: String,
    next: Option<u64>,
}

/// Something with an external id.
#[derive(Deserialize)]
struct Named {
    uid: String,
    id: String,
    latest: Option<String>,
}

/// Writes those of some edges that are later than what is there, and the position if it is given and further.
/// Each edge may be there once.
pub(super) fn run(
    server: &Server,
    of: &StreamPartition,
    edges: &[&GraphEdge],
    next: Option<Offset>,
) -> Result<(), Failure> {
    let ids: Vec<String> = edges.iter().map(|edge| edge_id(edge)).collect();
    let doing = "reading what there is of some edges";
    let (found, transaction) = server.begin::<Found>(doing, &query(of, edges, &ids))?;
    let mut triples = Triples::new(&found);
    let have: HashMap<&str, &Named> = found.edges.iter().map(|edge| (edge.id.as_str(), edge)).collect();
    for (number, (edge, id)) in edges.iter().zip(&ids).enumerate() {
        let have = have.get(id.as_str());
        let latest = have.and_then(|have| have.latest.as_deref());
        if latest.and_then(|latest| with_facets(edge, latest)).is_some_and(|have| !edge.is_later_than(&have)) {
            continue;
        }
        triples.push_record(number, have.map(|have| have.uid.as_str()), id, edge);
        triples.push_edge(edge);
    }
    triples.push_position(of, found.position.first(), next);
    server.commit("writing edges", &transaction, &triples.text)
}

fn query(of: &StreamPartition, edges: &[&GraphEdge], ids: &[String]) -> String {
    let position = quoted(&of.to_string());
    let mut query = format!("{{ position(func: eq(assay.position, {position})) {{ uid next: assay.position.next }}\n");
    if !edges.is_empty() {
        let mut nodes: Vec<&str> = edges.iter().flat_map(|edge| [edge.source.as_str(), edge.target.as_str()]).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let ids = quoted_list(ids.iter().map(String::as_str));
        let nodes = quoted_list(nodes.into_iter());
        // Writing to a String does not fail.
        let _ =
            writeln!(query, "edges(func: eq(assay.edge, {ids})) {{ uid id: assay.edge latest: assay.edge.latest }}");
        let _ = writeln!(query, "nodes(func: eq(assay.id, {nodes})) {{ uid id: assay.id }}");
    }
    query.push('}');
    query
}

/// The id of an edge's record: a digest of its ends and name, so that any of them can be long.
fn edge_id(edge: &GraphEdge) -> String {
    let mut identity = Vec::with_capacity(edge.source.len() + edge.name.len() + edge.target.len() + 24);
    for part in [&edge.source, &edge.name, &edge.target] {
        identity.extend_from_slice(&(part.len() as u64).to_be_bytes());
        identity.extend_from_slice(part.as_bytes());
    }
    Digest::of(&identity).hex()
}

/// What a record holds of its edge: time, score and rule.
fn facets(edge: &GraphEdge) -> String {
    serde_json::json!([edge.time, edge.score, edge.rule]).to_string()
}

/// The edge as its record says it is; none if that cannot be read: it is written anew then.
fn with_facets(edge: &GraphEdge, latest: &str) -> Option<GraphEdge> {
    let (time, score, rule) = serde_json::from_str(latest).ok()?;
    // Without the ends, which do not matter to what is later.
    Some(GraphEdge { time, score, rule, source: String::new(), name: String::new(), target: String::new(), ..*edge })
}

/// Triples to write, in RDF.
struct Triples<'a> {
    text: String,
    /// The node of each external id, as RDF names it.
    nodes: HashMap<&'a str, String>,
    /// How many nodes are new.
    made: usize,
}

impl<'a> Triples<'a> {
    fn new(found: &'a Found) -> Self {
        let nodes = found.nodes.iter().map(|node| (node.id.as_str(), format!("<{}>", node.uid))).collect();
        Self { text: String::new(), nodes, made: 0 }
    }

    fn push(&mut self, triple: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _ = writeln!(self.text, "{triple} .");
    }

    /// A node as RDF names it; it is made if it is not there.
    fn node(&mut self, id: &'a str) -> String {
        if let Some(node) = self.nodes.get(id) {
            return node.clone();
        }
        let node = format!("_:n{}", self.made);
        self.made += 1;
        self.push(format_args!("{node} <assay.id> {}", quoted(id)));
        self.push(format_args!("{node} <dgraph.type> \"assay.Node\""));
        self.nodes.insert(id, node.clone());
        node
    }

    fn push_record(&mut self, number: usize, uid: Option<&str>, id: &str, edge: &GraphEdge) {
        let record = match uid {
            Some(uid) => format!("<{uid}>"),
            None => {
                let record = format!("_:e{number}");
                self.push(format_args!("{record} <assay.edge> {}", quoted(id)));
                record
            }
        };
        self.push(format_args!("{record} <assay.edge.latest> {}", quoted(&facets(edge))));
    }

    fn push_edge(&mut self, edge: &'a GraphEdge) {
        let (source, target) = (self.node(&edge.source), self.node(&edge.target));
        // Names without a predicate were sorted out before.
        let Some(predicate) = predicate::encode(&edge.name) else { return };
        let score = edge.score.map_or_else(String::new, |score| format!(", score={score:?}"));
        self.push(format_args!(
            "{source} <{predicate}> {target} (time={}, rule={}{score})",
            edge.time,
            quoted(&edge.rule)
        ));
    }

    /// The position. Without a further one it is written as it is: a transaction has to write something.
    fn push_position(&mut self, of: &StreamPartition, have: Option<&Position>, next: Option<Offset>) {
        let before = have.and_then(|have| have.next).unwrap_or(0);
        let next = next.map_or(before, |next| next.0.max(before));
        let position = match have {
            Some(have) => format!("<{}>", have.uid),
            None => {
                self.push(format_args!("_:p <assay.position> {}", quoted(&of.to_string())));
                "_:p".to_owned()
            }
        };
        self.push(format_args!("{position} <assay.position.next> \"{next}\""));
    }
}
