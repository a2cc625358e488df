//! Assay's WebAssembly runtime: it checks, compiles, instantiates, limits and calls scoring plugins.
//!
//! The only crate that knows wasmtime. It knows nothing of streams, rules or stores: columns go in, verdicts come out.
//!
//! The way of a plugin: [`Runtime::load`] takes the uploaded bytes (`upload`: size, imports, exports; `wrap`: a plain
//! module becomes a component), compiles them (`compiler`: in a process of its own) or finds them compiled (`cache`) and
//! reads the [`Manifest`]. [`Plugin::instance`] makes one configured, limited guest (`guest`, `limiter`, `deadline`) for
//! one thread. [`Instance::score`] calls it with a [`Batch`], in parts that take a few milliseconds each, and checks the
//! answers (`answer`); when a call fails, `search` cuts the batch until exactly the rows that cause the failure are set
//! aside (`cut`). An [`Interrupt`] stops a call in the middle.

mod answer;
mod batch;
mod cache;
mod compiler;
mod config_schema;
mod cut;
mod deadline;
mod error;
mod guest;
mod instance;
mod interrupt;
mod limiter;
mod limits;
mod manifest;
mod plugin;
mod runtime;
mod search;
mod states;
mod trap;
mod upload;
mod verdicts;
mod wrap;

pub use batch::{Batch, Blobs, Bools, Column, Floats, Ints, Texts};
pub use compiler::{Compiler, compile_in_child};
pub use config_schema::{MAX_PATTERN_BYTES, MAX_PATTERNS, MAX_SCHEMA_PARTS, check_config_schema};
pub use deadline::thread_cpu_time;
pub use error::{ManifestError, PluginError, ScoreError, Unfinished};
pub use instance::Instance;
pub use interrupt::Interrupt;
pub use limits::{Limits, RuntimeConfig};
pub use manifest::{Input, Kind, Manifest};
pub use plugin::Plugin;
pub use runtime::Runtime;
pub use states::States;
pub use verdicts::{Attribute, Edge, Reason, RowFailure, Scored, Tag, Verdicts};
