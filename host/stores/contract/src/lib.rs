//! The contract of each port as a suite of tests: functions over the port's trait that panic where an adapter breaks the
//! contract. The tests of an adapter call each function with an empty store.
//!
//! Functions named `..._before_reopen` and `..._survive_reopen` belong together: the test closes and opens the store
//! between them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

pub mod archive;
pub mod catalog;
pub mod dead_letters;
pub mod faults;
mod fixtures;
pub mod graph;
pub mod log;
pub mod profiles;
pub mod series;
pub mod state;
pub mod streams;

pub use fixtures::{all_pages, append, card, event, events, is_bad_cursor, payments, place, read_all, records};
