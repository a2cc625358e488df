//! The schema: the predicates of nodes, records and positions, and one predicate for each name of an edge. A predicate of
//! an edge is also registered as data, so that all processes can list the edges' predicates.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use assay_engine::ports::StoreError;
use assay_engine::ports::graph::GraphEdge;
use serde::Deserialize;

use super::predicate;
use super::server::{Failure, Server, retry_if_aborted};
use super::text::quote;

/// The part of the schema that this process knows to exist.
#[derive(Default)]
pub(super) struct Schema {
    /// The predicates of edges; none until the schema was applied.
    known: Mutex<Option<BTreeSet<String>>>,
}

#[derive(Deserialize)]
struct RegisteredPredicates {
    all: Vec<RegisteredPredicate>,
}

#[derive(Deserialize)]
struct RegisteredPredicate {
    predicate: String,
}

impl Schema {
    /// The known predicates of edges. The first call applies the schema.
    pub(super) fn predicates(&self, server: &Server) -> Result<BTreeSet<String>, StoreError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*known {
            return Ok(known.clone());
        }
        let doing = "applying the schema";
        server.alter(&base_schema(server.namespace())).map_err(|failure| server.to_store_error(doing, failure))?;
        let all = read_registered(server).map_err(|failure| server.to_store_error(doing, failure))?;
        Ok(known.insert(all).clone())
    }

    /// Reads the predicates of edges that any process has registered.
    pub(super) fn read_predicates(&self, server: &Server) -> Result<BTreeSet<String>, StoreError> {
        self.predicates(server)?;
        read_registered(server).map_err(|failure| server.to_store_error("reading the names of edges", failure))
    }

    /// Adds the missing predicates of edges. Returns the names that cannot have a predicate, each with the reason.
    pub(super) fn add_missing_predicates<'a>(
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
            match self.add_predicate(server, &predicate) {
                Ok(()) => {}
                Err(Failure::Refused(reason)) => drop(refused.insert(name.to_owned(), reason)),
                Err(failure) => return Err(server.to_store_error("adding a predicate", failure)),
            }
        }
        Ok(refused)
    }

    /// Forgets what this process knows of the schema: the data may have been dropped. The next call applies it again.
    pub(super) fn invalidate(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn add_predicate(&self, server: &Server, predicate: &str) -> Result<(), Failure> {
        // Dgraph refuses this if the predicate exists with another type.
        server.alter(&format!("<{predicate}>: [uid] @reverse ."))?;
        retry_if_aborted(|| register_predicate(server, predicate))?;
        let all = read_registered(server)?;
        server.alter(&node_type(server.namespace(), &all))?;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(all);
        Ok(())
    }
}

/// Registers a predicate unless it is registered already. The transaction keeps two processes from registering it twice.
fn register_predicate(server: &Server, predicate: &str) -> Result<(), Failure> {
    let doing = "registering the name of an edge";
    let (ns, predicate) = (server.namespace(), quote(predicate));
    let query = format!("{{ all(func: eq({ns}.predicate, {predicate})) {{ predicate: {ns}.predicate }} }}");
    let (found, transaction) = server.begin::<RegisteredPredicates>(doing, &query)?;
    if found.all.is_empty() {
        server.commit(doing, &transaction, &format!("_:new <{ns}.predicate> {predicate} .\n"))?;
    }
    Ok(())
}

fn read_registered(server: &Server) -> Result<BTreeSet<String>, Failure> {
    let ns = server.namespace();
    let query = format!("{{ all(func: has({ns}.predicate)) {{ predicate: {ns}.predicate }} }}");
    let found: RegisteredPredicates = server.read("reading the names of edges", &query)?;
    Ok(found.all.into_iter().map(|entry| entry.predicate).collect())
}

/// The schema of nodes, records and positions. `@upsert` makes Dgraph detect conflicts on these ids.
fn base_schema(ns: &str) -> String {
    let ids = ["id", "edge", "predicate", "position"];
    let ids: String = ids.iter().map(|id| format!("{ns}.{id}: string @index(hash) @upsert .\n")).collect();
    format!("{ids}{ns}.edge.latest: string .\n{ns}.position.next: int .")
}

/// The type of nodes: `expand(_all_)` in DQL lists the predicates of a node by its type.
fn node_type(ns: &str, predicates: &BTreeSet<String>) -> String {
    let edges: String = predicates.iter().map(|predicate| format!("  <{predicate}>\n")).collect();
    format!("type {ns}.Node {{\n  {ns}.id\n{edges}}}")
}
