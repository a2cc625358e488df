//! The pure core of Assay: schemas, expressions, views, rules, verdicts, profiles.
//!
//! Data in, data out. Absent on purpose: IO, clocks (time is an argument), threads, WebAssembly.

pub mod expr;
pub mod names;
pub mod retention;
pub mod rule;
pub mod schema;
pub mod size;
pub mod span;
pub mod stream;
pub mod types;
pub mod value;
pub mod verdict;
pub mod view;
pub mod wire;
