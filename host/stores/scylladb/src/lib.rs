//! State, archive and buckets of tumbling views in ScyllaDB, or in another database with CQL, such as Cassandra.
//!
//! The adapters use no transactions. Rows have natural keys (an entity, the offset of an event), so repeated writes
//! change nothing. Write timestamps make the newer row win, whichever process writes it. Positions and checkpoints are
//! written after the rows that they cover. `docs/scylladb.md` describes the tables and how other programs read them.

mod archive;
mod buckets;
mod cluster;
mod config;
mod connection;
mod cursor;
mod error;
mod keys;
mod schema;
mod state;

pub use archive::ScyllaArchive;
pub use buckets::ScyllaBuckets;
pub use cluster::ScyllaDb;
pub use config::{Config, Consistency};
pub use state::ScyllaState;
