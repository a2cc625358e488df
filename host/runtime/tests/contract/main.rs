//! Tests of the runtime's contract with real guests: one that misbehaves on demand, and one that keeps state.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod failures;
mod guests;
mod limits;
mod rows;
mod states;
mod uploads;
