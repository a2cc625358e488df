//! Assay's HTTP API, version 1: ingest, admin and queries over the engine's handle.
//!
//! A request's path: `serve` accepts it (`connections` bounds how many), `router` finds its route and the role that it needs, `http` renders its
//! errors, one file of `ingest`, `definitions` or `resources` answers it; `registry` speaks Confluent's protocol. Absent
//! on purpose: rules of the engine's own, stores, configuration files.

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
