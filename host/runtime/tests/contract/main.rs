//! The runtime's contract, against real guests: some that misbehave on demand, and one that keeps state.

mod failures;
mod guests;
mod limits;
mod rows;
mod states;
mod uploads;
