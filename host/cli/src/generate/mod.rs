//! Producers of realistic events, for demos, benches and first steps. A producer is an iterator: pure, seeded, the
//! same bytes on every machine; nothing here opens a file, a socket or a clock.
//!
//! The steps of a payment: `model` (cards, merchants and their places) -> `payments` (the next payment), with `fraud`
//! mixed in -> `arrivals` (a little out of order) -> `payment` (one event) -> `json` or `avro` -> `container` (a file).

mod arrivals;
mod avro;
mod cities;
mod container;
mod fraud;
mod json;
mod model;
mod payment;
mod payments;
mod rng;

pub use avro::{payments_schema, write_avro};
pub use container::{ContainerWriter, sync_marker};
pub use fraud::Fraud;
pub use json::write_json;
pub use payment::{Channel, Payment};
pub use payments::{Payments, PaymentsConfig};
