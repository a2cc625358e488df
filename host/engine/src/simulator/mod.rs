//! A deterministic simulation of the engine by a seed: the production workers, sinks, watcher of the catalog and ingest of
//! several processes, driven step by step on one thread over in-memory ports in which much goes wrong.
//!
//! After a run all results are compared with those of one undisturbed process that has the same log and the same changes of
//! the catalog at the same places. All choices are drawn from the seed, so a seed that fails does so exactly again.
//!
//! Not simulated: threads and locks (each step is whole), plugins in Wasm, deletions of entities, other schemas.

mod check;
mod definitions;
mod derived_log;
mod disturbance;
mod driver;
mod finish;
mod logs;
mod process;
mod producer;
mod reference;
mod results;
mod scenario;
mod tasks;

pub use check::{RunReport, SimulationError, Simulator};
pub use scenario::SimulationOptions;
