//! The pipeline and the ports it needs: workers, checkpoints, reload, followers, dead letters.
//!
//! An event's way: [`Engine::ingest`] -> the log -> `worker` -> [`partition`] (decode, views, rules) -> the verdicts
//! log -> `followers` -> the stores. [`plan`] compiles what the catalog holds; [`ports`] are what the engine needs of
//! the world. Absent on purpose: any product's name, HTTP, configuration files.

mod clock;
mod config;
mod derived;
mod followers;
mod handle;
mod health;
mod hub;
mod metrics;
pub mod offline;
pub mod partition;
pub mod plan;
pub mod ports;
mod problem;
pub mod registry;
mod resolved;
mod retention;
mod shared;
pub mod standing;
mod worker;

pub use clock::now_ms;
pub use config::EngineConfig;
pub use derived::progress_of;
pub use followers::FOLLOWERS;
pub use handle::{
    Applied, BREAKER, Engine, EngineError, Explained, Ingest, IngestError, Live, LiveFilter, LiveVerdicts, Said,
    Submitted, UploadedPlugin, ViewBuckets, ViewValues, WaitError,
};
pub use health::{PartStatus, Readiness};
pub use metrics::{FollowerLabel, Metrics, PartitionLabel, ReaderLabel, RouteLabel, StreamLabel, TopicLabel};
pub use plan::Plan;
pub use problem::{ChangeError, Problem, ReadError};
pub use resolved::in_schema;
