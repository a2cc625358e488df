//! The runtime's contract, against real guests: some that misbehave on demand, and one that keeps state.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod failures;
mod guests;
mod limits;
mod rows;
mod states;
mod uploads;
