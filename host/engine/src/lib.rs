//! The pipeline and the ports it needs: workers, checkpoints, reload, sinks, dead letters.
//!
//! An event's way: [`IngestService`] -> the log -> `worker` -> [`partition`] (decode, views, rules) -> the verdicts
//! log -> `sinks` -> the stores. `catalog` changes what the catalog holds ([`definition`]), [`plan`] compiles it;
//! [`ports`] are what the engine needs of the world. Absent on purpose: any product's name, HTTP, configuration files.

mod backlog;
mod catalog;
mod clock;
mod config;
pub mod definition;
mod derived;
mod erasure;
mod handle;
mod health;
mod ingest;
mod live_verdicts;
#[doc(hidden)]
pub mod memory;
mod merge_position;
mod metrics;
pub mod offline;
pub mod panics;
pub mod partition;
pub mod plan;
pub mod ports;
mod probe;
mod problem;
mod progress;
mod queries;
pub mod registry;
mod retention;
pub mod rule_stats;
mod schema_resolution;
mod scored_offsets;
mod service;
mod shared;
#[doc(hidden)]
pub mod simulator;
mod sinks;
mod status;
mod worker;

pub use backlog::{BacklogLimits, Behind};
pub use catalog::{Applied, CatalogService, UploadedPlugin, breaker_reason};
pub use clock::{Clock, now_ms};
pub use config::EngineConfig;
pub use erasure::ErasureService;
pub use handle::{Engine, EngineError};
pub use health::{HealthComponent, PartStatus, Readiness};
pub use ingest::{Ingest, IngestError, IngestService, OutcomeReader, Submitted, VerdictMarks, WaitError};
pub use live_verdicts::{LiveFilter, LiveItem, LiveVerdict, LiveVerdictService, LiveVerdicts};
pub use merge_position::{derive_position_ids, derived_up_to};
pub use metrics::{Metrics, PartitionLabel, ReaderLabel, RouteLabel, SinkLabel, StreamLabel, ThreadLabel, TopicLabel};
pub use plan::Plan;
#[doc(hidden)]
pub use probe::{Probe, ProbePoint};
pub use problem::{ChangeError, Problem, ReadError};
pub use progress::Unscored;
pub use queries::{
    EntityProfile, EntityTag, Explained, ExplainedPage, QueryService, ViewBuckets, ViewValues, WantedScores,
};
pub use schema_resolution::resolve_to_newest;
pub use sinks::SINK_NAMES;
pub use status::StatusService;
