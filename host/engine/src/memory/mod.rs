//! In-memory adapters of all ports, made for deterministic simulation by a seed.
//!
//! A [`World`] is the disks and servers that several simulated processes share. A [`Process`] has ports of its own onto
//! them. Between both stands a layer of faults ([`FaultRates`]): calls fail before or after they took effect, take effect
//! later, or in part; appends are under way for a while. Without faults these are plain, correct adapters, on which the
//! contract suites of the ports run.
//!
//! There is no thread, no clock, and no randomness but the seed's: the same seed and the same calls give the same answers.
//! What is under way moves only by [`World::deliver_next`].

mod append;
mod archive;
mod buckets;
mod catalog;
mod client;
mod cursor;
mod dead_letters;
mod erasure;
mod faults;
mod graph;
mod group;
mod in_flight;
mod journal;
mod log;
mod membership;
mod outbox;
mod profiles;
mod series;
mod signals;
mod state;
mod tables;
mod topic;
mod world;

pub use buckets::StoredBucket;
pub use client::Port;
pub use faults::FaultRates;
pub(crate) use faults::Random;
pub use group::Handover;
pub use series::StoredPoint;
pub use world::{Process, ProcessId, World};
