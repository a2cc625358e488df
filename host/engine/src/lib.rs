//! The pipeline and the ports it needs: workers, checkpoints, reload, followers, dead letters.
//!
//! An event's way: [`Engine::ingest`] -> the log -> `worker` -> [`partition`] (decode, views, rules) -> the verdicts
//! log -> `followers` -> the stores. [`plan`] compiles what the catalog holds; [`ports`] are what the engine needs of
//! the world. Absent on purpose: any product's name, HTTP, configuration files.

mod backlog;
mod clock;
mod config;
mod derived;
mod followers;
mod handle;
mod health;
mod hub;
mod metrics;
pub mod offline;
pub mod panics;
pub mod partition;
pub mod plan;
pub mod ports;
mod probe;
mod problem;
mod progress;
pub mod registry;
mod resolved;
mod retention;
mod shared;
pub mod standing;
mod worker;

pub use backlog::{BacklogLimits, Behind};
pub use clock::now_ms;
pub use config::EngineConfig;
pub use derived::progress_of;
pub use followers::FOLLOWERS;
pub use handle::{
    Applied, Engine, EngineError, EntityProfile, EntityTag, Explained, ExplainedPage, Ingest, IngestError, Live,
    LiveFilter, LiveVerdicts, OutcomeReader, Said, Submitted, UploadedPlugin, VerdictMarks, ViewBuckets, ViewValues,
    WaitError, WantedScores, breaker_reason,
};
pub use health::{PartStatus, Readiness};
pub use metrics::{
    FollowerLabel, Metrics, PartitionLabel, ReaderLabel, RouteLabel, StreamLabel, ThreadLabel, TopicLabel,
};
pub use plan::Plan;
#[doc(hidden)]
pub use probe::{Probe, Probed};
pub use problem::{ChangeError, Problem, ReadError};
pub use progress::Unscored;
pub use resolved::in_schema;
