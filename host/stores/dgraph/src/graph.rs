//! The graph port: checks the configuration, and passes the port's calls on.

use std::sync::Arc;

use assay_core::names::Offset;
use assay_engine::ports::graph::{Graph, GraphEdge};
use assay_engine::ports::{Page, PartitionId, RejectedItem, StoreError};
use assay_http_client::Client;

use super::config::Config;
use super::schema::Schema;
use super::server::Server;

/// The store's name in errors.
const STORE: &str = "Dgraph";

/// A Dgraph server and the adapter on it.
pub struct Dgraph {
    graph: Arc<DgraphGraph>,
}

impl Dgraph {
    /// Checks the configuration without connecting. The first call that needs the schema applies it, so that a server
    /// that is down delays the sink but not the start.
    ///
    /// # Errors
    /// The URL is invalid, the token has characters that a header cannot hold, or the namespace is invalid.
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
            // Dgraph reads the first header, a proxy the second.
            .flat_map(|token| [("x-dgraph-authtoken", token.clone()), ("authorization", format!("Bearer {token}"))]);
        let client = Client::new(STORE, &config.url, headers.collect(), config.timeout)?;
        let server = Server::new(client, config.namespace.clone());
        let graph = DgraphGraph { server, schema: Schema::default(), batch_edges: config.batch_edges.max(1) };
        Ok(Self { graph: Arc::new(graph) })
    }

    /// The graph port.
    pub fn graph(&self) -> Arc<dyn Graph> {
        self.graph.clone()
    }
}

/// The graph port on Dgraph. Writing is in `write.rs`, listing in `neighbours.rs`.
pub(super) struct DgraphGraph {
    pub(super) server: Server,
    pub(super) schema: Schema,
    pub(super) batch_edges: usize,
}

impl Graph for DgraphGraph {
    fn position(&self, partition: &PartitionId) -> Result<Offset, StoreError> {
        self.read_position(partition)
    }

    fn write(
        &self,
        partition: &PartitionId,
        edges: Vec<GraphEdge>,
        next: Offset,
    ) -> Result<Vec<RejectedItem>, StoreError> {
        self.write_edges(partition, edges, next)
    }

    fn neighbours(&self, node: &str, limit: usize, cursor: Option<&str>) -> Result<Page<GraphEdge>, StoreError> {
        self.list_neighbours(node, limit, cursor)
    }
}
