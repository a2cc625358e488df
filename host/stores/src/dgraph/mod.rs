//! Dgraph: the graph port over its HTTP API.
//!
//! A node has an external id (`assay.id`). An edge is a predicate of its own name with facets (score, time, rule), for
//! whoever queries the graph, and beside it a small record (`assay.edge`, `assay.edge.latest`), found by a digest of
//! ends and name, which tells what the edge holds now without reading through all edges of a busy node. A batch of
//! edges is read, compared and written in one transaction, the last one together with the follower's position.

mod cursor;
mod neighbours;
mod predicate;
mod record;
mod schema;
mod server;
mod text;
mod torn;
mod transaction;
mod write;

use std::sync::Arc;
use std::time::Duration;

use assay_core::names::Offset;
use assay_engine::ports::graph::{Graph, GraphEdge};
use assay_engine::ports::{Page, Poison, StoreError, StreamPartition};

use crate::http::Client;

/// The store's name in errors.
const STORE: &str = "Dgraph";

/// Where Dgraph is, and how to talk to it.
#[derive(Clone)]
pub struct Config {
    /// The address of an alpha, such as `http://localhost:8080`.
    pub url: String,
    /// The token of `--security token=..`, or that of a proxy before Dgraph, if there is one.
    pub token: Option<String>,
    /// What the predicates and types of this Assay begin with, as in `assay.id`: letters, digits and `_`. Several
    /// installations with one Dgraph have a namespace each.
    pub namespace: String,
    /// How long one request may take, and how long one that failed is tried again.
    pub timeout: Duration,
    /// The most edges of one transaction.
    pub batch_edges: usize,
}

impl Config {
    /// Without a token, in the namespace `assay`, with the usual limits: 30 seconds, 1,000 edges.
    pub fn new(url: &str) -> Self {
        let (url, namespace) = (url.to_owned(), "assay".to_owned());
        Self { url, token: None, namespace, timeout: Duration::from_secs(30), batch_edges: 1_000 }
    }
}

/// Dgraph as the graph.
pub struct Dgraph {
    graph: Arc<DgraphGraph>,
}

impl Dgraph {
    /// Checks the configuration. Does not connect: the schema is applied by the first call that needs it, and a server
    /// that is down only makes the follower wait.
    ///
    /// # Errors
    /// The address is none, the token cannot be in a header, or the namespace is no name.
    pub fn open(config: &Config) -> Result<Self, StoreError> {
        let namespace = config.namespace.as_str();
        let is_name = namespace.starts_with(|first: char| first.is_ascii_alphabetic())
            && namespace.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !namespace.eq_ignore_ascii_case("dgraph");
        if !is_name {
            let expected = "expected a letter, then letters, digits and '_', and not 'dgraph', which is Dgraph's own";
            let message = format!("the namespace '{namespace}': {expected}");
            return Err(StoreError::Broken { store: STORE, message });
        }
        let headers = config
            .token
            .iter()
            .flat_map(|token| [("x-dgraph-authtoken", token.clone()), ("authorization", format!("Bearer {token}"))]);
        let client = Client::new(STORE, &config.url, headers.collect(), config.timeout)?;
        let server = server::Server::new(client, config.namespace.clone());
        let graph = DgraphGraph { server, schema: schema::Schema::default(), batch_edges: config.batch_edges.max(1) };
        Ok(Self { graph: Arc::new(graph) })
    }

    /// The graph port.
    pub fn graph(&self) -> Arc<dyn Graph> {
        self.graph.clone()
    }
}

/// The graph port on Dgraph.
struct DgraphGraph {
    server: server::Server,
    schema: schema::Schema,
    batch_edges: usize,
}

impl Graph for DgraphGraph {
    fn position(&self, of: &StreamPartition) -> Result<Offset, StoreError> {
        self.read_position(of)
    }

    fn write(&self, of: &StreamPartition, edges: Vec<GraphEdge>, next: Offset) -> Result<Vec<Poison>, StoreError> {
        self.write_edges(of, edges, next)
    }

    fn neighbours(&self, node: &str, limit: usize, cursor: Option<&str>) -> Result<Page<GraphEdge>, StoreError> {
        self.list_neighbours(node, limit, cursor)
    }
}
