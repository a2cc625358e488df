//! What is allowed: to uploads as such (`RuntimeConfig`) and to each instance of a plugin (`Limits`).

use std::path::PathBuf;
use std::time::Duration;

use crate::compiler::Compiler;

/// How a [`Runtime`](crate::Runtime) works, and what it takes.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// Where compiled plugins are kept; none: each start compiles anew. The folder must belong to this process's user
    /// alone, because what lies in it is run as machine code.
    pub cache_dir: Option<PathBuf>,
    /// The process that compiles; none: this one, without bounds other than those below.
    pub compiler: Option<Compiler>,
    /// The largest upload, in bytes.
    pub max_module_bytes: usize,
    /// How many functions an upload may have: bounds the time to compile it.
    pub max_functions: u32,
    /// The largest body of one function, in bytes: the time to compile one grows faster than its size.
    pub max_function_bytes: usize,
    /// Makes all NaNs that a guest computes the same bits, so that scores and states are equal on every machine.
    /// Off only to measure what it costs.
    pub canonical_nans: bool,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            cache_dir: None,
            compiler: None,
            max_module_bytes: 32 << 20,
            max_functions: 100_000,
            max_function_bytes: 1 << 20,
            canonical_nans: true,
        }
    }
}

/// What one instance of a plugin may use, and how much it may say.
///
/// A row may take `time_per_event`, but never less than `time_per_call_floor`, before it has failed. Times are CPU time of
/// the calling thread, so that a busy machine does not blame a plugin. A call with several rows is divided long before
/// that: see [`Instance::score`](crate::Instance::score).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// CPU time per row of a batch.
    pub time_per_event: Duration,
    /// CPU time that every call has, however few its rows are. Not below some milliseconds: deadlines are checked in
    /// steps of 2 ms.
    pub time_per_call_floor: Duration,
    /// Bytes of all linear memories together.
    pub memory_bytes: usize,
    /// Elements of one table.
    pub table_elements: usize,
    /// Linear memories, and tables, of an instance.
    pub memories: usize,
    /// Core instances of an instance: a wrapped module has a few, a component composed of others has more.
    pub core_instances: usize,
    /// Tags of one row.
    pub max_tags_per_row: u32,
    /// Reasons of one row.
    pub max_reasons_per_row: u32,
    /// Edges of one row.
    pub max_edges_per_row: u32,
    /// Attributes of one row.
    pub max_attributes_per_row: u32,
    /// Bytes of one text in an answer: an end of an edge, the value of an attribute.
    pub max_text_bytes: usize,
    /// Bytes of one answer, as the host holds it. The same for every number of rows: an answer that is too large is
    /// asked for again in halves.
    pub max_output_bytes: usize,
    /// Bytes of one entity's state.
    pub max_state_bytes_per_entity: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time_per_event: Duration::from_millis(1),
            time_per_call_floor: Duration::from_millis(10),
            memory_bytes: 16 << 20,
            table_elements: 10_000,
            memories: 4,
            core_instances: 16,
            max_tags_per_row: 32,
            max_reasons_per_row: 32,
            max_edges_per_row: 32,
            max_attributes_per_row: 32,
            max_text_bytes: 1 << 10,
            max_output_bytes: 16 << 20,
            max_state_bytes_per_entity: 4 << 10,
        }
    }
}

impl Limits {
    /// The most CPU time that a call with this many rows may take.
    pub(crate) fn budget(&self, rows: u32) -> Duration {
        self.time_per_event.saturating_mul(rows).max(self.time_per_call_floor)
    }
}
