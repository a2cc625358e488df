//! The graph port on Dgraph, over Dgraph's HTTP API.
//!
//! A node has an external id (`assay.id`). An edge is a predicate of its own name with facets (score, time, rule), for
//! queries in DQL. Beside it stands a record (`assay.edge`, `assay.edge.latest`), which is found by a digest of ends and
//! name: the adapter reads the edge's present value from it, without reading all edges of a busy node. A batch of edges
//! is read, compared and written in one transaction. The last batch of a write is committed together with the sink's
//! position.

mod config;
mod cursor;
mod graph;
mod index_race;
mod neighbours;
mod predicate;
mod record;
mod schema;
mod server;
mod text;
mod transaction;
mod write;

pub use config::Config;
pub use graph::Dgraph;
