//! Assay's HTTP API, version 1: ingest, admin and queries over the engine's handle.
//!
//! The path of a request: `serve` accepts its connection (`connections` limits their number), `router` finds the route
//! and checks the role, one file of `ingest`, `definitions` or `resources` answers it, and `http` renders errors.
//! `registry` has Confluent's protocol. Absent on purpose: business rules, which are the engine's, stores, and
//! configuration files.

mod app;
mod auth;
mod connections;
mod definitions;
mod http;
mod ingest;
mod openapi;
mod registry;
mod render;
mod resources;
mod router;
mod serve;

pub use app::{ApiConfig, App};
pub use auth::{KeyError, MIN_SECRET_CHARS, Role, ensure_admin_key, first_key};
pub use openapi::openapi;
pub use router::router;
pub use serve::{ServeError, run, run_health};
