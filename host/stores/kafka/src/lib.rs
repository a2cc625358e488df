//! The log, the membership and the outbox on Apache Kafka or Redpanda.
//!
//! Events are in a topic that other producers may write to; `format` decodes them. The engine's verdict blocks are in a
//! topic of their own. `member` joins the consumer group that assigns partitions to processes. `fetch` keeps the newest
//! events of owned partitions in memory (`tail`), and `history` reads older ones from brokers. `outbox` publishes verdicts
//! and dead letters.

mod admin;
mod append_signals;
mod blocks;
mod client;
mod cluster;
mod config;
mod error;
mod fetch;
mod format;
mod history;
mod in_flight;
mod last_record;
mod log;
mod member;
mod outbox;
mod partitioner;
mod produce;
mod registry;
mod retention;
mod schemas;
mod tail;
mod tails;
mod topics;

pub use cluster::Kafka;
pub use config::{Config, Partitioner};
pub use registry::RegistryClient;
pub use schemas::{CatalogSchemas, Schemas};
