//! Assay's WebAssembly runtime: it checks, compiles, instantiates, limits and calls scoring plugins.
//!
//! It is the only crate that depends on wasmtime. It knows nothing about streams, rules or stores: its input is
//! columns, its output verdicts.
//!
//! The path of a plugin: [`Runtime::load`] checks the uploaded bytes (`upload`: size, imports, exports), converts a
//! plain module to a component (`componentize`), compiles it in a child process (`compiler`) or takes it from the
//! `cache`, and reads the [`Manifest`]. [`Plugin::instance`] makes a configured, limited guest (`guest`, `limiter`,
//! `deadline`) for one thread. [`Instance::score`] calls it with a [`Batch`], in parts that take a few milliseconds
//! each, and checks the answers (`answer`). If a call fails, `failing_rows` divides the batch (`batch_slice`) until
//! exactly the rows that cause the failure are separated. An [`Interrupt`] stops a running call.

mod answer;
mod batch;
mod batch_slice;
mod cache;
mod compiler;
mod componentize;
mod config_schema;
mod deadline;
mod error;
mod failing_rows;
mod guest;
mod instance;
mod interrupt;
mod limiter;
mod limits;
mod manifest;
mod panic_message;
mod plugin;
mod runtime;
mod states;
mod trap;
mod upload;
mod verdicts;

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
