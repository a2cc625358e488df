//! Limits on uploads (`RuntimeConfig`) and on each instance of a plugin (`Limits`).

use std::path::PathBuf;
use std::time::Duration;

use crate::compiler::Compiler;

/// The configuration of a [`Runtime`](crate::Runtime).
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// The folder of compiled plugins; none: each start compiles them again. Only this process's user may have access
    /// to it, because its content is run as machine code.
    pub cache_dir: Option<PathBuf>,
    /// The process that compiles; none: this process, with only the limits below.
    pub compiler: Option<Compiler>,
    /// The largest upload, in bytes.
    pub max_module_bytes: usize,
    /// The most functions of an upload. It bounds the time to compile it.
    pub max_functions: u32,
    /// The largest body of one function, in bytes, because the time to compile a function grows faster than its size.
    pub max_function_bytes: usize,
    /// True if all NaNs that a guest computes get the same bits, so that scores and states are equal on every machine.
    /// It is false only in measurements of its cost.
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

/// Limits on the resources and answers of one instance of a plugin.
///
/// A row fails after `time_per_event`, or after `time_per_call_floor` if that is more. Times are CPU time of the
/// calling thread, so that a busy machine does not cause failures. A call with several rows is divided much earlier:
/// see [`Instance::score`](crate::Instance::score).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// CPU time per row of a batch.
    pub time_per_event: Duration,
    /// The least CPU time of a call, for any number of rows. It should be some milliseconds, because deadlines are
    /// checked in steps of 2 ms.
    pub time_per_call_floor: Duration,
    /// Bytes of all linear memories together.
    pub memory_bytes: usize,
    /// Elements of one table.
    pub table_elements: usize,
    /// The most linear memories, and the most tables, of an instance.
    pub memories: usize,
    /// The most core instances in an instance. A wrapped module has a few; a component that is composed of others has
    /// more.
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
    /// The most bytes of one answer in the host's memory. It does not depend on the number of rows: a batch whose
    /// answer is too large is scored again in halves.
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
