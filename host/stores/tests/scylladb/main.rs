//! The adapters on ScyllaDB keep the contracts of their ports, and what only they promise. Needs a server that speaks
//! CQL, whose address is in `ASSAY_TEST_CASSANDRA`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod archive;
mod buckets;
#[path = "../contract/mod.rs"]
#[allow(dead_code, reason = "only state and archive are used here")]
mod contract;
mod keyspace;
mod opening;
mod outages;
mod proxy;
mod state;
mod verdicts;
