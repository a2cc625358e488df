//! One transaction: reads what Dgraph has of some edges, compares, and writes what is later.

use std::collections::HashMap;
use std::fmt::Write;

use assay_core::names::Offset;
use assay_engine::ports::StreamPartition;
use assay_engine::ports::graph::GraphEdge;
use serde::Deserialize;
use serde_json::Value;

use super::server::{Failure, Server};
use super::text::{quoted, quoted_list};
use super::torn::{Torn, whole};
use super::{predicate, record};

/// What a batch of edges needs to know.
#[derive(Default, Deserialize)]
struct Found {
    #[serde(default)]
    position: Vec<Torn<Position>>,
    #[serde(default)]
    edges: Vec<Torn<Record>>,
    #[serde(default)]
    nodes: Vec<Torn<Node>>,
}

#[derive(Deserialize)]
struct Position {
    uid: String,
    next: u64,
}

/// What is known of an edge.
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

/// Writes those of some edges that are later than what is there, and the position if it is given and further.
/// Each edge may be there once.
pub(super) fn run(
    server: &Server,
    of: &StreamPartition,
    edges: &[&GraphEdge],
    next: Option<Offset>,
) -> Result<(), Failure> {
    let ids: Vec<String> = edges.iter().map(|edge| record::id(edge)).collect();
    let doing = "reading what there is of some edges";
    let (found, transaction) = server.begin::<Found>(doing, &query(server.namespace(), of, edges, &ids))?;
    let (positions, records, known) = (whole(found.position)?, whole(found.edges)?, whole(found.nodes)?);
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
    triples.push_position(of, positions.first(), next);
    server.commit("writing edges", &transaction, &triples.text)
}

fn query(ns: &str, of: &StreamPartition, edges: &[&GraphEdge], ids: &[String]) -> String {
    let position = quoted(&of.to_string());
    let mut query = format!("{{ position(func: eq({ns}.position, {position})) {{ uid next: {ns}.position.next }}\n");
    if !edges.is_empty() {
        let mut nodes: Vec<&str> = edges.iter().flat_map(|edge| [edge.source.as_str(), edge.target.as_str()]).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let ids = quoted_list(ids.iter().map(String::as_str));
        let nodes = quoted_list(nodes.into_iter());
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
    /// How many nodes are new.
    made: usize,
}

impl<'a> Triples<'a> {
    fn new(ns: &'a str, known: &'a [Node]) -> Self {
        let nodes = known.iter().map(|node| (node.id.as_str(), format!("<{}>", node.uid))).collect();
        Self { ns, text: String::new(), nodes, made: 0 }
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
        let ns = self.ns;
        let node = format!("_:n{}", self.made);
        self.made += 1;
        self.push(format_args!("{node} <{ns}.id> {}", quoted(id)));
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
                self.push(format_args!("{record} <{ns}.edge> {}", quoted(id)));
                record
            }
        };
        self.push(format_args!("{record} <{ns}.edge.latest> {}", quoted(&record::write(edge))));
    }

    fn push_edge(&mut self, edge: &'a GraphEdge) {
        let (source, target) = (self.node(&edge.source), self.node(&edge.target));
        // Names without a predicate were sorted out before.
        let Some(predicate) = predicate::encode(&edge.name, self.ns) else { return };
        let mut facets = format!("time={}, rule={}", edge.time, quoted(&edge.rule));
        // Writing to a String does not fail.
        let _ = edge.score.map_or(Ok(()), |score| write!(facets, ", score={score:?}"));
        for (name, value) in &edge.facets {
            let _ = match value {
                Value::String(text) => write!(facets, ", {name}={}", quoted(text)),
                Value::Number(number) if number.is_f64() => {
                    write!(facets, ", {name}={:?}", number.as_f64().unwrap_or_default())
                }
                value => write!(facets, ", {name}={value}"),
            };
        }
        self.push(format_args!("{source} <{predicate}> {target} ({facets})"));
    }

    /// The position. Without a further one it is written as it is: a transaction has to write something.
    fn push_position(&mut self, of: &StreamPartition, have: Option<&Position>, next: Option<Offset>) {
        let ns = self.ns;
        let before = have.map_or(0, |have| have.next);
        let next = next.map_or(before, |next| next.0.max(before));
        let position = match have {
            Some(have) => format!("<{}>", have.uid),
            None => {
                self.push(format_args!("_:p <{ns}.position> {}", quoted(&of.to_string())));
                "_:p".to_owned()
            }
        };
        self.push(format_args!("{position} <{ns}.position.next> \"{next}\""));
    }
}
