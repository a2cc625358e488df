//! The adapters of the engine's ports, one folder per product.
//!
//! Absent on purpose: any decision about events. An adapter translates a call, makes it and translates the error.

pub mod dgraph;
pub mod embedded;
mod http;
pub mod influxdb;
pub mod kafka;
pub mod mongodb;
pub mod scylladb;
