//! Tests of the adapters on ScyllaDB: the contracts of the ports, migrations, concurrent owners and outages.
//!
//! The tests need a server with CQL. Its address is in the environment variable `ASSAY_TEST_CASSANDRA`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod archive;
mod buckets;
mod keyspace;
mod opening;
mod outages;
mod proxy;
mod state;
mod verdicts;

use assay_contract as contract;
