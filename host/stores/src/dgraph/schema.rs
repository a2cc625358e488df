//! The schema: what nodes, records and positions need, and a predicate for each name of an edge, which is registered
//! so that all processes know it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use assay_engine::ports::StoreError;
use assay_engine::ports::graph::GraphEdge;
use serde::Deserialize;

use super::predicate;
use super::server::{Failure, Server, again_if_aborted};
use super::text::quoted;

/// What of the schema is known to be there.
#[derive(Default)]
pub(super) struct Schema {
    /// The predicates of edges; none: the schema was not applied yet.
    known: Mutex<Option<BTreeSet<String>>>,
}

#[derive(Deserialize)]
struct Registered {
    all: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    predicate: String,
}

impl Schema {
    /// The predicates of edges that are there, after the schema was applied.
    pub(super) fn predicates(&self, server: &Server) -> Result<BTreeSet<String>, StoreError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*known {
            return Ok(known.clone());
        }
        let doing = "applying the schema";
        server.alter(&schema(server.namespace())).map_err(|failure| server.failed(doing, failure))?;
        let all = registered(server).map_err(|failure| server.failed(doing, failure))?;
        Ok(known.insert(all).clone())
    }

    /// The predicates of edges that any process made.
    pub(super) fn fresh_predicates(&self, server: &Server) -> Result<BTreeSet<String>, StoreError> {
        self.predicates(server)?;
        registered(server).map_err(|failure| server.failed("reading the names of edges", failure))
    }

    /// Makes the predicates of edges. Returns those of names that cannot have one, with what Dgraph said.
    pub(super) fn make<'a>(
        &self,
        server: &Server,
        edges: impl Iterator<Item = &'a GraphEdge>,
    ) -> Result<BTreeMap<String, String>, StoreError> {
        let known = self.predicates(server)?;
        let names: BTreeSet<&str> = edges.map(|edge| edge.name.as_str()).collect();
        let mut refused = BTreeMap::new();
        for name in names {
            let Some(predicate) = predicate::encode(name, server.namespace()) else {
                refused.insert(name.to_owned(), "the edge's name is empty or too long for a predicate".to_owned());
                continue;
            };
            if known.contains(&predicate) {
                continue;
            }
            match self.add(server, &predicate) {
                Ok(()) => {}
                Err(Failure::Refused(said)) => drop(refused.insert(name.to_owned(), said)),
                Err(failure) => return Err(server.failed("adding a predicate", failure)),
            }
        }
        Ok(refused)
    }

    /// Forgets what is there: somebody may have dropped it.
    pub(super) fn forget(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn add(&self, server: &Server, predicate: &str) -> Result<(), Failure> {
        // Refused if somebody has this predicate for something else.
        server.alter(&format!("<{predicate}>: [uid] @reverse ."))?;
        again_if_aborted(|| register(server, predicate))?;
        let all = registered(server)?;
        server.alter(&node_type(server.namespace(), &all))?;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(all);
        Ok(())
    }
}

/// Registers a predicate, once.
fn register(server: &Server, predicate: &str) -> Result<(), Failure> {
    let doing = "registering the name of an edge";
    let (ns, predicate) = (server.namespace(), quoted(predicate));
    let query = format!("{{ all(func: eq({ns}.predicate, {predicate})) {{ predicate: {ns}.predicate }} }}");
    let (found, transaction) = server.begin::<Registered>(doing, &query)?;
    if found.all.is_empty() {
        server.commit(doing, &transaction, &format!("_:new <{ns}.predicate> {predicate} .\n"))?;
    }
    Ok(())
}

fn registered(server: &Server) -> Result<BTreeSet<String>, Failure> {
    let ns = server.namespace();
    let query = format!("{{ all(func: has({ns}.predicate)) {{ predicate: {ns}.predicate }} }}");
    let found: Registered = server.read("reading the names of edges", &query)?;
    Ok(found.all.into_iter().map(|entry| entry.predicate).collect())
}

/// What nodes, records and positions need.
fn schema(ns: &str) -> String {
    let ids = ["id", "edge", "predicate", "position"];
    let ids: String = ids.iter().map(|id| format!("{ns}.{id}: string @index(hash) @upsert .\n")).collect();
    format!("{ids}{ns}.edge.latest: string .\n{ns}.position.next: int .")
}

/// The type of nodes, by which `expand(_all_)` finds their edges.
fn node_type(ns: &str, predicates: &BTreeSet<String>) -> String {
    let edges: String = predicates.iter().map(|predicate| format!("  <{predicate}>\n")).collect();
    format!("type {ns}.Node {{\n  {ns}.id\n{edges}}}")
}
