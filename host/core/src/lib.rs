//! The pure core of Assay: schemas, expressions, views, rules, verdicts, profiles.
//!
//! Data in, data out. Absent on purpose: IO, clocks (time is an argument), threads, WebAssembly.

pub mod expr;
pub mod names;
pub mod schema;
pub mod types;
pub mod view;
