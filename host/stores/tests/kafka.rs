//! The adapters on Kafka keep the contracts of their ports, against a real broker.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

#[allow(dead_code, reason = "of all contracts this crate checks the log's")]
mod contract;
#[path = "kafka/evolution.rs"]
mod evolution;
#[path = "kafka/formats.rs"]
mod formats;
#[path = "kafka/members.rs"]
mod members;
#[path = "kafka/outbox.rs"]
mod outbox;
#[path = "kafka/peer.rs"]
mod peer;
#[path = "kafka/retention.rs"]
mod retention;
#[path = "kafka/support.rs"]
mod support;

use std::sync::Arc;

use support::{Prefixed, Registry, unique};

macro_rules! contract {
    ($($check:ident),+) => {
        mod log {
            use super::*;

            $(
                #[test]
                #[ignore = "needs servers: cargo xtask test --servers"]
                fn $check() {
                    contract::log::$check(&Prefixed::open(&unique(), Arc::default()));
                }
            )+

            #[test]
            #[ignore = "needs servers: cargo xtask test --servers"]
            fn appends_kept() {
                let (prefix, registry) = (unique(), Arc::<Registry>::default());
                contract::log::appends_written(&Prefixed::open(&prefix, registry.clone()));
                contract::log::appends_kept(&Prefixed::open(&prefix, registry));
            }
        }
    };
}

contract!(
    streams_are_made_once,
    offsets_are_given_in_order,
    reads_begin_exactly_where_asked,
    reads_respect_limits,
    malformed_records_are_refused,
    bells_ring_when_there_is_something_to_read,
    what_was_appended_is_kept,
    appends_from_many_threads_keep_their_order
);
