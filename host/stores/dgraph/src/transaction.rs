//! One transaction: reads the stored records of some edges, compares, and writes the edges that are later.

use std::collections::HashMap;
use std::fmt::Write;

use assay_core::names::Offset;
use assay_engine::ports::PartitionId;
use assay_engine::ports::graph::GraphEdge;
use serde::Deserialize;
use serde_json::Value;

use super::index_race::{IndexRead, require_complete};
use super::server::{Failure, Server};
use super::text::{quote, quote_list};
use super::{predicate, record};

/// The stored data that a batch of edges is compared with.
#[derive(Default, Deserialize)]
struct StoredData {
    #[serde(default)]
    position: Vec<IndexRead<Position>>,
    #[serde(default)]
    edges: Vec<IndexRead<Record>>,
    #[serde(default)]
    nodes: Vec<IndexRead<Node>>,
}

#[derive(Deserialize)]
struct Position {
    uid: String,
    next: u64,
}

/// The stored record of an edge.
#[derive(Deserialize)]
struct Record {
    uid: String,
    id: String,
    latest: String,
}

#[derive(Deserialize)]
struct Node {
    uid: String,
    id: String,
}

/// Writes the edges that are later than the stored ones, and the position `next` if it is higher than the stored one.
/// `edges` has each (source, name, target) at most once.
pub(super) fn upsert_edges(
    server: &Server,
    partition: &PartitionId,
    edges: &[&GraphEdge],
    next: Option<Offset>,
) -> Result<(), Failure> {
    let ids: Vec<String> = edges.iter().map(|edge| record::id(edge)).collect();
    let doing = "reading what there is of some edges";
    let (found, transaction) = server.begin::<StoredData>(doing, &query(server.namespace(), partition, edges, &ids))?;
    let (positions, records, known) =
        (require_complete(found.position)?, require_complete(found.edges)?, require_complete(found.nodes)?);
    let mut triples = Triples::new(server.namespace(), &known);
    let have: HashMap<&str, &Record> = records.iter().map(|record| (record.id.as_str(), record)).collect();
    for (number, (edge, id)) in edges.iter().zip(&ids).enumerate() {
        let have = have.get(id.as_str());
        if have.and_then(|have| record::read(&have.latest)).is_some_and(|have| !edge.is_later_than(&have)) {
            continue;
        }
        triples.push_record(number, have.map(|have| have.uid.as_str()), id, edge);
        triples.push_edge(edge);
    }
    triples.push_position(partition, positions.first(), next);
    server.commit("writing edges", &transaction, &triples.text)
}

fn query(ns: &str, partition: &PartitionId, edges: &[&GraphEdge], ids: &[String]) -> String {
    let position = quote(&partition.to_string());
    let mut query = format!("{{ position(func: eq({ns}.position, {position})) {{ uid next: {ns}.position.next }}\n");
    if !edges.is_empty() {
        let mut nodes: Vec<&str> = edges.iter().flat_map(|edge| [edge.source.as_str(), edge.target.as_str()]).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let ids = quote_list(ids.iter().map(String::as_str));
        let nodes = quote_list(nodes.into_iter());
        // Writing to a String does not fail.
        let _ = writeln!(query, "edges(func: eq({ns}.edge, {ids})) {{ uid id: {ns}.edge latest: {ns}.edge.latest }}");
        let _ = writeln!(query, "nodes(func: eq({ns}.id, {nodes})) {{ uid id: {ns}.id }}");
    }
    query.push('}');
    query
}

/// Triples to write, in RDF.
struct Triples<'a> {
    ns: &'a str,
    text: String,
    /// The node of each external id, as RDF names it.
    nodes: HashMap<&'a str, String>,
    /// The number of new nodes: it makes the names of blank nodes unique.
    new_nodes: usize,
}

impl<'a> Triples<'a> {
    fn new(ns: &'a str, known: &'a [Node]) -> Self {
        let nodes = known.iter().map(|node| (node.id.as_str(), format!("<{}>", node.uid))).collect();
        Self { ns, text: String::new(), nodes, new_nodes: 0 }
    }

    fn push(&mut self, triple: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _ = writeln!(self.text, "{triple} .");
    }

    /// The name of a node in RDF. A node that is not stored yet is added.
    fn push_node(&mut self, id: &'a str) -> String {
        if let Some(node) = self.nodes.get(id) {
            return node.clone();
        }
        let ns = self.ns;
        let node = format!("_:n{}", self.new_nodes);
        self.new_nodes += 1;
        self.push(format_args!("{node} <{ns}.id> {}", quote(id)));
        self.push(format_args!("{node} <dgraph.type> \"{ns}.Node\""));
        self.nodes.insert(id, node.clone());
        node
    }

    fn push_record(&mut self, number: usize, uid: Option<&str>, id: &str, edge: &GraphEdge) {
        let ns = self.ns;
        let record = match uid {
            Some(uid) => format!("<{uid}>"),
            None => {
                let record = format!("_:e{number}");
                self.push(format_args!("{record} <{ns}.edge> {}", quote(id)));
                record
            }
        };
        self.push(format_args!("{record} <{ns}.edge.latest> {}", quote(&record::write(edge))));
    }

    fn push_edge(&mut self, edge: &'a GraphEdge) {
        let (source, target) = (self.push_node(&edge.source), self.push_node(&edge.target));
        // Edges whose name has no predicate were rejected before the transaction.
        let Some(predicate) = predicate::encode(&edge.name, self.ns) else { return };
        let mut facets = format!("time={}, rule={}", edge.time, quote(&edge.rule));
        // Writing to a String does not fail.
        let _ = edge.score.map_or(Ok(()), |score| write!(facets, ", score={score:?}"));
        for (name, value) in &edge.facets {
            let _ = match value {
                Value::String(text) => write!(facets, ", {name}={}", quote(text)),
                Value::Number(number) if number.is_f64() => {
                    write!(facets, ", {name}={:?}", number.as_f64().unwrap_or_default())
                }
                value => write!(facets, ", {name}={value}"),
            };
        }
        self.push(format_args!("{source} <{predicate}> {target} ({facets})"));
    }

    /// Adds the position. Without a higher one the stored one is written again, because a commit must write something.
    fn push_position(&mut self, partition: &PartitionId, have: Option<&Position>, next: Option<Offset>) {
        let ns = self.ns;
        let before = have.map_or(0, |have| have.next);
        let next = next.map_or(before, |next| next.0.max(before));
        let position = match have {
            Some(have) => format!("<{}>", have.uid),
            None => {
                self.push(format_args!("_:p <{ns}.position> {}", quote(&partition.to_string())));
                "_:p".to_owned()
            }
        };
        self.push(format_args!("{position} <{ns}.position.next> \"{next}\""));
    }
}
