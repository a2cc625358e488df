//! Tests of the Kafka adapters on a real broker: the contract of the log, and the modules below.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

use assay_contract as contract;
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

use support::{MemoryRegistry, PrefixedLog, unique};

macro_rules! contract {
    ($($check:ident),+) => {
        mod log {
            use super::*;

            $(
                #[test]
                #[ignore = "needs servers: cargo xtask test --servers"]
                fn $check() {
                    contract::log::$check(&PrefixedLog::open(&unique(), Arc::default()));
                }
            )+

            #[test]
            #[ignore = "needs servers: cargo xtask test --servers"]
            fn appends_survive_reopen() {
                let (prefix, registry) = (unique(), Arc::<MemoryRegistry>::default());
                contract::log::append_before_reopen(&PrefixedLog::open(&prefix, registry.clone()));
                contract::log::appends_survive_reopen(&PrefixedLog::open(&prefix, registry));
            }
        }
    };
}

contract!(
    streams_are_created_once,
    offsets_are_assigned_in_order,
    reads_begin_at_the_requested_offset,
    reads_respect_limits,
    malformed_records_are_refused,
    subscribers_are_notified_of_readable_records,
    records_are_kept_without_retention,
    appends_from_many_threads_keep_their_order
);
